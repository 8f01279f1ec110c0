"""The page of the commands' JSON, json.md, and the JSON Schemas beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from metaqnn_orch.cli.answers import ANSWERS
from metaqnn_orch.reporting.schemas import schema_of

EXAMPLES: Final = Path(__file__).parent / "examples" / "json"
"""A real answer of each command, shortened: STEM.json, where STEM is the command with hyphens for blanks."""
_WORDS: Final = {"integer": "whole number", "boolean": "true or false", "string": "text"}


class Row(NamedTuple):
    """A field of an answer."""

    path: str
    """The fields that lead to it, with [] for each element of a list and * for each name of a mapping."""
    kind: str
    """Its JSON types, with | between them."""
    is_always_there: bool
    meaning: str


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each command's answer."""
    return {name: schema_of(answer.kind) for name, answer in ANSWERS.items()}


def rows(schema: Mapping[str, Any]) -> list[Row]:
    """Every field of an answer, from the outside inwards."""
    return [*_rows(schema, schema.get("$defs", {}), "", ())]


def stem(name: str) -> str:
    """The name of the example's file."""
    return "-".join(name.replace("-", " ").split())


def page() -> str:
    """The page json.md."""
    parts = [
        "# JSON for scripts",
        "With `-o json` a command prints exactly one JSON document to standard output. It comes when the command ends; "
        "the sections of a few commands say otherwise. Everything else goes to standard error. A command that fails "
        "prints no document, but a line that begins with `error:`, and has an exit code. All numbers are finite. What "
        "is not known is null. Times are ISO 8601, in UTC.",
        "Scripts may rely on this page: a field keeps its name and its type, and a field that is always there stays. "
        "Later versions may add fields, so a script must ignore fields that it does not know. "
        "[answers.schema.json](answers.schema.json) has the same as JSON Schemas (draft 2020-12), by command. "
        "`make docs` writes this page.",
    ]
    for name, answer in ANSWERS.items():
        schema = schema_of(answer.kind)
        about = schema.get("description", "")
        parts.append(f"## {name}\n\n{' '.join(filter(None, (about, answer.note)))}")
        found = {row.path: row for row in rows(schema)}
        table = [_line(row, found) for row in found.values() if row.path and (row.meaning or row.path == "[]")]
        if table:
            parts.append("| field | is | |\n|---|---|---|\n" + "\n".join(table))
        example = (EXAMPLES / f"{stem(name)}.json").read_text(encoding="utf-8").strip()
        parts.append(f"```json\n{example}\n```")
    return "\n\n".join(parts) + "\n"


def schema_file() -> str:
    """The file answers.schema.json."""
    return json.dumps(schemas(), indent=1) + "\n"


def _line(row: Row, others: Mapping[str, Row]) -> str:
    words = row.kind.split(" | ")
    listed = "" if words[0][0] != "`" else f" One of {words[0]}."  # beside the meaning, because it may be long
    kind = " or ".join(_WORDS.get("string" if word[0] == "`" else word, word) for word in words)
    inner = others.get(f"{row.path}[]") or others.get(f"{row.path}.*")
    kind += f" of {_WORDS.get(inner.kind, inner.kind)}s" if inner and not inner.meaning else ""
    there = "" if row.is_always_there else ", not always there"
    return f"| `{row.path}` | {kind}{there} | {row.meaning.replace('|', chr(92) + '|')}{listed} |"


def _rows(
    schema: Mapping[str, Any], defs: Mapping[str, Any], path: str, above: tuple[str, ...], there: bool = True
) -> Iterator[Row]:
    """The field at the path, and those inside; a class inside itself is not followed any further."""
    choices = [_found(choice, defs) for choice in schema.get("anyOf", [schema])]
    yield Row(path, _kinds([choice for choice, _ in choices]), there, schema.get("description", ""))
    for choice, name in choices:
        if name and name in above:
            continue
        inside = (*above, name) if name else above
        if "items" in choice:
            yield from _rows(choice["items"], defs, f"{path}[]", inside)
        for field, inner in choice.get("properties", {}).items():
            needed = field in choice.get("required", ())
            yield from _rows(inner, defs, f"{path}.{field}".lstrip("."), inside, needed)
        values = choice.get("additionalProperties") or next(iter(choice.get("patternProperties", {}).values()), None)
        if isinstance(values, dict):
            yield from _rows(values, defs, f"{path}.*".lstrip("."), inside)


def _found(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The schema itself, or the one that it names, with the name."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return (defs[name], name) if name else (schema, "")


def _kinds(choices: Sequence[Mapping[str, Any]]) -> str:
    values = [value for choice in choices for value in _texts(choice)]
    listed = [", ".join(f"`{value}`" for value in values)] if values else []
    return " | ".join([*listed, *dict.fromkeys(_kind(choice) for choice in choices if not _texts(choice))])


def _texts(schema: Mapping[str, Any]) -> Sequence[str]:
    """The texts that it may be, where it may be no others."""
    return schema["enum"] if "enum" in schema else [schema["const"]] if isinstance(schema.get("const"), str) else []


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "anything")
    return "list" if kind == "array" else str(kind)
