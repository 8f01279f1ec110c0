"""What only a GPU can show. Without one, every test here is skipped."""

from __future__ import annotations

import pytest
import torch

from metaqnn_trainer.contract.messages import Recipe
from metaqnn_trainer.images.dataset import Dataset, prepare
from metaqnn_trainer.training.device import choose_device, choose_kernels
from tests.trainer.conftest import digits, digits_dataset

__all__ = ["digits", "digits_dataset"]


@pytest.fixture(scope="session")
def gpu() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    device = choose_device()
    choose_kernels(Recipe())
    return device


@pytest.fixture(scope="session")
def images(digits_dataset: Dataset, gpu: torch.device) -> Dataset:
    """The digits at 16x16 on the GPU: large enough for every layer of the paper."""
    return prepare(digits_dataset, 16, gpu)
