"""Asks the trainer on this machine, before there is a run, whether it can use the plug-ins that the run names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from metaqnn_orch.application.trainer_call import TRAINER, call
from metaqnn_orch.errors import BadInput
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.codec import canonical_json
from metaqnn_trainer.contract.messages import CLASSIFICATION
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.spaces.base import DEFAULT_FAMILY
from metaqnn_trainer.spaces.cnn.registry import registry

_HINT: Final = "metaqnn-orch config plugins lists what is installed; nothing was created"


def prove_equipment(settings: Settings, trainer: Sequence[str] = TRAINER) -> str:
    """Have a trainer load the run's task, with its options, and the builders of its layer kinds. What is built in is
    not asked for: then no process is started, and the text is empty. Returns what was proved, in words.

    Raises:
        BadInput: the trainer cannot use one of them; its words name it.
        LauncherError: there is no trainer on this machine, or it failed.
    """
    task, layers = settings.task, _layers(settings)
    if task.name == CLASSIFICATION.name and not layers:
        return ""
    said = canonical_json({"name": task.name, "options": task.model_extra or {}}).decode()
    answer = call(["check", "--task", said, *(f"--layer={name}" for name in layers)], lambda line: None, trainer)
    if answer.code in (ExitCode.BAD_REQUEST, ExitCode.UNEQUIPPED):
        words = answer.last_words.replace("task.options.", "task.")  # as the settings name them
        raise BadInput(f"no net of this run could be trained: {words}", hint=_HINT)
    if answer.code != ExitCode.DELIVERED:
        raise answer.error("loading the run's task")
    return ", ".join([f"task {task.name}", *(f"layers {name}" for name in layers)])


def _layers(settings: Settings) -> list[str]:
    """The installed layer kinds of which the settings say anything, by their names in the text of a net."""
    if settings.space.family != DEFAULT_FAMILY:
        return []
    found = registry()
    return [
        name
        for name, kind in found.kinds.items()
        if found.sources[name].distribution and kind.section and getattr(settings.space, kind.section) != kind.rules
    ]
