"""The verdict on the best nets of a search: their accuracies on the test images (paper, section 5)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from metaqnn_orch.errors import ObjectMissing
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import Measures, Probability, Reward
from metaqnn_trainer.contract.codec import Message, read
from metaqnn_trainer.contract.confusion import MAX_CONFUSION, Confusion, by_class
from metaqnn_trainer.contract.messages import DatasetRef
from metaqnn_trainer.contract.text import one_line
from metaqnn_trainer.store.base import Store


class Finalist(Message):
    """A net that was trained again."""

    net: str
    """The net."""
    run: str
    """Name of the run that trained it."""
    trial: str
    """Id of the trial."""
    params: int
    """Number of trainable parameters."""
    rate_factor: float
    """Factor on the recipe's learning rates: the best of those that were tried."""
    reward: Reward
    """Reward in the finals, by the objective of the search where it has one."""
    measures: Measures = Field({})
    """Everything that was measured in the finals, by name."""
    val_accuracy: Probability | None = None
    """Validation accuracy in the finals, where accuracy is a measure."""
    searched_reward: Reward | None = None
    """Reward in the search, a mean where it was confirmed; None on another dataset."""
    searched_val_accuracy: Probability | None = None
    """Validation accuracy in the search, where accuracy is a measure; None on another dataset."""

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_release(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "reward" in values or "val_accuracy" not in values:
            return values
        accuracy, searched = values["val_accuracy"], values.get("searched_val_accuracy")
        return {**values, "reward": accuracy, "measures": {"accuracy": accuracy}, "searched_reward": searched}


class ClassVerdict(NamedTuple):
    """The test images of one class."""

    name: str
    images: int
    accuracy: float | None
    """Share of them that the best finalist classifies correctly; None where there are none."""
    ensemble_accuracy: float | None
    mistaken_for: str | None
    """The class that the best finalist takes most of the others for; None where there are no others."""
    mistakes: int
    """How many it takes for that class."""


class Verdict(Message):
    """finals.json: written once, because the test images are measured once."""

    schema_version: Literal[1] = 1
    """Version of the document."""
    at: str
    """When the test images were measured, in ISO 8601."""
    dataset: DatasetRef
    """The dataset."""
    finalists: list[Finalist]
    """The finalists by reward, the best first."""
    ensemble: int
    """Number of the best finalists that were measured together."""
    test_images: int
    """Number of test images."""
    test_accuracy: Probability
    """Test accuracy of the best finalist."""
    ensemble_val_accuracy: Probability
    """Validation accuracy of the ensemble."""
    ensemble_test_accuracy: Probability
    """Test accuracy of the ensemble."""
    class_names: list[str] = Field([], max_length=MAX_CONFUSION)
    """Names of the classes, in the order of the counts."""
    confusion: Confusion | None = None
    """Number of test images of each class (rows) that the best finalist takes for each class (columns); None where
    there are more than 100 classes. Verdicts of earlier releases do not have it.
    """
    ensemble_confusion: Confusion | None = None
    """The same of the ensemble."""

    @model_validator(mode="after")
    def _counts_are_square(self) -> Verdict:
        for counts in (self.confusion, self.ensemble_confusion):
            if counts is not None and any(len(row) != len(counts) for row in counts):
                raise ValueError("the counts of the classes are no square")
        return self

    def classes(self) -> list[ClassVerdict]:
        """What the counts say of each class, in the order of the classes; empty where there are no counts."""
        if self.confusion is None:
            return []
        named = len(self.class_names) == len(self.confusion)
        names = self.class_names if named else [*map(str, range(len(self.confusion)))]
        alone, together = by_class(self.confusion), by_class(self.ensemble_confusion or self.confusion)
        return [
            ClassVerdict(
                one_line(names[one.label], 40),
                one.images,
                one.accuracy,
                both.accuracy,
                None if one.mistaken is None else one_line(names[one.mistaken], 40),
                one.mistakes,
            )
            for one, both in zip(alone, together, strict=True)
        ]


class Finals(NamedTuple):
    """A run of finals that has a verdict."""

    run: str
    verdict: Verdict


def read_verdict(store: Store, run: str) -> Verdict | None:
    """The verdict; None where the test images have not been measured."""
    key = keys.finals(run)
    try:
        return read(Verdict, store.get, key, f"{store.uri}: {key}")
    except ObjectMissing:
        return None
