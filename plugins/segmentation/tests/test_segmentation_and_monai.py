"""The loss, the measure and the synthetic data against MONAI itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load

from metaqnn_segmentation.datasets import PARTS, monai
from metaqnn_segmentation.task import dice, dice_loss
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.make import make_dataset


def test_the_loss_is_monais() -> None:
    torch.manual_seed(0)
    for edges in ((6, 5), (4, 3, 5)):
        logits, labels = torch.randn(3, 4, *edges), torch.randint(0, 4, (3, *edges))
        for smooth in (1.0, 1e-5):
            theirs = monai("losses").DiceLoss(
                softmax=True, to_onehot_y=True, reduction="none", smooth_nr=smooth, smooth_dr=smooth
            )(logits, labels[:, None])
            ours = dice_loss(logits, labels, smooth)
            assert torch.allclose(ours, theirs.flatten(1).mean(1), atol=1e-6)


def test_the_measure_is_monais() -> None:
    torch.manual_seed(0)
    true = torch.randint(0, 4, (5, 6, 5))
    true[0][true[0] == 2] = 0
    true[1] = 0
    named = torch.randint(0, 4, (5, 6, 5))
    metric = monai("metrics").DiceMetric(include_background=False, reduction="mean", ignore_empty=True)
    metric(*(F.one_hot(each, 4).movedim(-1, 1) for each in (named, true)))
    assert dice(named, true, 4) == pytest.approx(metric.aggregate().item(), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "edges", "counts"), [("images", (48, 48), (32, 16, 16)), ("volumes", (16,) * 3, (16, 8, 8))]
)
def test_synthetic_data_are_monais(name: str, edges: tuple[int, ...], counts: tuple[int, ...]) -> None:
    made = make_dataset(f"synthetic-{name}")
    assert made.ref == make_dataset(f"synthetic-{name}").ref
    tensors = load(made.data)
    for part, count in zip(PARTS, counts, strict=True):
        assert tensors[f"{part}_x"].shape == (count, 1, *edges)
        assert tensors[f"{part}_y"].unique().tolist() == [0, 1, 2]
    with pytest.raises(DatasetError, match="need no --source"):
        make_dataset(f"synthetic-{name}", Path())


def test_extras_are_there_again() -> None:
    hidden = {name for name, module in sys.modules.items() if module is None}
    monai("losses")
    assert {name for name, module in sys.modules.items() if module is None} == hidden
