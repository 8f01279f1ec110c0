"""Settings as plain values: parsing them, with errors by dotted key, and comparing them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import isfinite
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from metaqnn_orch.errors import KNOWN, SettingsError
from metaqnn_orch.settings.blame import failure
from metaqnn_orch.settings.errors import UNKNOWN, place_of, sentence
from metaqnn_orch.settings.model import DatasetSettings, Settings
from metaqnn_orch.settings.plugged import shape_of
from metaqnn_trainer.spaces.cnn.registry import registry
from metaqnn_trainer.spaces.cnn.rules import SpaceRules

_WANTS_A_MAPPING: Final = {"dataclass_type", "dict_type", "mapping_type", "model_type"}  # errors of pydantic


def parse_settings(values: Mapping[str, Any], origins: Mapping[str, str] = MappingProxyType({})) -> Settings:
    """Parse nested plain values, as read from YAML, into settings. Of a section or another mapping that is null, as in
    Helm's values, the defaults hold. `origins` gives the source of dotted keys, and under "" the source of all others.

    Raises:
        SettingsError: the first thing that is wrong, by its dotted key, and how many more there are.
    """
    _refuse_endless(values, origins)
    text = _as_json(values)
    shape = shape_of(values)
    try:
        return _validated(shape, text, values)
    except ValidationError as error:
        # An error of this project's own rules says more than one about a type in another branch of a union.
        found = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "value_error")
        first, places = dict(found[0]), {place_of(dict(other)) for other in found}
        source = _origin_of_error(place_of(first), origins)
        raise SettingsError(
            sentence(first, [*known_keys(), *option_keys(shape)])
            + (f" (from {source})" if source else "")
            + (f", and {len(places) - 1} more" if len(places) > 1 else ""),
            hint=_hint(first),
        ) from None
    except Exception as error:  # the options of a plug-in may raise any
        if isinstance(error, KNOWN) or (blamed := failure(error)) is None:
            raise
        raise blamed from error


def _hint(error: Mapping[str, Any]) -> str:
    """What to do about a setting that is refused."""
    if error["type"] in UNKNOWN and place_of(error).startswith("space.") and isinstance(error["input"], Mapping):
        said = "".join(f"; {line}" for line in registry().failures)
        return f"such a section is that of a layer kind, and metaqnn-orch config plugins lists those installed{said}"
    return "metaqnn-orch config show digits lists all settings"


def _as_json(values: Mapping[str, Any]) -> str:
    """
    Raises:
        SettingsError: a value is no JSON.
    """
    try:
        return json.dumps(values, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"settings contain a value that is neither text, number, list nor mapping: {error}"
        ) from None


def _validated(shape: type[Settings], text: str, values: Mapping[str, Any]) -> Settings:
    """The settings, without mappings that are null where null is no value. `text` has the values as JSON.

    Raises:
        ValidationError: they break a rule.
    """
    try:
        return shape.model_validate_json(text)
    except ValidationError as error:
        left = dict(values)
        for one in error.errors(include_url=False):
            if one["type"] in _WANTS_A_MAPPING and one["input"] is None:
                left = _without(left, one["loc"])
        if left == values:
            raise
    return shape.model_validate_json(json.dumps(left))


def _without(values: dict[str, Any], place: tuple[int | str, ...]) -> dict[str, Any]:
    """The values without the null on the way to this place. One in a list is no setting, and stays."""
    name, rest = str(place[0]), place[1:]
    inner = values.get(name, ...)
    if inner is None:
        return {key: value for key, value in values.items() if key != name}
    return {**values, name: _without(inner, rest)} if isinstance(inner, dict) and rest else values


def _refuse_endless(values: Mapping[str, Any], origins: Mapping[str, str]) -> None:
    """Refuse numbers that are none, or without end. A file cannot hold any; an option and Python can.

    Raises:
        SettingsError: a value is one.
    """
    for key, value in flatten(values):
        if isinstance(value, float) and not isfinite(value):
            source = origin(key, origins)
            raise SettingsError(f"{key} must be a finite number, got {value}" + (f" (from {source})" if source else ""))


def origin(key: str, origins: Mapping[str, str]) -> str:
    """The source of a setting, or of the nearest section above it that was set as a whole; the root's is under ""."""
    while key and key not in origins:
        key = key.rpartition(".")[0]
    return origins.get(key, "")


def _origin_of_error(place: str, origins: Mapping[str, str]) -> str:
    """The source in which to look for an error: the source of the place itself; or of everything below it, if that is
    one source; else the root's, which stands for missing settings. A contradiction between settings has no source.
    """
    below = {source for key, source in origins.items() if key.startswith(f"{place}.")}
    if place in origins or not below:
        return origin(place, origins) if place else ""
    return below.pop() if len(below) == 1 else ""


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted keys of nested mappings with their values, in order."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """One line for each dotted key whose value differs."""
    old, new = dict(flatten(before)), dict(flatten(after))

    def shown(values: dict[str, Any], key: str) -> str:
        return json.dumps(values[key]) if key in values else "(absent)"

    return [
        f"{key}: {shown(old, key)} -> {shown(new, key)}"
        for key in dict.fromkeys([*old, *new])
        if old.get(key, ...) != new.get(key, ...)
    ]


def defaults() -> Settings:
    """Settings that say only what must be said."""
    return Settings(dataset=DatasetSettings(name="x"), space=SpaceRules(image_size=8, channels=1, classes=2))


def known_keys() -> list[str]:
    """Every dotted key that a setting may have; the keys of the search come before those that depend on it."""
    values = defaults().model_dump(mode="json")
    # options of which only some can be given together
    values["space"]["pooling"] = dict.fromkeys(("shapes", "kernels", "strides"))
    return [key for key, _ in flatten(values)]


def option_keys(shape: type[Settings]) -> list[str]:
    """The dotted keys of the options of the plug-ins that these settings choose."""
    found = []
    for section in ("search", "space"):
        options: Any = shape.model_fields[section].annotation
        names = getattr(options, "model_fields", None) or getattr(options, "__dataclass_fields__", {})
        found += [f"{section}.{name}" for name in names]
    return found
