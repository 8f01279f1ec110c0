"""Memory that really runs out, and the memory that was foreseen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from metaqnn_trainer.contract.messages import Precision, Recipe
from metaqnn_trainer.images.dataset import Dataset, prepare
from metaqnn_trainer.sources.make import MadeDataset
from metaqnn_trainer.training.memory import DeviceMemory
from metaqnn_trainer.training.memory_estimate import training_memory
from tests.trainer.conftest import spec_of, train

WIDE = "[C(512,3,1), C(512,3,1), P(2,2), SM(10)]"
NETS = [WIDE, "[C(64,3,1), P(2,2), SM(10)]", "[C(64,1,1), C(64,1,1), C(64,1,1), C(64,1,1), FC(128), SM(10)]"]


@pytest.fixture
def large(digits_dataset: Dataset, gpu: torch.device) -> Dataset:
    return prepare(digits_dataset, 32, gpu)


@pytest.fixture
def little(gpu: torch.device) -> Iterator[int]:
    """The bytes that the allocator gives out at most: 1.25 GiB more than are in use."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(gpu).total_memory
    limit = torch.cuda.memory_reserved(gpu) + 1280 * 2**20
    torch.cuda.set_per_process_memory_fraction(limit / total)
    yield limit
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("net", NETS)
def test_training_takes_at_least_what_was_foreseen(
    digits: MadeDataset, large: Dataset, net: str, precision: Precision
) -> None:
    recipe = Recipe(epochs=1, max_rates=1, precision=precision, batch_size=256)
    training = train(spec_of(digits.ref, net, recipe, image_size=32), large, lambda record: None)
    assert training.peak_memory is not None
    assert training.estimated_memory is not None
    print(f"{net} {precision}: {training.peak_memory / training.estimated_memory:.2f} times the estimate")
    assert training.estimated_memory <= training.peak_memory


def test_memory_that_runs_out_leads_to_micro_batches(digits: MadeDataset, large: Dataset, little: int) -> None:
    recipe = Recipe(epochs=1, max_rates=1, precision="bf16", batch_size=512)
    training = train(spec_of(digits.ref, WIDE, recipe, image_size=32), large, lambda record: None)
    assert training.micro_batch is not None
    assert training.micro_batch < 512
    assert training.status in ("completed", "untrainable")


def test_a_net_that_never_fits_is_too_large(digits: MadeDataset, large: Dataset, little: int) -> None:
    net = "[C(512,3,1), FC(512), SM(10)]"  # 1 GB of weights, of which no smaller batch needs less
    recipe = Recipe(epochs=1, max_rates=1, batch_size=64)
    spec = spec_of(digits.ref, net, recipe, image_size=32)
    training = train(spec, large, lambda record: None)
    assert training.status == "too_large"
    assert "out of memory" in training.reason  # the allocator said so, no estimate
    small = spec_of(digits.ref, "[C(16,3,1), SM(10)]", recipe, image_size=32)
    assert train(small, large, lambda record: None).status == "completed"


def test_a_net_that_is_foreseen_not_to_fit_is_not_tried(digits: MadeDataset, large: Dataset) -> None:
    recipe = Recipe(epochs=1, max_rates=1)
    spec = spec_of(digits.ref, WIDE, recipe, image_size=32)
    memory = DeviceMemory(training_memory(spec, large.shape, 8).parameters, lambda: 2**40)
    training = train(spec, large, lambda record: None, memory=memory)
    assert training.status == "too_large"
    assert "training needs at least" in training.reason
