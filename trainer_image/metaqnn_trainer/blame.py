"""Finds the plug-in behind an error of a trial, so that its reason names the one that has to be mended."""

from __future__ import annotations

from typing import Final

from metaqnn_trainer.contract.messages import TrialSpec
from metaqnn_trainer.faults import cause
from metaqnn_trainer.plugins import TASKS, Group, Plugin, culprit
from metaqnn_trainer.spaces.base import SPACES
from metaqnn_trainer.spaces.cnn.registry import LAYERS, registry

_GROUPS: Final = (TASKS, SPACES, LAYERS)


def blamed(error: BaseException, spec: TrialSpec) -> str:
    """What was raised, with the plug-in whose code raised it, or else all plug-ins of the trial; empty where it has
    none: then the fault is the trainer's own.
    """
    if (found := culprit(error, _GROUPS, _builders(spec))) is not None:
        return f"{found} failed: {cause(error)}"
    members = (member.rpartition(":") for member in spec.plugins)  # of each its group and name
    used = [str(plugin) for group, _, name in members if (plugin := Group(group, "").members().get(name))]
    return f"{cause(error)}; the trial uses the {', the '.join(used)}" if used else ""


def _builders(spec: TrialSpec) -> list[tuple[str, Plugin]]:
    """Places of the builders of the layer kinds that the trial uses: a builder has a module of its own."""
    layers = registry()
    sources = ((kind.builder, layers.sources[kind.name]) for kind in layers.kinds.values())
    return [(place, plugin) for place, plugin in sources if f"{plugin.group}:{plugin.name}" in spec.plugins]
