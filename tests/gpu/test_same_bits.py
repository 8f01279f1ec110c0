"""Equal requests give equal weights on a GPU: recorded or not, in one attempt or in many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metaqnn_trainer.contract.messages import ModelOptions, Precision, Recipe, TrialSpec
from metaqnn_trainer.images.dataset import Dataset
from metaqnn_trainer.sources.make import MadeDataset
from metaqnn_trainer.training.memory import DeviceMemory
from metaqnn_trainer.training.memory_estimate import training_memory
from tests.trainer.conftest import spec_of, train
from tests.trainer.training.test_course import facts, interrupted

NETS = {
    "pooling": "[C(64,3,1), P(5,3), C(32,5,1), P(2,2), FC(64), SM(10)]",
    "deep": "[C(32,3,1), C(64,1,1), C(64,3,1), C(32,5,1), SM(10)]",
}


AUGMENTED: dict[str, Any] = {"crop": 0.6, "rotation": 15.0, "cutout": 4, "brightness": 0.2, "contrast": 0.2}


def asked(digits: MadeDataset, net: str, precision: Precision, **model: Any) -> TrialSpec:
    recipe = Recipe(epochs=3, batch_size=64, mirror=True, translate=2, evaluate_test=True, precision=precision)
    return spec_of(digits.ref, NETS[net], recipe, image_size=16, model=ModelOptions(**model))


def unrecorded(spec: TrialSpec, images: Dataset) -> DeviceMemory:
    """Memory that is enough for training, but not for a recording."""
    return DeviceMemory(2 * training_memory(spec, images.shape, spec.recipe.batch_size).total, lambda: 2**40)


@pytest.mark.parametrize("model", [{}, {"batch_norm": True}, {"activation": "elu"}], ids=["relu", "norm", "elu"])
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("net", NETS)
def test_recorded_steps_are_plain_steps(
    digits: MadeDataset, images: Dataset, net: str, precision: Precision, model: dict[str, Any]
) -> None:
    spec = asked(digits, net, precision, **model)
    recorded = facts(train(spec, images, lambda record: None))
    assert recorded["weights"]
    assert facts(train(spec, images, lambda record: None)) == recorded
    assert facts(train(spec, images, lambda record: None, memory=unrecorded(spec, images))) == recorded


def test_recorded_steps_of_augmented_and_weighted_batches(digits: MadeDataset, images: Dataset, tmp_path: Path) -> None:
    spec = asked(digits, "pooling", "tf32")
    recipe = spec.recipe.model_copy(update={**AUGMENTED, "class_weights": "balanced"})
    spec = spec.model_copy(update={"recipe": recipe})
    recorded = facts(train(spec, images, lambda record: None))
    assert facts(train(spec, images, lambda record: None, memory=unrecorded(spec, images))) == recorded
    again, _ = interrupted(spec, images, tmp_path, lambda: 13)
    assert facts(again) == recorded


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
@pytest.mark.parametrize("net", NETS)
def test_resumed_at_many_steps(
    digits: MadeDataset, images: Dataset, tmp_path: Path, net: str, precision: Precision
) -> None:
    spec = asked(digits, net, precision)
    undisturbed = train(spec, images, lambda record: None)
    again, attempts = interrupted(spec, images, tmp_path, lambda: 13)
    assert attempts > 4
    assert facts(again) == facts(undisturbed)


def test_without_that_promise_it_trains_as_well(digits: MadeDataset, images: Dataset) -> None:
    spec = asked(digits, "pooling", "bf16")
    free = spec.model_copy(update={"recipe": spec.recipe.model_copy(update={"deterministic": False})})
    assert train(free, images, lambda record: None).reward == pytest.approx(
        train(spec, images, lambda record: None).reward, abs=0.1
    )
