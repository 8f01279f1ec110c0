"""What the results of several plug-ins need: what was measured on test parts."""

from __future__ import annotations

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.directory import DirectoryStore


def measured_on_test(store: str, run: str, trial: str) -> dict[str, float]:
    """The measures on the test part, of a trial that was asked for them."""
    return read(TrainingResult, DirectoryStore(store).get, keys.result(run, trial)).test_measures
