"""The loss, the measure and the synthetic data against MONAI itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load

from metaqnn_segmentation.datasets import NOISE, OBJECTS, PARTS
from metaqnn_segmentation.task import SMOOTH, dice, dice_loss
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.make import make_dataset

Monai = Callable[[str], Any]
EXTRAS: Final = ("torchvision", "mlflow", "pandas", "sklearn", "matplotlib", "optuna", "tensorboard", "tensorboardX")


@pytest.fixture(scope="module")
def monai() -> Iterator[Monai]:
    """Imports modules of MONAI. It would import all of its extras that are installed, which takes longer than all tests
    here: so there are none.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in {*EXTRAS} - sys.modules.keys():
            patch.setitem(sys.modules, name, None)
        yield lambda module: import_module(f"monai.{module}")


def test_the_loss_is_monais(monai: Monai) -> None:
    torch.manual_seed(0)
    for edges in ((6, 5), (4, 3, 5)):
        logits, labels = torch.randn(3, 4, *edges), torch.randint(0, 4, (3, *edges))
        loss = monai("losses").DiceLoss(
            softmax=True, to_onehot_y=True, reduction="none", smooth_nr=SMOOTH, smooth_dr=SMOOTH
        )
        theirs = loss(logits, labels[:, None])
        assert torch.allclose(dice_loss(logits, labels), theirs.flatten(1).mean(1), atol=1e-6)


def test_the_measure_is_monais(monai: Monai) -> None:
    torch.manual_seed(0)
    true = torch.randint(0, 4, (5, 6, 5))
    true[0][true[0] == 2] = 0
    true[1] = 0
    named = torch.randint(0, 4, (5, 6, 5))
    metric = monai("metrics").DiceMetric(include_background=False, reduction="mean", ignore_empty=True)
    metric(*(F.one_hot(each, 4).movedim(-1, 1) for each in (named, true)))
    assert dice(named, true, 4) == pytest.approx(metric.aggregate().item(), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "radius", "edges", "counts"),
    [("images", 8, (48, 48), (32, 16, 16)), ("volumes", 5, (16,) * 3, (16, 8, 8))],
)
def test_synthetic_data_are_monais(
    name: str, radius: int, edges: tuple[int, ...], counts: tuple[int, ...], monai: Monai
) -> None:
    made = make_dataset(f"synthetic-{name}")
    assert made.ref == make_dataset(f"synthetic-{name}").ref
    tensors, random = load(made.data), np.random.RandomState(0)
    make = getattr(monai("data.synthetic"), f"create_test_image_{len(edges)}d")
    for part, count in zip(PARTS, counts, strict=True):
        assert tensors[f"{part}_x"].shape == (count, 1, *edges)
        for x, y in zip(tensors[f"{part}_x"], tensors[f"{part}_y"], strict=True):
            image, labels = make(*edges, OBJECTS, radius, radius // 2, NOISE, 2, random_state=random)
            assert np.array_equal(labels, y)
            assert np.array_equal((image - image.mean()) / image.std(), x[0])
    with pytest.raises(DatasetError, match="need no --source"):
        make_dataset(f"synthetic-{name}", Path())
