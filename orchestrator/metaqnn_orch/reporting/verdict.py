"""The verdict on the best nets of a search: their accuracies on the test images (paper, section 5)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from metaqnn_orch.errors import ObjectMissing
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import Measures, Probability, Reward
from metaqnn_trainer.contract.codec import Message, read
from metaqnn_trainer.contract.messages import DatasetRef
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


def read_verdict(store: Store, run: str) -> Verdict | None:
    """The verdict; None where the test images have not been measured."""
    key = keys.finals(run)
    try:
        return read(Verdict, store.get, key, f"{store.uri}: {key}")
    except ObjectMissing:
        return None
