"""The plug-ins that are installed: their names, their distributions, and whether they can be loaded."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final, NamedTuple

from metaqnn_orch.search.searcher import SEARCHERS
from metaqnn_trainer.catalogue import SOURCES
from metaqnn_trainer.contract.errors import PluginError
from metaqnn_trainer.plugins import TASKS, Plugin
from metaqnn_trainer.spaces.base import SPACES
from metaqnn_trainer.spaces.cnn.registry import LAYERS

GROUPS: Final = {"searcher": SEARCHERS, "space": SPACES, "layer": LAYERS, "task": TASKS, "dataset": SOURCES}


_TRAINERS: Final = (TASKS.entry_points, SOURCES.entry_points)


class Installed(NamedTuple):
    """One plug-in."""

    kind: str
    """Kind of plug-in: searcher, space, layer, task or dataset."""
    name: str
    """Its name in settings."""
    distribution: str
    """Distribution with its version; empty where the plug-in is built in."""
    value: str
    """Where the plug-in's object is: package.module:attribute."""
    trouble: str
    """Why the plug-in cannot be used, in one line; empty where it can."""


def list_plugins() -> list[Installed]:
    """All plug-ins. Each is loaded to learn whether it can be, except those that need torch on a machine without
    torch.
    """
    return [
        Installed(kind, plugin.name, plugin.identity, plugin.value, _trouble(plugin))
        for kind, group in GROUPS.items()
        for plugin in (*group.members().values(), *group.refused())
    ]


def _trouble(plugin: Plugin) -> str:
    if plugin.group in _TRAINERS and find_spec("torch") is None:
        return "not checked: it needs torch, which only the trainer has"
    try:
        plugin.load()
    except PluginError as error:
        return str(error)
    return ""
