"""The tables of trainer.md that follow from the contract's code: fields, bounds, exit codes, checks."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from docs.docstrings import docstrings
from metaqnn_orch.application.trainer_check.suite import CHECKS
from metaqnn_orch.control import ends
from metaqnn_orch.launchers.base import BY_EXIT_CODE, Phase
from metaqnn_trainer.contract import bounds, checks, codec, dataset, keys, messages, result, work
from metaqnn_trainer.contract.codec import Message
from metaqnn_trainer.contract.result import ExitCode

MODELS: Final[Mapping[str, tuple[type[Message], ...]]] = {
    "request": (
        messages.TrainingRequest,
        messages.TrialSpec,
        messages.DatasetRef,
        messages.PluginRef,
        messages.ModelOptions,
        messages.Recipe,
        messages.RatePhase,
        messages.WeightsRef,
        messages.TrainerOptions,
        messages.PredictionRule,
        messages.LearningCurve,
        messages.QuarterRule,
        messages.QuarterExample,
    ),
    "result": (result.TrainingResult, result.Artifact, result.Position, result.Prediction),
    "history": (result.EpochRecord,),
    "dataset": (dataset.DatasetInfo,),
    "bundle": (work.BundleProgress, work.OrderEnd),
}
_SECTION: Final = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- /generated -->)", re.DOTALL)
_WORDS: Final = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
    "null": "null",
}
_TEXTS: Final = {
    keys.NAME_PATTERN: "name",
    keys.TRIAL_PATTERN: "12 hexadecimal digits",
    keys.DIGEST_PATTERN: "16 hexadecimal digits",
    "^[0-9a-f]{64}$": "64 hexadecimal digits",
}


def filled(page: str) -> str:
    """The page with its generated sections as the code has them."""
    return _SECTION.sub(lambda found: f"{found[1]}\n{_SECTIONS[found[2]]()}\n\n{found[3]}", page)


def _fields(section: str) -> str:
    known = docstrings(messages, result, dataset, work)
    parts = []
    for model in MODELS[section]:
        schema = model.model_json_schema()
        rows = "\n".join(
            f"| `{name}` | {_kind(field, schema.get('$defs', {}))} | {_default(name, field, schema)} "
            f"| {known[model.__name__].get(name, '')} |"
            for name, field in schema["properties"].items()
        )
        about = " ".join((model.__doc__ or "").split())
        parts.append(f"#### {model.__name__}\n\n{about}\n\n| field | is | default | |\n|---|---|---|---|\n{rows}")
    return "\n\n".join(parts)


def _default(name: str, field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if name in schema.get("required", ()):
        return "must be given"
    value = field.get("default")
    return "its defaults" if isinstance(value, dict) and value else f"`{json.dumps(value)}`"


def _kind(field: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """What a field may be, in words."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        inner = defs[name]
        return f"[{name}](#{name.lower()})" if "properties" in inner else _kind(inner, defs)
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_kind(choice, defs) for choice in field["anyOf"]))
    if "enum" in field:
        return ", ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    match field.get("type"):
        case "array":
            items = field.get("prefixItems", [field.get("items", {})])[0]
            return f"list of {_kind(items, defs)}{_many(field, 'Items', '')}"
        case "object":
            return f"mapping of {_entries(field, defs)}{_many(field, 'Properties', '')}"
        case "string":
            return _TEXTS.get(field.get("pattern", ""), "text") + _many(field, "Length", " characters")
        case str(kind):
            return _WORDS[kind] + _range(field)
        case _:
            return "any JSON"


def _entries(field: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    for pattern, values in field.get("patternProperties", {}).items():
        return f"{_TEXTS.get(pattern, f'names (`{pattern}`)')} to {_kind(values, defs)}"
    return f"names to {_kind(field.get('additionalProperties', {}), defs)}"


def _many(field: Mapping[str, Any], what: str, unit: str) -> str:
    least, most = field.get(f"min{what}", 0), field.get(f"max{what}")
    if most is None:
        return ""
    return f", {least} to {most:,}{unit}" if least not in (0, most) else f", at most {most:,}{unit}"


def _range(field: Mapping[str, Any]) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    said = [f"{word} {_number(field[name])}" for name, word in words.items() if name in field]
    return f", {' '.join(said)}" if said else ""


def _number(value: float) -> str:
    for base in (2, 10):  # large ones are powers
        power = round(math.log(value, base)) if value >= 1e6 else 0
        if power and base**power == value:
            return f"{base}^{power}"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _bounds() -> str:
    mebi = 1 << 20
    rows = {
        "`request.json`, `result.json`": f"{codec.MAX_MESSAGE_BYTES // mebi} MiB",
        "a history": f"{bounds.MAX_HISTORY // mebi} MiB, and {bounds.MAX_LINE:,} bytes for each epoch of each rate",
        "weights of classified images": f"8 bytes for each parameter, and {checks.WEIGHTS_EXTRA // mebi} MiB",
        "the header of a dataset object": f"{dataset.HEADER_BYTES // mebi} MiB",
        "a design's text": f"{bounds.MAX_DESIGN:,} characters",
        "measures of one epoch": f"{bounds.MAX_MEASURES}",
    }
    return "| what | at most |\n|---|---|\n" + "\n".join(f"| {what} | {most} |" for what, most in rows.items())


def _codes() -> str:
    meanings = dict(re.findall(r"^\s+(\w+) = \d+  # (.+)$", inspect.getsource(ExitCode), re.MULTILINE))
    table = re.findall(r"^\| (.+?) \| (.+?) \|$", inspect.getdoc(ends) or "", re.MULTILINE)
    follows = {end.strip(): what for whose, what in table for end in whose.split(",")}
    rows = ["| code | | means | what follows |", "|---|---|---|---|"]
    for code in ExitCode:
        phase = BY_EXIT_CODE.get(int(code), Phase.CRASHED)
        after = follows["a result that can be trusted" if phase is Phase.DELIVERED else phase.value]
        end = "the result is read" if phase is Phase.DELIVERED else phase.value
        rows.append(f"| {int(code)} | {code.name} | {meanings[code.name]} | {end}: {after} |")
    rows.insert(3, f"| 0 | | but no result.json is there | no result: {follows['no result'].partition(':')[0]} |")
    other = f"crashed: {follows['crashed']}; disrupted, where the cluster itself ended it"
    rows.append(f"| any other | | an end that was not meant | {other} |")
    return "\n".join(rows)


def _checks() -> str:
    rows = [f"| {check.group} | `{check.name}` | {check.about} |" for check in CHECKS]
    return "\n".join(["| | check | what is checked |", "|---|---|---|", *rows])


_SECTIONS: Final[Mapping[str, Callable[[], str]]] = {
    **{section: partial(_fields, section) for section in MODELS},
    "bounds": _bounds,
    "codes": _codes,
    "checks": _checks,
}
