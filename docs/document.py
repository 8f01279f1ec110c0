"""Writes the pages that follow from the code: commands.md from the command line, settings.md from the settings' models,
json.md from the classes of answers, and the tables of trainer.md.

make docs
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import typer

from docs import answers
from docs.contract import filled
from docs.docstrings import docstrings
from metaqnn_orch.cli.app import COMMANDS, build_app
from metaqnn_orch.cli.output import PROGRAM
from metaqnn_orch.search.searchers import q_learning
from metaqnn_orch.settings import budget, early_end, kubernetes, objective
from metaqnn_orch.settings import model as settings_module
from metaqnn_orch.settings import search as search_settings
from metaqnn_orch.settings.model import DatasetSettings, Settings
from metaqnn_orch.settings.values import flatten
from metaqnn_trainer.contract import messages
from metaqnn_trainer.spaces.cnn import common
from metaqnn_trainer.spaces.cnn.registry import kinds, registry
from metaqnn_trainer.spaces.cnn.rules import SpaceRules
from metaqnn_trainer.spaces.cnn.space import Cnn

PAGES: Final = Path(__file__).parent
WIDTH: Final = 100  # columns of a help text
INSTALLED: Final = re.compile(r"\n  Installed: .*")  # datasets of plug-ins, which are another one's on each machine


def commands() -> str:
    """Every command's --help."""
    parts = [
        "# Commands",
        "What each command says with `--help`. Data goes to standard output, progress to standard error; `-o json` "
        "where there is something to read. This page is written by `make docs`.",
        "`metaqnn-orch --install-completion` teaches bash, zsh or fish to complete presets, runs, trials and settings "
        "on TAB, from the next terminal on. Runs and trials are those of `--store`, if it stands before them on the "
        "line, else of `METAQNN_STORE`, else of `./runs`; a store that does not answer within a second offers none.",
    ]
    root: Any = typer.main.get_command(build_app())
    for name in COMMANDS:
        command, path = root, [PROGRAM, *name.split()]
        context = root.make_context(PROGRAM, [], resilient_parsing=True, terminal_width=WIDTH)
        for word in name.split():
            command = command.get_command(context, word)
            context = command.context_class(command, info_name=word, parent=context, terminal_width=WIDTH)
        text = INSTALLED.sub("", command.get_help(context).strip())
        parts += [f"## {' '.join(path[1:])}", f"```text\n{text}\n```"]
    return "\n\n".join(parts) + "\n"


def settings() -> str:
    """Every setting: what it may be, its default, what it means."""
    parts = [
        "# Settings",
        "A settings file is YAML and says what differs from its `preset`, or from the defaults. Flags win over "
        "`METAQNN_*` variables (`METAQNN_RECIPE__EPOCHS` is `recipe.epochs`), those over the file, the file over the "
        "preset; `metaqnn-orch config show` says what is in force, and whence. `execution`, `budget`, `tracking`, "
        "`finals` and `search.confirm` may change when a run goes on, everything else is what the run is. A section "
        "that is null takes away what weaker sources say of it: its defaults hold. What has `the dataset's` as its "
        "default follows from it; spaces of plug-ins have such settings, too. This page is written by `make docs`.",
    ]
    schema = Settings.model_json_schema()
    sections = (import_module(type(kind.rules).__module__) for kind in kinds().values() if kind.section)
    ours = settings_module, search_settings, budget, early_end, kubernetes, objective
    known = docstrings(*ours, q_learning, common, messages, *sections)
    known["SpaceRules"] = known["CommonRules"]
    example = Settings(
        dataset=DatasetSettings(name="x"), space=SpaceRules(image_size=8, channels=1, classes=2)
    ).model_dump(mode="json")
    defaults = {key: json.dumps(value) for key, value in flatten(example)}
    defaults["dataset.name"] = "must be given"
    defaults |= dict.fromkeys((f"space.{leaf}" for leaf in Cnn.follows), "the dataset's")
    rows = list(_rows("Settings", schema, schema["$defs"], known, ""))
    section = None
    for key, kind, meaning in rows:
        if (head := key.rpartition(".")[0] or "the whole") != section:
            section = head
            title = head if head != "the whole" else "At the top"
            parts.append(f"\n## {title}\n\n| setting | is | default | |\n|---|---|---|---|")
        parts.append(f"| `{key}` | {kind} | {_code(defaults.get(key, ''))} | {meaning} |")
    text = "\n".join(parts[2:])
    return f"{parts[0]}\n\n{parts[1]}\n{text}\n"


def layers() -> str:
    """Every layer kind that is built in."""
    rows = [f"| {layer_row(name)} |" for name in kinds() if not registry().sources[name].distribution]
    parts = [
        "# Layers",
        "The kinds of layers that a net of the family `cnn` is made of, as its text writes them. A kind that is not "
        "offered by default is no part of the paper's space: its section of `space` turns it on, and "
        "[Settings](settings.md) has what the section may say. An installed distribution adds kinds by the entry-point "
        "group `metaqnn.layers`. This page is written by `make docs`.",
        "| in a net | is | what it does | section of `space` | offered by default |\n|---|---|---|---|---|\n"
        + "\n".join(rows),
        "## Another kind",
        "A kind is two modules. The first one, without torch, has the class: a frozen dataclass derived from "
        "`metaqnn_trainer.spaces.cnn.layer.Layer`, whose fields are the numbers of its text. It says its name and "
        "words, output shape, cost, what a space may choose (a dataclass of rules, whose default offers nothing), "
        "where it may not stand, the memory that it keeps, and how it is drawn. The second one has its builder: a "
        "function of "
        "the layer, the shape in front of it, the model's options and the kind before it, to named torch modules (see "
        "`metaqnn_trainer.modules.base`). A module that is not torch's own says in a method `written` how an exported "
        "file writes it. `metaqnn_trainer.spaces.cnn.layers.average_pool` and `metaqnn_trainer.modules.average_pool` "
        "are a short example.",
        "An installed kind is found by its entry point, and enters the ids of the trials that have it with its "
        "distribution's name and version; in a cluster it is installed in the image of the trainer and, where one "
        "searches there, in that of the orchestrator:",
        '```toml\n[project.entry-points."metaqnn.layers"]\ndilated = "far_layers:Dilated"\n```',
    ]
    return "\n\n".join(parts) + "\n"


def layer_row(name: str) -> str:
    """What the page says of one kind."""
    kind = kinds()[name]
    text = f"`{name}({','.join(kind.__match_args__)})`"
    said = " ".join((kind.__doc__ or "").split())
    section = f"`{kind.section}`" if kind.section else "`terminations`"
    return " | ".join([text, kind.words, said, section, "yes" if kind.paper else "no"])


def _rows(
    model: str, schema: Mapping[str, Any], defs: Mapping[str, Any], known: Mapping[str, Mapping[str, str]], prefix: str
) -> Iterator[tuple[str, str, str]]:
    """The model's own settings, then those of the models in it."""
    inner: list[tuple[str, str]] = []
    for name, field in schema["properties"].items():
        reference = field.get("$ref", "").rpartition("/")[2]
        if "properties" in defs.get(reference, {}):
            inner.append((name, reference))
            continue
        yield prefix + name, _kind(field, defs), known.get(model, {}).get(name, "")
    for name, reference in inner:
        yield from _rows(reference, defs[reference], defs, known, f"{prefix}{name}.")


def _kind(field: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    if "$ref" in field:
        return _kind(defs[field["$ref"].rpartition("/")[2]], defs)
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_kind(choice, defs) for choice in field["anyOf"]))
    if "enum" in field:
        return ", ".join(_code(json.dumps(value)) for value in field["enum"])
    if "const" in field:
        return _code(json.dumps(field["const"]))
    kind = {
        "integer": "whole number",
        "number": "number",
        "boolean": "true or false",
        "string": "text",
        "null": "nothing",
        "array": "list",
        "object": "mapping",
    }[field.get("type", "object")]
    low = field.get("minimum", field.get("exclusiveMinimum"))
    high = field.get("maximum", field.get("exclusiveMaximum"))
    above = "above " if "exclusiveMinimum" in field else "from "
    kind += f", {above}{low:g}" if low is not None else ""
    return kind + (f" to {high:g}" if high is not None and high < 2**53 else "")


def _code(text: str) -> str:
    return f"`{text}`" if text and text != "must be given" else text


def trainer() -> str:
    """The page as it stands, with its tables as the code has them."""
    return filled((PAGES / "trainer.md").read_text(encoding="utf-8"))


PAGE: Final = {
    "answers.schema.json": answers.schema_file,
    "commands.md": commands,
    "json.md": answers.page,
    "layers.md": layers,
    "settings.md": settings,
    "trainer.md": trainer,
}

if __name__ == "__main__":
    for name, written in PAGE.items():
        (PAGES / name).write_text(written(), encoding="utf-8")
