"""doctor's part about plug-ins: whether the searcher, the space and the task of the settings can be used here."""

from __future__ import annotations

from collections.abc import Iterator

from metaqnn_orch.application.doctor.diagnosis import Diagnosis, Mark, tried
from metaqnn_orch.application.equipment import prove_elsewhere
from metaqnn_orch.application.installed import trouble_of
from metaqnn_orch.control.try_out import try_out
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.plugged import plugins_of
from metaqnn_trainer.contract.messages import CLASSIFICATION
from metaqnn_trainer.plugins import TASKS
from metaqnn_trainer.spaces.cnn.registry import registry

_FIX = "metaqnn-orch config plugins lists what is installed"


def examine_plugins(settings: Settings, *, task: bool = True) -> Iterator[Diagnosis]:
    """The searcher is asked for a first proposal, and the space for a design. With `task` the task is loaded, where
    torch is; a trainer that is started here does that itself.
    """

    def asked() -> str:
        try_out(settings)
        names = ", ".join(sorted({*plugins_of(settings).values()}))
        return names or "built in"

    yield tried("plug-ins: searcher and space answer", asked)
    name = settings.task.name
    if task and name != CLASSIFICATION.name and (found := TASKS.members().get(name)) is not None:
        trouble = trouble_of(found)
        mark = Mark.GOOD if not trouble else Mark.UNKNOWN if trouble.startswith("not checked") else Mark.BAD
        yield Diagnosis(f"plug-ins: task {name}", mark, trouble or found.identity, _FIX)
    if task and (seen := tried("plug-ins: the settings of the task", lambda: prove_elsewhere(settings))).detail:
        yield seen
    for trouble in registry().failures:
        yield Diagnosis("plug-ins: a layer kind", Mark.UNKNOWN, trouble, _FIX)
