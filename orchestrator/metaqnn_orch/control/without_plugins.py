"""What can be said of a run whose plug-ins are not installed: everything that its journal says.

A searcher is needed to propose, and a space to make and check designs. To read trials, neither is. Whatever needs the
one that is missing says so, with the command that installs it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import ConfigDict, Field, PrivateAttr, ValidationError, create_model

from metaqnn_orch.errors import PluginsMissing, SettingsError
from metaqnn_orch.search.bystander import Bystander
from metaqnn_orch.search.searcher import SEARCHERS, Confirm, Searcher, Setup
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.plugged import plugins_of, shape_of
from metaqnn_orch.settings.search import SearchSettings
from metaqnn_orch.settings.section import Section
from metaqnn_trainer.contract.messages import ModelOptions, Recipe
from metaqnn_trainer.spaces.base import DEFAULT_FAMILY, Part, Space
from metaqnn_trainer.spaces.cnn.registry import LAYERS

Plugins = Mapping[str, str]
"""Plug-ins by group and name, each with its distribution and version."""


def missing(plugins: Plugins) -> str:
    """What a run with these plug-ins needs that is not installed here in these versions, in words; empty where nothing
    is missing.
    """
    needs = sorted({identity for identity in plugins.values() if not _is_installed(identity)})
    return f"needs {', '.join(needs)}, which {'are' if len(needs) > 1 else 'is'} not installed here" if needs else ""


def refuse_missing(run: str, plugins: Plugins) -> None:
    """
    Raises:
        PluginsMissing: one of the run's plug-ins is not installed here, or in another version.
    """
    if needs := missing(plugins):
        raise PluginsMissing(f"run {run} {needs}", pip_install(plugins))


def pip_install(plugins: Plugins) -> str:
    """The command that installs those of these plug-ins that are missing; empty where none is."""
    needs = sorted({"==".join(identity.split()) for identity in plugins.values() if not _is_installed(identity)})
    return f"pip install {' '.join(needs)}" if needs else ""


def of_trials(plugins: Plugins) -> Plugins:
    """The plug-ins that decide what is trained, which are all but the searchers."""
    return {plugin: identity for plugin, identity in plugins.items() if not is_searcher(plugin)}


def of_every_trial(plugins: Plugins) -> Plugins:
    """The plug-ins on which every trial depends. Of layer kinds, a trial depends on those in its net alone."""
    return {plugin: identity for plugin, identity in of_trials(plugins).items() if not _is_layer(plugin)}


def _is_installed(identity: str) -> bool:
    name, _, wanted = identity.partition(" ")
    try:
        return version(name) == wanted
    except PackageNotFoundError:
        return False


def other_plugins(begun: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    """A line for each plug-in that decides what is trained and of which another version is installed now. A searcher is
    not among them: it decides only what is proposed next, and the journal says what it proposed. Of layer kinds only
    those count that `begun` names: earlier releases named none.
    """
    return [
        f"{key} {name}: {begun.get(plugin, 'built in')} -> {present.get(plugin, 'built in')}"
        for plugin in dict.fromkeys([*of_trials(begun), *of_every_trial(present)])
        for key, _, name in [plugin.partition(":")]
        if begun.get(plugin) != present.get(plugin)
    ]


def present_plugins(run: str, begun: Plugins, settings: Settings) -> dict[str, str]:
    """What `plugins_of` says of settings of a run, which began with the plug-ins `begun`.

    Raises:
        PluginsMissing: one of these is not installed here.
        SettingsError: another one that the settings name is not.
    """
    try:
        return plugins_of(settings)
    except SettingsError:
        refuse_missing(run, of_trials(begun))
        raise


def is_searcher(plugin: str) -> bool:
    """Whether this is a searcher; `plugin` is a group and a name."""
    return plugin.startswith(SEARCHERS.entry_points + ":")


def _is_layer(plugin: str) -> bool:
    return plugin.startswith(LAYERS.entry_points + ":")


class _Search(SearchSettings):
    """The section of any searcher, with its options as they were written."""

    model_config = ConfigDict(extra="allow")


class _SpaceOptions(Section):
    """The section of any space, with its options as they were written."""

    model_config = ConfigDict(extra="allow")

    family: str = DEFAULT_FAMILY


class Readable(Settings):
    """Settings as they were written, whose searcher can be asked nothing."""

    search: _Search = _Search()
    _lack: SettingsError = PrivateAttr(default_factory=lambda: PluginsMissing("a plug-in is missing"))

    @property
    def lack(self) -> SettingsError:
        """Why the run's own settings cannot be made here: what it lacks, and as the hint, the command that installs
        that.
        """
        return self._lack

    def searcher(self, *, learning: bool = True) -> Searcher:
        """One that takes the place of the run's own, whatever is asked for."""
        return Bystander(Setup(self.state_space(), self.search, self.randomness, self.phases()))

    @property
    def confirm(self) -> Confirm:
        """What was said of it; nothing where the searcher's own numbers held."""
        return Confirm(self.search.confirm.top or 0, self.search.confirm.repeats or 1)


class _WithoutSpace(Readable):
    """The same, and its space can be asked nothing."""

    space: _SpaceOptions = Field(...)  # type: ignore[assignment]  # it takes that one's place

    def state_space(self) -> Space:
        return _Designs(self.space, self.lack)


class _Designs(Space):
    """Takes the place of a space that is not known: a design is its text, and nothing else is known of it."""

    Options = _SpaceOptions
    start = None

    def __init__(self, options: Any, lack: SettingsError) -> None:
        super().__init__(options, ModelOptions())
        self._lack = lack

    def legal(self, state: Any) -> Sequence[Any]:
        raise self._unknown()

    def step(self, state: Any, move: Any) -> Any | None:
        raise self._unknown()

    def text(self, moves: Sequence[Any]) -> str:
        raise self._unknown()

    def parse(self, text: str) -> list[Any]:
        raise self._unknown()

    def describe(self, design: str) -> list[Part]:
        raise self._unknown()

    def recipe(self, design: str, recipe: Recipe) -> Recipe:
        raise self._unknown()

    def canonical(self, text: str) -> str:
        return text

    def check(self, design: str) -> None:
        """Accept the design, as the run did when it began."""

    def measures(self, design: str) -> dict[str, float]:
        """None: what the journal says of a trial is all that is known."""
        return {}

    def _unknown(self) -> PluginsMissing:
        return PluginsMissing(str(self._lack), self._lack.hint)


def readable(run: str, settings: Mapping[str, Any], lack: SettingsError) -> Settings:
    """The settings in a run's record, for those who only read its trials. They have the run's space where that is
    installed. `lack` says why its own settings cannot be made.

    Raises:
        SettingsError: they are no settings, whatever is installed.
    """
    found = _as_written(run, settings)
    found._lack = lack
    return found


def _as_written(run: str, settings: Mapping[str, Any]) -> Readable:
    text = json.dumps(settings)
    with suppress(SettingsError, ValidationError):
        space: Any = shape_of({"space": settings["space"]}).model_fields["space"].annotation
        shape: Any = create_model("Readable", __base__=Readable, space=(space, ...))
        found: Readable = shape.model_validate_json(text)
        return found
    try:
        return _WithoutSpace.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise SettingsError(f"the settings of run {run} cannot be read: {place}: {first['msg']}") from None
