"""The tracker for TensorBoard: curves over the trials of a run, and in a folder for each trial those of its epochs.

The event file of the run is written again from the journal whenever a session begins, because a point that is written
twice would be shown twice. A trial's is written once: its folder has its name only when it is complete. So one process
at a time shows a run; another waits a while, and then says so.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from tensorboardX import SummaryWriter

from metaqnn_orch.control.objective import tells_accuracy
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.reporting.tracking import Files, Point
from metaqnn_trainer.alone import alone

SUFFIX: Final = ".metaqnn"
PATIENCE: Final = 10.0  # seconds: hundreds of trials are shown in less
_LARGEST: Final = 3.4e38  # values that its files hold


class TensorboardTracker:
    """Writes event files to a folder with the run's name."""

    def __init__(self, folder: str, patience: float = PATIENCE) -> None:
        """`patience`: seconds that another process is waited for that shows the run in the same folder."""
        self._folder = Path(folder).expanduser()
        self._patience = patience

    @property
    def name(self) -> str:
        return f"TensorBoard in {self._folder}"

    def begin(self, record: RunRecord, files: Files) -> None:
        self._files = files
        settings = record.settings_to_read()
        self._tells_accuracy = tells_accuracy(settings.task.name, settings.objective)
        place = self._folder / record.run
        self._trials = place / "trials"
        place.mkdir(parents=True, exist_ok=True)
        self._alone = ExitStack()  # left when this object is gone, too: a session that fails here begins with another
        self._alone.enter_context(alone(place, self._patience))
        for old in place.glob(f"events.out.tfevents.*{SUFFIX}"):
            old.unlink()
        self._writer = SummaryWriter(str(place), filename_suffix=SUFFIX)
        self._writer.add_text("run", f"{record.run}, {record.dataset.name}-{record.dataset.digest}, {record.uid}", 0)

    def show(self, points: Sequence[Point]) -> None:
        for point in points:
            trial = point.trial
            self._show_epochs(point)
            if trial.confirms:
                self._add("confirmation/reward", point.reward, point)
                self._add("confirmation/mean", point.confirmed, point)
                continue
            course = [("trial", point.reward), ("best", point.best), ("mean of the last 100", point.mean)]
            for name, value in (
                *((f"reward/{name}", value) for name, value in course),
                *((f"accuracy/{name}", value) for name, value in course if self._tells_accuracy),
                *((f"measure/{name}", value) for name, value in trial.measures.items()),
                ("search/epsilon", trial.epsilon),
                ("trial/parameters", trial.params),
                ("trial/multiply-accumulates", trial.macs),
                ("trial/seconds", trial.seconds),
                ("search/hours of training", point.hours),
            ):
                self._add(name, value, point)
        self._writer.flush()

    def _add(self, name: str, value: float | None, point: Point) -> None:
        if value is not None:
            self._writer.add_scalar(name, _shown(value), point.number, walltime=point.at.timestamp())

    def _show_epochs(self, point: Point) -> None:
        """The epochs of a trial, over all its learning rates; a step is an epoch, from 1."""
        place = self._trials / point.trial.trial
        records = [] if place.exists() else self._files.epochs(point.trial.trial)
        if not records:
            return
        aside = place.with_name(f".{place.name}")
        shutil.rmtree(aside, ignore_errors=True)
        with closing(SummaryWriter(str(aside), filename_suffix=SUFFIX)) as writer:
            moment = point.at.timestamp() - sum(record.seconds for record in records)
            for step, record in enumerate(records, 1):
                moment += record.seconds
                values = {"reward": record.reward, "train loss": record.train_loss, **record.measures}
                for name, value in {**values, "learning rate": record.learning_rate}.items():
                    if value is not None:
                        writer.add_scalar(f"epoch/{name}", _shown(value), step, walltime=moment)
        aside.rename(place)

    def end(self, finished: bool) -> None:
        self._writer.close()
        self._alone.close()


def _shown(value: float) -> float:
    return max(-_LARGEST, min(float(value), _LARGEST))
