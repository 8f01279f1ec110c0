"""Measures trained nets on the test images, each alone and all together, with the trainer on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from metaqnn_orch.application.trainer_call import TRAINER, call
from metaqnn_trainer.store.base import Store


class Judged(NamedTuple):
    """Accuracies on the test images, which no decision of the search has seen."""

    images: int
    first: float
    together: float
    """Accuracy of the mean of all nets' probabilities."""
    validation_together: float
    class_names: list[str]
    confusion: list[list[int]] | None
    """Number of test images of each class (rows) that the first net takes for each class (columns)."""
    together_confusion: list[list[int]] | None


def judge(
    store: Store,
    trials: Sequence[tuple[str, str]],
    *,
    report: Callable[[str], None],
    trainer: Sequence[str] = TRAINER,
) -> Judged:
    """Have the trainer measure, on the test images, the first of some trials (run, trial), and all of them together.

    Raises:
        BadInput: it cannot be measured; the trainer's words say why.
        NotFound: the dataset is not in the store any more.
        StoreError: the store does not answer the trainer.
        LauncherError: there is no trainer on this machine, or it failed.
    """
    named = [argument for run, trial in trials for argument in ("--trial", f"{run}/{trial}")]
    answer = call(["judge", "--store", store.uri, *named], report, trainer)
    return answer.told(Judged, "the test accuracy could not be measured", "measuring the test accuracy")
