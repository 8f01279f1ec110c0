"""What the shell offers when a person presses TAB: presets, runs, trials, and settings with their values.

Nothing here may disturb the line that is being written: where a store cannot be read, or does not answer at once,
nothing is offered, and nothing is said. Where nothing is offered, the shell offers its files.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any, Final

import typer

from metaqnn_orch.application import finalists, retraining
from metaqnn_orch.application.listener import Tone
from metaqnn_orch.application.opening import open_store
from metaqnn_orch.search.searcher import SEARCHERS
from metaqnn_orch.settings.presets import presets
from metaqnn_orch.settings.sources import CHOICES, load_settings
from metaqnn_orch.settings.values import defaults, flatten, known_keys
from metaqnn_trainer.contract import keys
from metaqnn_trainer.plugins import TASKS
from metaqnn_trainer.spaces.base import SPACES
from metaqnn_trainer.store.base import Store

PATIENCE: Final = 1.0  # seconds for a store to answer
USUAL_STORE: Final = "./runs"  # of which a line speaks that names no store yet

_BASH: Final = "_METAQNN_ORCH_COMPLETE"
_BREAKS: Final = re.compile(r"[=:]+")  # where bash ends a word, and no other shell
_OPTION: Final = re.compile(r"^--[\w-]+=")  # no part of what is offered behind it
_PLAIN: Final = re.compile(r"[\w./+-]+")  # a value that needs no quotes
_PLUGINS: Final = dict(zip(CHOICES, (SEARCHERS, SPACES, TASKS), strict=True))
# Commands that take settings of these sections alone.
_SECTIONS: Final[Mapping[str | None, tuple[str, ...]]] = {
    "finals": finalists.SECTIONS,
    "retrain": retraining.SECTIONS,
    "resume": finalists.SECTIONS,
    "enqueue": ("recipe",),
    "push": ("execution",),
}


def preset_or_file(incomplete: str) -> list[str]:
    """Presets, and beside them the settings files and folders of the folder in which one is. Where only files fit,
    nothing: the shell itself goes on in folders.
    """
    found = [name for name in presets() if name.startswith(incomplete)]
    files = [path.name for path in Path().iterdir() if path.suffix in (".yaml", ".yml") and path.is_file()]
    folders = [f"{path.name}/" for path in Path().iterdir() if path.is_dir() and not path.name.startswith(".")]
    return [*found, *sorted(files), *sorted(folders)] if found else []


def run(context: typer.Context, incomplete: str) -> list[str]:
    """The runs of the store that the line names."""
    return _asked(context, lambda store: store.names(keys.runs() + incomplete))


def trial(context: typer.Context, incomplete: str) -> list[str]:
    """The trials of the run that the line names."""
    if not (name := _said(context, "run")):
        return []
    before = context.params.get("trials") or ()
    found = _asked(context, lambda store: store.names(keys.trials(name) + incomplete))
    return [one for one in found if one not in before]


def setting(context: typer.Context, incomplete: str) -> list[str]:
    """The keys of settings, each with `=`, and behind a whole one what it may be, or what it is now."""
    values, schema = _settings(context)
    sections = _SECTIONS.get(context.info_name)
    key, equals, _ = incomplete.partition("=")
    found = [
        one
        for one in values
        if (one == key if equals else one.startswith(key)) and (sections is None or one.partition(".")[0] in sections)
    ]
    if len(found) != 1:
        return [f"{one}=" for one in found]
    (key,) = found
    offered = [f"{key}={value}" for value in _values(key, values[key], schema)]
    # (Of two, a shell writes what they have in common, and no blank behind the sign.)
    return offered if equals or len(offered) > 1 else [f"{key}=", *offered]


def _settings(context: typer.Context) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every setting with its present value, as far as the line says it, and the schema of all."""
    settings, chosen = defaults(), context.params.get("space") or _said(context, "preset_or_file")
    with suppress(Exception):  # of a line that is wrong so far, or names none, the defaults are offered
        settings = load_settings(chosen, os.environ, context.params.get("assignments") or (), {}).settings
    present = dict(flatten(settings.model_dump(mode="json")))
    return dict.fromkeys(known_keys()) | present, type(settings).model_json_schema()


def _said(context: typer.Context, argument: str) -> str:
    """The command's first argument, of that name. Behind an option without its value, arguments are not parsed yet."""
    return str(context.params.get(argument) or next(iter(context.args), ""))


def _values(key: str, present: Any, schema: Mapping[str, Any]) -> list[str]:
    """The texts that a setting may be or, where it may be many, the present one."""
    if key in _PLUGINS:
        return [*_PLUGINS[key].members()]
    field: Mapping[str, Any] = schema
    for part in key.split("."):
        field = _found(field, schema).get("properties", {}).get(part, {})
    choices = [text for one in field.get("anyOf", [field]) for text in _choices(_found(one, schema))]
    now = present if isinstance(present, str) else json.dumps(present)
    return [*dict.fromkeys([*choices, *([now] if _PLAIN.fullmatch(now) else [])])]


def _found(field: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The field itself, or the definition that it names."""
    name = field.get("$ref", "").rpartition("/")[2]
    return schema["$defs"][name] if name else field


def _choices(field: Mapping[str, Any]) -> list[str]:
    if "enum" in field or "const" in field:
        values = field.get("enum", [field.get("const")])
        return [value if isinstance(value, str) else json.dumps(value) for value in values]
    return {"boolean": ["true", "false"], "null": ["null"]}.get(field.get("type", ""), [])


def _say_nothing(line: str, tone: Tone = Tone.PLAIN) -> None:
    pass


def _asked(context: typer.Context, ask: Callable[[Store], Iterable[str]]) -> list[str]:
    """What the store answers in time. A store that does not is not waited for."""
    uri = context.params.get("store") or context.params.get("dataset_store") or USUAL_STORE
    found: list[str] = []

    def look() -> None:
        with suppress(Exception):
            found.extend(ask(open_store(uri, _say_nothing)))

    looking = Thread(target=look, name="completion", daemon=True)
    looking.start()
    looking.join(PATIENCE)
    return [*found]


@contextmanager
def whole_words(environment: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """A block that answers a shell, if one asks. Bash ends a word at each `=` and `:`; the block sees the words as they
    were written, and bash gets of what is offered the part that it asks for.
    """
    if environment.get(_BASH) != "complete_bash":
        yield
        return
    words, before = _joined(environment.get("COMP_WORDS", "").split("\n"), int(environment.get("COMP_CWORD", "0")))
    environment.update(COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1))
    try:
        with redirect_stdout(StringIO()) as offered:
            yield
    finally:
        for line in offered.getvalue().splitlines():
            print(line.removeprefix(_OPTION.sub("", before)))


def _joined(words: Sequence[str], last: int) -> tuple[list[str], str]:
    """The words up to the last one, which is being written, as they were before bash took them apart, and what stands
    before the part that bash calls the last word.
    """
    whole: list[str] = []
    before, after_sign = "", False
    for word in [*words, ""][: last + 1]:
        is_sign = _BREAKS.fullmatch(word) is not None
        before = whole.pop() if whole and (is_sign or after_sign) else ""
        whole.append(before + word)
        if is_sign:
            before = whole[-1]
        after_sign = is_sign
    return whole, before
