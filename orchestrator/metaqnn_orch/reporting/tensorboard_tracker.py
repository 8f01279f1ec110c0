"""The tracker for TensorBoard: curves over the trials of a run. The event file is written again from the journal
whenever a session begins, because a point that is written twice would be shown twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tensorboardX import SummaryWriter

from metaqnn_orch.control.objective import tells_accuracy
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.reporting.tracking import Point

SUFFIX: Final = ".metaqnn"
_LARGEST: Final = 3.4e38  # values that its files hold


class TensorboardTracker:
    """Writes event files to a folder with the run's name."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder).expanduser()

    @property
    def name(self) -> str:
        return f"TensorBoard in {self._folder}"

    def begin(self, record: RunRecord) -> None:
        settings = record.settings_as_run()
        self._tells_accuracy = tells_accuracy(settings.task.name, settings.objective)
        place = self._folder / record.run
        for old in place.glob(f"events.out.tfevents.*{SUFFIX}"):
            old.unlink()
        self._writer = SummaryWriter(str(place), filename_suffix=SUFFIX)
        self._writer.add_text("run", f"{record.run}, {record.dataset.name}-{record.dataset.digest}, {record.uid}", 0)

    def show(self, points: Sequence[Point]) -> None:
        for point in points:
            trial = point.trial
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
            shown = max(-_LARGEST, min(float(value), _LARGEST))
            self._writer.add_scalar(name, shown, point.number, walltime=point.at.timestamp())

    def end(self, finished: bool) -> None:
        self._writer.close()
