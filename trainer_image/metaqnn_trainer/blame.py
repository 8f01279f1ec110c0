"""Finds the plug-in behind an error of a trial, so that its reason names the one that has to be mended."""

from __future__ import annotations

from collections.abc import Iterator
from traceback import walk_tb
from typing import Final

from metaqnn_trainer.contract.messages import TrialSpec
from metaqnn_trainer.faults import cause
from metaqnn_trainer.plugins import Group, Plugin
from metaqnn_trainer.spaces.cnn.registry import LAYERS, registry

_OURS: Final = "metaqnn_trainer"


def blamed(error: BaseException, spec: TrialSpec) -> str:
    """What was raised, with the plug-in whose code raised it, or else all plug-ins of the trial; empty where it has
    none: then the fault is the trainer's own.
    """
    places = [place for member in spec.plugins for place in _places(member)]
    if not places:
        return ""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    for module in reversed(modules):  # the innermost frame is the last
        found = _owner(module, places)
        if found is not None:
            return f"{found} failed: {cause(error)}"
    plugins = dict.fromkeys(str(plugin) for _, plugin in places)
    return f"{cause(error)}; the trial uses the {', the '.join(plugins)}"


def _places(member: str) -> Iterator[tuple[str, Plugin]]:
    """The modules of an installed plug-in; `member` is its group and name, as a trial's specification has them."""
    group, _, name = member.rpartition(":")
    plugin = Group(group, "").members().get(name)
    if plugin is None:
        return
    yield plugin.value.partition(":")[0], plugin
    if group == LAYERS.entry_points:
        for kind in registry().kinds.values():
            if registry().sources[kind.name] == plugin:
                yield kind.builder.partition(":")[0], plugin


def _owner(module: str, places: list[tuple[str, Plugin]]) -> Plugin | None:
    """The plug-in to which a module belongs: itself, or as another module of the same package."""
    package = module.partition(".")[0]
    if package in ("", _OURS):
        return None
    exact = (plugin for place, plugin in places if place == module)
    near = (plugin for place, plugin in places if place.partition(".")[0] == package)
    return next(exact, None) or next(near, None)
