"""Rehearsals: runs that train nothing, because a table of accuracies answers in place of the trainer."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from metaqnn_orch.application.listener import Say
from metaqnn_orch.control.record import Binding, stand_in
from metaqnn_orch.launchers.table import NoAnswer, TableAnswer
from metaqnn_orch.replay.format import read_file, refuse_other_runs
from metaqnn_orch.replay.table import Table, read_table
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.errors import ShapeError
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.spaces.cnn.layer import Shape, describe, total_cost
from metaqnn_trainer.spaces.cnn.notation import parse_net


class Rehearsal(NamedTuple):
    """A table of accuracies, and how long each trial seems to take."""

    file: str
    table: Table
    delay: float
    """Seconds that a trial seems to run."""

    def binding(self, settings: Settings) -> Binding:
        """The dataset of the run's record: it stands for the table."""
        return stand_in(settings, self.table.digest, f"none: answered by the table {self.file}", self.file)

    def answer(self, request: TrainingRequest) -> TableAnswer:
        """The table's accuracies of the net, and the net's cost.

        Raises:
            NoAnswer: the net does not fit the images.
            LauncherError: as Table.answer says.
        """
        net, model = parse_net(request.spec.net), request.spec.model
        try:
            costs = total_cost(describe(net, self.table.shape, model))
            accuracy, source = self.table.answer(net)
        except ShapeError as error:
            raise NoAnswer(str(error)) from None
        return TableAnswer(accuracy, costs.params, costs.macs, source)


def read_rehearsal(path: Path, settings: Settings, say: Say, delay: float = 0.0) -> Rehearsal:
    """A rehearsal with the table in a file; the listener is told how much of the table can be used.

    Raises:
        BadInput: the file cannot be read, or is no table, or no table answers for what the settings search for.
    """
    refuse_other_runs(settings, path.name)
    shape = Shape(settings.space.channels, settings.space.image_size)
    table = read_table(read_file(path), path.name, shape)
    say(f"{path} has the accuracies of {amount(len(table), 'net')}")
    if table.refusals.count:
        say(str(table.refusals))
    return Rehearsal(path.name, table, delay)
