"""Settings whose model depends on plug-ins: `search` on the searcher, `space` on the family.

The options of a plug-in become settings like all others: they are checked, unknown ones are refused, and `config show`
shows them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields as fields_of
from dataclasses import is_dataclass, make_dataclass
from functools import cache
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model

from metaqnn_orch.errors import SettingsError, one_line
from metaqnn_orch.search.searcher import DEFAULT_METHOD, SEARCHERS
from metaqnn_orch.settings.following import PLUGINS_HINT
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.search import ConfirmSettings
from metaqnn_orch.settings.section import Section
from metaqnn_trainer.contract.errors import PluginError
from metaqnn_trainer.contract.messages import CLASSIFICATION
from metaqnn_trainer.plugins import TASKS, Group
from metaqnn_trainer.spaces.base import DEFAULT_FAMILY, SPACES
from metaqnn_trainer.spaces.cnn.common import CommonRules
from metaqnn_trainer.spaces.cnn.rules import installed_kinds

_STRICT: Final[ConfigDict] = {"frozen": True, "extra": "forbid", "strict": True, "allow_inf_nan": False}


def shape_of(values: Mapping[str, Any]) -> type[Settings]:
    """The model for these plain values: it follows from `search.method` and `space.family`.

    Raises:
        SettingsError: there is no such plug-in, or it cannot be loaded.
    """
    method = _choice(values, "search", "method", DEFAULT_METHOD)
    family = _choice(values, "space", "family", DEFAULT_FAMILY)
    return _shape(method, family)


@cache
def _shape(method: str, family: str) -> type[Settings]:
    fields: dict[str, Any] = {}
    searcher = _load(SEARCHERS, method, "search.method")
    with _usable(SEARCHERS, method, "search.method"):
        _check_confirm(searcher)
        _check_section(searcher)
        if searcher.section == "search":
            options = _with_choice(searcher.Options, "method", method, confirm=ConfirmSettings)
            fields["search"] = (options, Field(default_factory=options))
    if family != DEFAULT_FAMILY:
        fields["space"] = (_space(family), ...)
    return create_model("Settings", __base__=Settings, **fields) if fields else Settings


@cache
def _space(family: str) -> type[Any]:
    """One type for each family, whatever the searcher: settings of two runs are compared."""
    loaded = _load(SPACES, family, "space.family")
    with _usable(SPACES, family, "space.family"):
        kind: type[Any] = _with_choice(loaded.Options, "family", family)
        TypeAdapter(kind)
    return kind


def _choice(values: Mapping[str, Any], section: str, key: str, default: str) -> str:
    said = values.get(section)
    name = said.get(key, default) if isinstance(said, Mapping) else default
    return name if isinstance(name, str) else default  # a value that is no text is refused later, with all other errors


def _load(group: Group, name: str, key: str) -> Any:
    try:
        return group.load(name)
    except PluginError as error:
        raise SettingsError(f"{key}: {error}", PLUGINS_HINT) from error


@contextmanager
def _usable(group: Group, name: str, key: str) -> Iterator[None]:
    """
    Raises:
        SettingsError: no settings can be made of what the plug-in says.
    """
    try:
        yield
    except Exception as error:  # a foreign class may raise any exception
        kind = "" if isinstance(error, PluginError) else f"{type(error).__name__}: "
        cause = f"{kind}{one_line(str(error))}"
        raise SettingsError(f"{key}: {group.find(name)} cannot be used: {cause}", PLUGINS_HINT) from error


def _check_confirm(searcher: Any) -> None:
    own: Any = getattr(searcher, "confirm", None)
    try:
        top, repeats = own
        ConfirmSettings(top=top, repeats=repeats)
    except (TypeError, ValueError):
        raise PluginError(f"confirm is {one_line(repr(own))}, and no Confirm") from None


def _check_section(searcher: Any) -> None:
    if searcher.section != "search" and searcher.section not in Settings.model_fields:
        raise PluginError(f"section is {one_line(repr(searcher.section))}, and no section of the settings")


def _with_choice(options: Any, key: str, name: str, **sections: type[Section]) -> Any:
    """The options' model with one field more, which names the plug-in, and with the sections that every plug-in of its
    kind has; unknown keys are refused.
    """
    literal = Literal[name]  # type: ignore[valid-type]
    its_own = {field.name for field in fields_of(options)} if is_dataclass(options) else {}
    if taken := sections.keys() & getattr(options, "model_fields", its_own):
        raise PluginError(f"Options has the field {min(taken)}, which every searcher has already")
    if is_dataclass(options):
        kind: Any = options
        config = {"__pydantic_config__": {key: value for key, value in _STRICT.items() if key != "frozen"}}
        frozen = kind.__dataclass_params__.frozen
        return make_dataclass(
            kind.__name__,
            [(key, literal, name), *((added, section, section()) for added, section in sections.items())],
            bases=(kind,),
            namespace=config,
            frozen=frozen,
            kw_only=True,
        )
    if isinstance(options, type) and issubclass(options, BaseModel):
        meta: Any = type(options)
        inside: dict[str, Any] = {"__annotations__": {key: literal, **sections}, key: name, "model_config": _STRICT}
        inside |= {added: section() for added, section in sections.items()}
        inside |= {"__module__": options.__module__, "__doc__": options.__doc__}
        return meta(options.__name__, (options,), inside)
    raise PluginError("Options is neither a dataclass nor a pydantic model")


def plugins_of(settings: Settings) -> dict[str, str]:
    """The installed plug-ins that these settings name, by group and name, with distribution and version. Built-in ones
    are left out. Of layer kinds it names those that the nets of the settings may have.

    Raises:
        SettingsError: one of them is not installed.
    """
    found = installed_kinds(settings.space) if isinstance(settings.space, CommonRules) else {}
    for net in settings.nets:
        found |= settings.state_space().plugins(net)
    for group, name, key in (
        (SEARCHERS, settings.search.method, "search.method"),
        (SPACES, settings.space.family, "space.family"),
        (TASKS, settings.task.name, "task.name"),
    ):
        if (group, name) == (TASKS, CLASSIFICATION.name):
            continue  # the trainer has it, and this machine need not have it
        try:
            plugin = group.find(name)
        except PluginError as error:
            hint = "install it here, too: its version is part of what a trial is" if group is TASKS else PLUGINS_HINT
            raise SettingsError(f"{key}: {error}", hint) from None
        if plugin.identity:
            found[f"{group.entry_points}:{name}"] = plugin.identity
    return found


def design_options(settings: Settings) -> dict[str, Any]:
    """The options of the space that a trainer needs to read a design: none for the cnn family, whose designs say
    everything.
    """
    if settings.space.family == DEFAULT_FAMILY:
        return {}
    values = json.loads(TypeAdapter(type(settings.space)).dump_json(settings.space))
    return {key: value for key, value in values.items() if key != "family"}
