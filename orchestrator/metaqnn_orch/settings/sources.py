"""The sources of settings, the strongest first: flags, METAQNN_* environment variables, a file, a release, a preset.
Each value has its source noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TypedDict

from metaqnn_orch.errors import SettingsError, redacted
from metaqnn_orch.search.searcher import DEFAULT_METHOD
from metaqnn_orch.settings.following import Look, built_in, follow
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.presets import presets, source_of, suggestion
from metaqnn_orch.settings.strict_yaml import parse_mapping, parse_value
from metaqnn_orch.settings.values import flatten, known_keys, origin, parse_settings
from metaqnn_trainer.contract.messages import CLASSIFICATION
from metaqnn_trainer.spaces.base import DEFAULT_FAMILY

MAX_FILE_BYTES: Final = 1 << 16  # characters: a file that names every setting has three kilobytes
OTHER_VARIABLES: Final = frozenset(
    {
        "METAQNN_STORE",
        "METAQNN_RELEASE",
        "METAQNN_METRICS_PORT",
        "METAQNN_HEALTH_PORT",
        "METAQNN_TRACEBACK",
        "METAQNN_S3_ADDRESSING_STYLE",
    }
)  # variables that other modules read

RENAMED: Final = {"budget.target_accuracy": "budget.target"}
"""Older names of settings, which every source may still use."""

FLAGS: Final = {
    "execution.parallel": "--parallel",
    "execution.max_trials": "--max-trials",
    "seed": "--seed",
    "warm_start.run": "--warm-start-from",
    "budget.gpu_hours": "--gpu-hours",
    "budget.money": "--money",
    "budget.wall_clock_hours": "--wall-clock-hours",
    "budget.target": "--target",
    "budget.target_accuracy": "--target-accuracy",
    "budget.price_per_gpu_hour": "--price-per-gpu-hour",
    "tracking.mlflow": "--mlflow",
    "tracking.tensorboard": "--tensorboard",
}
"""Options that are settings, by the settings' keys."""

CHOICES: Final = {
    "search.method": DEFAULT_METHOD,
    "space.family": DEFAULT_FAMILY,
    "task.name": CLASSIFICATION.name,
}
"""Settings that choose a plug-in, and what they are where nobody says so. Its options stand beside them."""

_KEY: Final = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*")


class SettingsLayer(NamedTuple):
    """The values of one source, by their dotted keys."""

    source: str
    values: Mapping[str, Any]


class Layered(NamedTuple):
    """Settings in force, and for each dotted key the source that set it. Keys without one are defaults."""

    settings: Settings
    origins: dict[str, str]


class InForce(TypedDict):
    """A setting in force."""

    value: Any
    """The value; of an address, without keys and passwords."""
    origin: str
    """The source that set it; default where none did."""


def load_settings(
    preset_or_file: str,
    environment: Mapping[str, str],
    assignments: Sequence[str],
    flags: Mapping[str, Any],
    release: SettingsLayer | None = None,
    look: Look = built_in,
) -> Layered:
    """The settings of all sources together. `flags` are dotted keys with values. `look` looks the dataset up, where
    settings that follow from it are not said.

    Raises:
        SettingsError: one line with the source and the key.
    """
    values, origins = gather(preset_or_file, environment, assignments, flags, release, look)
    return Layered(parse_settings(values, {"": source_of(preset_or_file), **origins}), origins)


def in_force(layered: Layered) -> dict[str, InForce]:
    """Every setting by its dotted key: the fields of `metaqnn-orch config show -o json`."""
    return {
        key: {
            "value": redacted(value) if isinstance(value, str) else value,
            "origin": origin(key, layered.origins) or "default",
        }
        for key, value in flatten(layered.settings.model_dump(mode="json"))
    }


def continue_settings(
    begun: Mapping[str, Any],
    source: str,
    environment: Mapping[str, str],
    assignments: Sequence[str],
    flags: Mapping[str, Any],
    release: SettingsLayer | None = None,
) -> Settings:
    """Settings of a run that has begun, with the present sources over them; `source` says where the run's own come
    from. Raises as load_settings does.
    """
    base = [SettingsLayer(source, dict(flatten(begun))), *([release] if release else [])]
    values, origins = _stack(base, environment, assignments, flags)
    return parse_settings(values, {"": source, **origins})


def gather(
    preset_or_file: str,
    environment: Mapping[str, str],
    assignments: Sequence[str],
    flags: Mapping[str, Any],
    release: SettingsLayer | None = None,
    look: Look = built_in,
) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of all sources, nested and not yet checked, with what follows from the dataset, and the source of each
    dotted key. Raises as load_settings does.
    """
    presets, file = _preset_or_file(preset_or_file)
    values, origins = _stack([*presets, *([release] if release else []), *file], environment, assignments, flags)
    follow(values, origins, look, {preset.source: preset.values.get("dataset.name") for preset in presets})
    return values, origins


def _stack(
    base: Sequence[SettingsLayer], environment: Mapping[str, str], assignments: Sequence[str], flags: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    _by_present_names("the command line", flags)
    flags_given = (SettingsLayer(_flag(key), {key: value}) for key, value in flags.items())
    for group in [
        *([layer] for layer in base),
        [*_environment(environment), *map(_assignment, assignments), *flags_given],
    ]:
        _forget_options(values, origins, group)
        for source, layer in group:
            for key, value in _by_present_names(source, layer).items():
                if not _assign(values, key, value, source):
                    continue
                for old in [old for old in origins if old.startswith(key + ".")]:
                    del origins[old]
                origins[key] = source
    return values, origins


def _forget_options(values: dict[str, Any], origins: dict[str, str], group: Sequence[SettingsLayer]) -> None:
    """Where stronger sources choose another plug-in than weaker ones did, what those say of theirs is void."""
    chosen = {key: layer.values[key] for layer in group for key in CHOICES if key in layer.values}
    for key, name in chosen.items():
        section, _, leaf = key.partition(".")
        said = values.get(section, {})
        if not isinstance(said, dict) or said.get(leaf, CHOICES[key]) == name:
            continue
        values[section] = {}
        for old in [old for old in origins if old.startswith(section + ".")]:
            del origins[old]


def _by_present_names(source: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by the present names of the settings.

    Raises:
        SettingsError: one setting occurs under two names.
    """
    for old, new in RENAMED.items():
        if old in values and new in values:
            raise SettingsError(f"{source}: {old} is the older name of {new}: say one of them")
    return {RENAMED.get(key, key): value for key, value in values.items()}


def _preset(name: str) -> SettingsLayer:
    return SettingsLayer(str(presets()[name]), deepcopy(_said(name)))


@cache
def _said(name: str) -> dict[str, Any]:
    preset = presets()[name]
    return dict(flatten(parse_mapping(preset.read(), str(preset))))


def _preset_or_file(name: str) -> tuple[list[SettingsLayer], list[SettingsLayer]]:
    """The preset of that name, and no file; or the file of that name, with the preset that it builds on, if any."""
    if name in presets():
        return [_preset(name)], []
    content = parse_mapping(_read(name), name)
    base = content.pop("preset", None)
    if base is not None and base not in [*presets()]:  # the value may be of any type
        raise SettingsError(f"{name}: there is no preset {base!r}", hint=suggestion(str(base)))
    return [_preset(str(base))] if base is not None else [], [SettingsLayer(name, dict(flatten(content)))]


def _read(name: str) -> str:
    try:
        with Path(name).open("rb") as file:  # perhaps a pipe, whose size is unknown before its end
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise SettingsError(f"{name} is too long: a settings file has at most {MAX_FILE_BYTES} bytes")
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{name} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except (OSError, ValueError) as error:
        cause = "" if isinstance(error, FileNotFoundError) else f": {getattr(error, 'strerror', None) or error}"
        shown = repr(name if len(name) <= 80 else name[:77] + "...")
        raise SettingsError(f"{shown} is neither a preset nor a readable file{cause}", suggestion(name)) from None


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without variables that set settings."""
    return {
        variable: value
        for variable, value in environment.items()
        if not variable.startswith("METAQNN_") or variable in OTHER_VARIABLES
    }


def _environment(environment: Mapping[str, str]) -> Iterator[SettingsLayer]:
    by_variable = {"METAQNN_" + key.upper().replace(".", "__"): key for key in (*known_keys(), *RENAMED)}
    for variable in sorted(environment):
        if not variable.startswith("METAQNN_") or variable in OTHER_VARIABLES:
            continue
        key = by_variable.get(variable)
        if key is None:
            close = get_close_matches(variable, [*by_variable, *OTHER_VARIABLES], n=1)
            raise SettingsError(
                f"the environment has {variable}, which is no setting",
                hint=f"did you mean {close[0]}?" if close else "METAQNN_RECIPE__EPOCHS sets recipe.epochs, and so on",
            )
        yield SettingsLayer(variable, {key: parse_value(environment[variable], variable)})


def _assignment(text: str) -> SettingsLayer:
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not _KEY.fullmatch(key):
        raise SettingsError(f"--set takes KEY=VALUE, found {text[:80]!r}", hint="for example --set recipe.epochs=3")
    return SettingsLayer(f"--set {key}", {key: parse_value(value, f"--set {key}")})


def _flag(key: str) -> str:
    """The option that sets this key; of a key that has none, as from Python, the key itself."""
    return FLAGS.get(key, key)


def _assign(values: dict[str, Any], key: str, value: Any, source: str) -> bool:
    """Set a value, replacing the value of a weaker source. An empty section changes nothing: then False is returned."""
    *sections, leaf = key.split(".")
    for section in sections:
        if values.get(section) is None:  # unsaid, or taken away before
            values[section] = {}
        values = values[section]
        if not isinstance(values, dict):
            raise SettingsError(f"{source}: {section} is a single value, so {section}.{leaf} does not exist")
    if value == {} and values.get(leaf):
        return False
    values[leaf] = value
    return True
