"""Asks the trainer on this machine, before there is a run, whether it can train the nets that the settings ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from metaqnn_orch.application.trainer_call import TRAINER, call
from metaqnn_orch.control.objective import SECONDS
from metaqnn_orch.control.record import trial_spec
from metaqnn_orch.control.try_out import some_design
from metaqnn_orch.errors import BadInput, LauncherError
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.codec import canonical_json
from metaqnn_trainer.contract.messages import CLASSIFICATION, CLASSIFIED, DatasetRef
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.extras import lack
from metaqnn_trainer.spaces.base import DEFAULT_FAMILY
from metaqnn_trainer.spaces.cnn.registry import registry

UNKNOWN_DIGEST: Final = "0" * 16
"""Stands for the digest of a dataset that is not made yet."""
_HINT: Final = "metaqnn-orch config plugins lists what is installed; nothing was created"
_OTHERS: Final = "name one of these, or one that the space knows of a net; nothing was created"


class Step(NamedTuple):
    """One step that the trainer trained."""

    net: str
    device: str
    examples: int
    """Training examples of the step."""
    of: int
    """Training examples of the dataset."""
    measures: list[str]
    """Names of the measures; empty where measuring would have taken too long."""
    seconds: float


class _Answer(NamedTuple):
    """What the trainer says of the settings."""

    measures: list[str]
    """The measures that the task declares; empty where it declares none."""
    step: dict[str, Any] | None


def prove_equipment(settings: Settings, trainer: Sequence[str] = TRAINER) -> str:
    """Have a trainer load the run's task, with its options, and the builders of its layer kinds, and compare the
    measures that the settings name with those of the task. What is built in is not asked for: then no process is
    started, and the text is empty. Returns what was proved, in words.

    Raises:
        BadInput: the trainer cannot use one of them, or there is no such measure; the words name it.
        LauncherError: there is no trainer on this machine, or it failed.
    """
    task, layers = settings.task.name, _layers(settings)
    if task == CLASSIFICATION.name and not layers:
        _check_measures(settings, CLASSIFIED)
        return ""
    _check_measures(settings, _asked(settings, trainer, layers).measures)
    return ", ".join([f"task {task}", *(f"layers {name}" for name in layers)])


def prove_elsewhere(settings: Settings, trainer: Sequence[str] = TRAINER) -> str:
    """The same for a run that is trained in another place, as far as it can be known here: what is wrong with the
    settings is wrong there, too, but what cannot be loaded here may be there. Without torch nothing is asked. The
    measures of the built-in task are not compared, because that place may have another trainer.

    Raises:
        BadInput: as `prove_equipment` says, where the settings are the cause.
    """
    layers = _layers(settings)
    if lack("train") or (settings.task.name == CLASSIFICATION.name and not layers):
        return ""
    try:
        return prove_equipment(settings, trainer)
    except (_Lacking, LauncherError):
        return ""


def prove_step(settings: Settings, store: str, dataset: DatasetRef, trainer: Sequence[str] = TRAINER) -> Step:
    """The same, and have it train one step on a dataset of this store. Whatever is built in is asked for, too.

    Raises:
        BadInput, LauncherError: as `prove_equipment` says, or the step failed.
        StoreError: the store does not answer.
    """
    answer = _asked(settings, trainer, _layers(settings), store, dataset)
    assert answer.step is not None
    step = Step(net=some_design(settings), **answer.step)
    _check_measures(settings, step.measures or answer.measures)
    return step


class _Lacking(BadInput):
    """The trainer of this machine lacks something: perhaps another one does not."""


def _asked(
    settings: Settings,
    trainer: Sequence[str],
    layers: Sequence[str],
    store: str | None = None,
    dataset: DatasetRef | None = None,
) -> _Answer:
    ref = dataset or DatasetRef(name=settings.dataset.name, digest=settings.dataset.digest or UNKNOWN_DIGEST)
    spec = trial_spec(settings, ref, {}, some_design(settings))  # what is installed here is what is asked for
    arguments = [f"--spec={canonical_json(spec.model_dump(mode='json')).decode()}"]
    arguments += [f"--layer={name}" for name in layers]
    answer = call(["check", *arguments, *([f"--store={store}"] if store else [])], lambda line: None, trainer)
    words = answer.last_words.replace("task.options.", "task.").replace("space.options.", "space.")  # as settings do
    if answer.code in (ExitCode.BAD_REQUEST, ExitCode.UNEQUIPPED, ExitCode.DATASET):
        kind = BadInput if answer.code == ExitCode.BAD_REQUEST else _Lacking
        raise kind(f"no net of this run could be trained: {words}", hint=_HINT)
    return answer.told(_Answer, "no net of this run could be trained", "trying the run's task")


def _check_measures(settings: Settings, measures: Sequence[str]) -> None:
    """Check that the task has the measures that objective and front name; nothing is known where it declares none.

    Raises:
        BadInput: it has not.
    """
    objective = settings.objective
    named = {
        "objective.measure": [objective.measure] if objective.measure else [],
        "objective.soft_limits": [*objective.soft_limits],
        "the front": [] if settings.nets else [*settings.searcher().goals],
    }
    if not measures or not any(named.values()):
        return
    known = [*settings.state_space().measures(some_design(settings)), *measures]
    for key, names in named.items():
        there = dict.fromkeys([*known, SECONDS] if key.startswith("objective") else known)
        if lost := [name for name in names if name not in there]:
            raise BadInput(
                f"{key} names the measure {lost[0]}, which no result of task {settings.task.name} will have: there are "
                + ", ".join(there),
                hint=_OTHERS,
            )


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
