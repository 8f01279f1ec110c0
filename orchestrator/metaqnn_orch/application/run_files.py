"""What trackers show beside the numbers of a run: epochs, and the files of the best net."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from metaqnn_orch.application import exports
from metaqnn_orch.application.parts import whole
from metaqnn_orch.application.trainer_call import TRAINER
from metaqnn_orch.control.retention import best_kept
from metaqnn_orch.errors import BadInput, LauncherError, NotFound, StoreError, one_line
from metaqnn_orch.reporting.curves import read_epochs
from metaqnn_orch.reporting.summary import RunView
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.result import EpochRecord
from metaqnn_trainer.store.base import Store

_FORMS = ("onnx", "safetensors")  # the second where ONNX is not installed: it is a module and weights


class RunFiles:
    """The files of a run, from its store. What cannot be read or made is left out, and said."""

    def __init__(
        self, store: Store, view: RunView, say: Callable[[str], None], trainer: Sequence[str] = TRAINER
    ) -> None:
        self._store = store
        self._view = view
        self._say = say
        self._trainer = trainer

    def epochs(self, trial: str) -> list[EpochRecord]:
        """The epochs of a trial; none where the store does not answer."""
        try:
            return read_epochs(self._store, self._view.record.run, trial)
        except StoreError:
            return []

    def best(self, folder: Path, known: str) -> str:
        """Write what the best trial left, its net as ONNX or as a module, and its model card, to `folder`, unless it is
        the `known` trial. Returns the trial's id; empty where nothing was written.
        """
        run, state = self._view.record.run, self._view.state
        try:
            if state.best is None or not (best := best_kept(self._store, run, state.best)).attempt:
                return ""
            if best.trial == known:
                return ""
            for name, data in whole(self._store, self._view, best).items():
                (folder / name).write_bytes(data)
        except (StoreError, MessageError) as error:
            self._say(f"the files of the best net are left out: {error}")
            return ""
        self._export(best.trial, folder)
        return best.trial

    def _export(self, trial: str, folder: Path) -> None:
        reasons = []
        for form in _FORMS:
            to = folder / f"net{exports.SUFFIXES[form]}"
            try:
                exports.export(
                    self._store, self._view.record.run, trial, form, to, report=lambda _: None, trainer=self._trainer
                )
                return
            except (BadInput, NotFound, LauncherError, StoreError) as error:
                reasons.append(one_line(str(error)))
        self._say(f"there is no model card beside the weights of trial {trial}: {reasons[-1]}")
