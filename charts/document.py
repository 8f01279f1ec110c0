"""Writes what follows from the charts' values.yaml: values.schema.json, the table in README.md, the defaults that a
template knows, and k8s/install.yaml.

    make chart

The comment above a value is its documentation: `# -- ` and its sentences, and perhaps `# @schema {…}` with what its
default does not show. A mapping or list that has such a comment is handed on to Kubernetes as it is, so anything may be
in it; of every other mapping the keys are all there are.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

CHARTS: Final = Path(__file__).parent
CHART: Final = CHARTS / "metaqnn"
DEFAULTS: Final = CHART / "templates" / "_defaults.tpl"
INSTALL: Final = CHARTS.parent / "k8s" / "install.yaml"
START, END = "<!-- values: start -->\n", "<!-- values: end -->\n"

_TYPES: Final[dict[type, dict[str, Any]]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    dict: {"type": "object"},
    list: {"type": "array"},
}
_OF_HELM: Final = re.compile(r"^ +(app\.kubernetes\.io/managed-by|helm\.sh/chart): ")
_HEAD: Final = """\
# The chart charts/metaqnn with its default values, as release metaqnn of the namespace metaqnn. Made by `make chart`,
# never edited by hand; k8s/kustomization.yaml shows how to change it.
#   kubectl create namespace metaqnn && kubectl apply -f install.yaml
"""


class Value(NamedTuple):
    """One documented value."""

    key: str
    """Dotted."""
    default: Any
    text: str
    schema: dict[str, Any]


def read_values(text: str) -> list[Value]:
    """Every value, in order.

    Raises:
        ValueError: one has no comment, or a comment that is no documentation.
    """
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    return list(_values(root, text.splitlines(), ""))


def _values(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Value]:
    for key_node, value_node in node.value:
        key = f"{prefix}{key_node.value}"
        text, schema = _comment(lines, key_node.start_mark.line)
        if text:
            default = yaml.safe_load(yaml.serialize(value_node))
            yield Value(key, default, text, {**_TYPES[type(default)], **schema})
        elif isinstance(value_node, yaml.MappingNode):
            yield from _values(value_node, lines, f"{key}.")
        else:
            raise ValueError(f"{key} has no comment that begins with '# -- '")


def _comment(lines: list[str], line: int) -> tuple[str, dict[str, Any]]:
    """What stands directly above a line."""
    above: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        above.insert(0, lines[line].strip().removeprefix("#").strip())
    text = [words for words in above if not words.startswith("@schema")]
    schemas = [words.removeprefix("@schema") for words in above if words.startswith("@schema")]
    if not text or not text[0].startswith("-- "):
        return "", {}
    return " ".join(text).removeprefix("-- "), json.loads(schemas[0]) if schemas else {}


def schema(values: list[Value]) -> dict[str, Any]:
    """JSON schema of all values: unknown keys are refused wherever the keys are ours."""
    root: dict[str, Any] = _closed()
    for value in values:
        *sections, leaf = value.key.split(".")
        section = root
        for name in sections:
            section = section["properties"].setdefault(name, _closed())
        section["properties"][leaf] = {**value.schema, "description": value.text}
    # Where the chart is a part of another, that one and its other parts have their own values there.
    root["properties"]["global"]["additionalProperties"] = True
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart metaqnn", **root}


def _closed() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def defaults(values: list[Value]) -> str:
    """_defaults.tpl as it should be: what a null stands for, which Helm takes for nothing at all."""
    root: dict[str, Any] = {}
    for value in values:
        *sections, leaf = value.key.split(".")
        section = root
        for name in sections:
            section = section.setdefault(name, {})
        section[leaf] = type(value.default)() if isinstance(value.default, dict | list) else value.default
    text = yaml.safe_dump(root, sort_keys=False)
    return (
        '{{/* Made by `make chart` from values.yaml. */}}\n{{- define "metaqnn.defaults" -}}\n' + text + "{{- end }}\n"
    )


def table(values: list[Value]) -> str:
    rows = [f"| `{v.key}` | `{json.dumps(v.default)}` | {v.text} |\n" for v in values]
    return "| value | default | what it is for |\n|---|---|---|\n" + "".join(rows)


def documented(readme: str, values: list[Value]) -> str:
    """README.md with the table as it should be."""
    before, _, rest = readme.partition(START)
    return before + START + "\n" + table(values) + "\n" + END + rest.partition(END)[2]


def rendered(helm: str | Path) -> str:
    """k8s/install.yaml as it should be: without the labels by which Helm says that it manages something."""
    command = [helm, "template", "metaqnn", CHART, "--namespace=metaqnn", "--skip-tests"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return _HEAD + "".join(line for line in text.splitlines(keepends=True) if not _OF_HELM.search(line))


def main(helm: str) -> None:
    values = read_values((CHART / "values.yaml").read_text())
    (CHART / "values.schema.json").write_text(json.dumps(schema(values), indent=2) + "\n")
    DEFAULTS.write_text(defaults(values))
    readme = CHART / "README.md"
    readme.write_text(documented(readme.read_text(), values))
    INSTALL.write_text(rendered(helm))


if __name__ == "__main__":
    main(*sys.argv[1:])
