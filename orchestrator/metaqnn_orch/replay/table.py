"""A table of nets with their accuracies, from which a rehearsal is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from metaqnn_orch.errors import BadInput
from metaqnn_orch.replay.estimate import Estimator
from metaqnn_orch.replay.format import Refusals, Row, RowError, read_rows
from metaqnn_trainer.contract.dataset import object_digest
from metaqnn_trainer.contract.errors import ShapeError
from metaqnn_trainer.spaces.cnn.layer import Net, Shape, describe

LOOKED_UP: Final = "table"
ESTIMATED: Final = "table (estimated)"  # the names of the device in result.json


class Table:
    """Accuracies by net for images of one shape, and estimates for nets that the table does not contain."""

    def __init__(self, accuracies: Mapping[Net, float], shape: Shape, digest: str, refusals: Refusals) -> None:
        self.shape = shape
        self.digest = digest
        """Digest of the file: a trial's id shows which table answered."""
        self.refusals = refusals
        self.accuracies = accuracies
        """The accuracies of the nets that are in the table."""
        self._estimator: Estimator | None = None

    def __len__(self) -> int:
        return len(self.accuracies)

    def answer(self, net: Net) -> tuple[float, str]:
        """Accuracy, and LOOKED_UP or ESTIMATED.

        Raises:
            ShapeError: the net does not fit.
            LauncherError: it would have to be estimated, and SciPy is not installed.
        """
        known = self.accuracies.get(net)
        if known is not None:
            return known, LOOKED_UP
        if self._estimator is None:
            self._estimator = Estimator(self.accuracies, self.shape)
        return self._estimator(net), ESTIMATED


def read_table(data: bytes, what: str, shape: Shape) -> Table:
    """A CSV file with the columns net and accuracy, or the authors' replay database with net and accuracy_best_val.

    If several rows have the same net, the last one counts, so that a file can be corrected by appending to it.

    Raises:
        BadInput: it has neither of the columns, or no row that can be used.
    """
    refusals = Refusals()
    first_line = data[:4096].split(b"\n", 1)[0]
    column = "accuracy_best_val" if b"accuracy_best_val" in first_line else "accuracy"
    accuracies: dict[Net, float] = {}
    for row in read_rows(data, what, ("net", column), refusals):
        try:
            accuracies[_fitting(row, shape)] = row.probability(column)
        except RowError as error:
            refusals.add(row.line, error)
    if not accuracies:
        raise BadInput(f"{what} has no row that can be used", hint=str(refusals) if refusals.count else "")
    return Table(accuracies, shape, object_digest(data), refusals)


def _fitting(row: Row, shape: Shape) -> Net:
    net = row.net()
    try:
        describe(net, shape)
    except ShapeError as error:
        raise RowError(str(error)) from None
    return net
