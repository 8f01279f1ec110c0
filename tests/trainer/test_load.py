"""A trial that was pulled gives the accuracy that its result tells of."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import ModelOptions, PluginRef, Recipe
from metaqnn_trainer.errors import DatasetError, RequestError
from metaqnn_trainer.images.dataset import Dataset
from metaqnn_trainer.load import load, load_trial
from metaqnn_trainer.reading import DatasetObject, Reader
from metaqnn_trainer.tasks.base import Part, Pause
from metaqnn_trainer.tasks.classification import Classification
from metaqnn_trainer.trial import Trainer
from tests.trainer.conftest import RUN, Bench

NET = "[C(16,3,1), C(16,3,1), P(2,2), FC(32), SM(10)]"


def trained(bench: Bench, recipe: Recipe, image_size: int = 8) -> tuple[Path, Path]:
    """The trial's directory and its dataset's file."""
    trial = bench.ask(NET, recipe, image_size=image_size, model=ModelOptions(batch_norm=True))
    Trainer(1).carry_out(bench.order(trial))
    dataset = bench.root / keys.dataset(bench.dataset.name, bench.dataset.digest)
    directory = bench.root / keys.trial(RUN, trial)
    for place in directory.glob("weights-*"):
        place.rename(directory / "weights.safetensors")  # as `pull` does
    return directory, dataset


@pytest.mark.parametrize(("image_size", "normalisation"), [(8, "channel"), (10, "channel"), (10, "pixel")])
def test_the_same_accuracy_as_while_training(
    bench: Bench, image_size: int, normalisation: Literal["channel", "pixel"]
) -> None:
    recipe = Recipe(epochs=3, batch_size=32, evaluate_test=True, normalisation=normalisation)
    directory, dataset = trained(bench, recipe, image_size)
    result = bench.result(directory.name)
    found = load(str(directory), str(dataset))
    assert found.accuracy() == result.reward > 0.5
    assert found.accuracy("test") == result.test_accuracy
    part = found.dataset.validation
    assert (found.logits(part.images).argmax(1) == part.labels).float().mean().item() == pytest.approx(result.reward)
    assert found.logits(torch.zeros(2, 1, 20, 20, dtype=torch.uint8)).shape == (2, 10)
    last = [module for module in found.model.modules() if isinstance(module, nn.Linear)][-1]
    features = found.to(torch.device("cpu")).features(part.images)
    assert features.shape == (len(part), 32)
    with torch.inference_mode():
        assert torch.allclose(last(features), found.logits(part.images), atol=1e-5)
    assert not last._forward_pre_hooks


def test_features_of_maps_are_means_over_pixels(bench: Bench) -> None:
    trial = bench.ask("[C(16,3,1), GAP(10), SM(10)]", Recipe(epochs=1, chance_factor=1.0), image_size=8)
    Trainer(1).carry_out(bench.order(trial))
    found, _ = load_trial(bench.store, RUN, trial)
    assert found.features(found.dataset.validation.images[:5]).shape == (5, 16)


class Otherwise(Classification):
    """A task that inherits much, and reads datasets of another form."""

    measure = "f1"

    def prepared(self, found: DatasetObject, device: torch.device) -> Dataset:
        raise DatasetError("train_images is torch.uint8 (400, 1, 12, 12), but its header says otherwise")

    def load(self, read: Reader, device: torch.device) -> Dataset:
        return super().prepared(read.dataset(self.spec.dataset), device)

    def evaluate(self, model: nn.Module, data: Dataset, part: Part, batch: int, pause: Pause) -> dict[str, float]:
        return {"f1": super().evaluate(model, data, part, batch, pause)["accuracy"]}

    def learned(self, measures: dict[str, float], data: Dataset) -> bool:
        return True


class Recall(Otherwise):
    """Its datasets are of the usual form, and it does not measure accuracy."""

    def prepared(self, found: DatasetObject, device: torch.device) -> Dataset:
        return Classification.prepared(self, found, device)


def test_a_task_that_only_inherits_from_classification(bench: Bench) -> None:
    trial = bench.ask(NET, Recipe(epochs=1, batch_size=32), task=PluginRef(name="otherwise"))
    Trainer(1, tasks=lambda name: Otherwise).carry_out(bench.order(trial))
    with pytest.raises(RequestError, match="nets of the task otherwise do not classify images: only their weights"):
        load_trial(bench.store, RUN, trial, lambda name: Otherwise)
    found, result = load_trial(bench.store, RUN, trial, lambda name: Recall)
    assert found.accuracy() == result.measures["f1"]


def test_files_that_do_not_belong_together(bench: Bench, tmp_path: Path) -> None:
    directory, dataset = trained(bench, Recipe(epochs=1))
    (tmp_path / "other").write_bytes(dataset.read_bytes() + b"x")
    with pytest.raises(DatasetError, match="on which it was trained"):
        load(directory, tmp_path / "other")
    (directory / "weights.safetensors").write_bytes(b"others")
    with pytest.raises(RequestError, match="do not belong together"):
        load(directory, dataset)


def test_a_trial_without_weights(bench: Bench) -> None:
    hopeless = Recipe(epochs=1, learning_rate=10.0, restart_factor=0.9, optimizer="sgd", max_rates=1)
    directory, dataset = trained(bench, hopeless)
    with pytest.raises(RequestError, match="kept no weights: it is untrainable"):
        load(directory, dataset)
