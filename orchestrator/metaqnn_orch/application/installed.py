"""The plug-ins that are installed: their names, their distributions, and whether they can be loaded."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from metaqnn_orch.errors import SettingsError
from metaqnn_orch.search.searcher import SEARCHERS
from metaqnn_orch.settings.plugged import shape_of
from metaqnn_orch.settings.presets import presets, unused
from metaqnn_trainer.catalogue import SOURCES
from metaqnn_trainer.contract.errors import PluginError
from metaqnn_trainer.plugins import TASKS, Plugin
from metaqnn_trainer.spaces.base import SPACES
from metaqnn_trainer.spaces.cnn.registry import LAYERS, registry

GROUPS: Final = {"searcher": SEARCHERS, "space": SPACES, "layer": LAYERS, "task": TASKS, "dataset": SOURCES}


_TRAINERS: Final = (TASKS.entry_points, SOURCES.entry_points)
_WITH_SETTINGS: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    SEARCHERS.entry_points: lambda name: {"search": {"method": name}},
    SPACES.entry_points: lambda name: {"space": {"family": name}},
}
"""The settings that choose a plug-in, by group."""


class Installed(NamedTuple):
    """One plug-in."""

    kind: str
    """Kind of plug-in: searcher, space, layer, task, dataset or preset."""
    name: str
    """Its name in settings; of a preset, the name that `start` takes."""
    distribution: str
    """Distribution with its version; empty where the plug-in is built in."""
    value: str
    """Where the plug-in's object is: package.module:attribute. Of a preset, its package."""
    trouble: str
    """Why the plug-in cannot be used, in one line; empty where it can."""


def list_plugins() -> list[Installed]:
    """All plug-ins. Each is loaded to learn whether it can be, except those that need torch on a machine without
    torch.
    """
    found = [
        Installed(kind, plugin.name, plugin.identity, plugin.value, trouble_of(plugin))
        for kind, group in GROUPS.items()
        for plugin in (*group.members().values(), *group.refused())
    ]
    named = [*presets().values(), *unused()]
    return found + [Installed("preset", one.name, one.identity, one.package, one.trouble) for one in named]


def trouble_of(plugin: Plugin) -> str:
    """Why the plug-in cannot be used, in one line; empty where it can."""
    if plugin.group in _TRAINERS and find_spec("torch") is None:
        return "not checked: it needs torch, which only the trainer has"
    if plugin.group == LAYERS.entry_points:
        return registry().troubles.get(plugin, "")  # kinds may stand in each other's way
    if plugin.group in _WITH_SETTINGS and not plugin.trouble:
        try:
            shape_of(_WITH_SETTINGS[plugin.group](plugin.name))
        except SettingsError as error:
            return str(error).partition(": ")[2]
        return ""
    try:
        plugin.load()
    except PluginError as error:
        return str(error)
    return ""
