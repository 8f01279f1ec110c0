"""Datasets read back: checked tensor by tensor, resized, normalised, remembered."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import safetensors.torch
import torch
from torch import Tensor

from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.images.dataset import (
    Dataset,
    normalised,
    parse_dataset,
    pixel_statistics,
    prepare,
    resized,
)
from metaqnn_trainer.sources.make import MadeDataset

CPU = torch.device("cpu")
Change = Callable[[dict[str, Tensor]], object]


def altered(digits: MadeDataset, change: Change) -> bytes:
    tensors = safetensors.torch.load(digits.data)
    change(tensors)
    return safetensors.torch.save(tensors, metadata={"info": digits.info.model_dump_json()})


def test_training_and_validation_are_what_the_indices_say(digits: MadeDataset, digits_dataset: Dataset) -> None:
    tensors = safetensors.torch.load(digits.data)
    chosen = tensors["val_indices"]
    assert torch.equal(digits_dataset.validation.images, tensors["train_images"][chosen])
    assert torch.equal(digits_dataset.validation.labels, tensors["train_labels"][chosen])
    assert len(digits_dataset.train) == len(tensors["train_labels"]) - len(chosen)
    assert digits_dataset.shape == (1, 8)


CHANGES: dict[str, tuple[Change, str]] = {
    "missing": (lambda t: t.pop("val_indices"), "has no tensor val_indices"),
    "signed": (lambda t: t.update(train_images=t["train_images"].char()), "train_images is torch.int8"),
    "shorter": (lambda t: t.update(train_labels=t["train_labels"][1:]), r"train_labels is torch.int64 \(1437,\)"),
    "oblong": (lambda t: t.update(test_images=t["test_images"][:, :, :7].contiguous()), "test_images is"),
    "unknown label": (lambda t: t["test_labels"].fill_(10), "test_labels go from 10 to 10, not from 0 to 9"),
    "negative label": (lambda t: t["train_labels"][:1].fill_(-1), "train_labels go from -1"),
    "index beyond": (lambda t: t["train_indices"][:1].fill_(1438), "train_indices go from [01] to 1438"),
    "index twice": (lambda t: t["val_indices"][:1].copy_(t["val_indices"][1:2]), "twice in one of them"),
    "in both": (lambda t: t["val_indices"][:1].copy_(t["train_indices"][:1]), "both in training and in validation"),
    "mean": (lambda t: t["mean"].fill_(torch.nan), "not a finite, positive number"),
    "deviation": (lambda t: t["std"].fill_(0), "not a finite, positive number"),
}


@pytest.mark.parametrize(("change", "complaint"), list(CHANGES.values()), ids=list(CHANGES))
def test_objects_that_contradict_themselves(digits: MadeDataset, change: Change, complaint: str) -> None:
    with pytest.raises(DatasetError, match=complaint) as raised:
        parse_dataset(altered(digits, change), "datasets/x")
    assert str(raised.value).startswith("datasets/x")


def test_bytes_that_are_no_dataset(digits: MadeDataset) -> None:
    plain = safetensors.torch.save({"x": torch.zeros(1)})
    for data in (b"", b"\x00" * 100, plain, digits.data[:-1], digits.data[:1000]):
        with pytest.raises(DatasetError, match="datasets/x"):
            parse_dataset(data, "datasets/x")


def test_chance_is_the_share_of_the_largest_class(digits_dataset: Dataset) -> None:
    counts = digits_dataset.validation.labels.bincount()
    assert digits_dataset.chance() == pytest.approx(counts.max().item() / 287)


@pytest.mark.parametrize("size", [1, 5, 8, 13])
def test_resizing_keeps_the_bytes_meaning(digits_dataset: Dataset, size: int) -> None:
    ready = prepare(digits_dataset, size, CPU)
    assert ready.train.images.shape == (1151, 1, size, size)
    assert ready.train.images.dtype == torch.uint8
    assert ready.shape == (1, size)
    before, after = digits_dataset.train.images.double().mean(), ready.train.images.double().mean()
    assert after.item() == pytest.approx(before.item(), rel=0.2)  # one pixel is mostly of the middle, which is bright


def test_resizing_is_the_same_in_batches_and_takes_none_at_all(digits_dataset: Dataset) -> None:
    images = digits_dataset.train.images.repeat(4, 1, 1, 1)
    assert torch.equal(resized(images, 11)[-3:], resized(images[-3:], 11))
    assert resized(images[:0], 11).shape == (0, 1, 11, 11)
    assert resized(images, 8) is images


def test_normalised_images_have_mean_0_and_deviation_1(digits_dataset: Dataset) -> None:
    images = normalised(digits_dataset.train.images, digits_dataset.mean, digits_dataset.std)
    assert images.mean().item() == pytest.approx(0, abs=1e-4)
    assert images.std().item() == pytest.approx(1, abs=1e-3)
    colours = normalised(
        torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.tensor([0.0, 0.5, 1.0])[:, None, None], torch.tensor(0.5)
    )
    assert colours[0, :, 0, 0].tolist() == [0, -1, -2]
    assert colours.is_contiguous(memory_format=torch.channels_last)


def test_each_pixel_can_be_normalised_by_itself(digits_dataset: Dataset) -> None:
    ready = prepare(digits_dataset, 8, CPU, "pixel")
    assert ready.mean.shape == ready.std.shape == (1, 8, 8)
    assert ready.mean.dtype == ready.std.dtype == torch.float32
    images = normalised(ready.train.images, ready.mean, ready.std)
    deviations = ready.train.images.double().std(0, correction=0)
    assert images.mean(0).abs().max() < 1e-3
    changing = deviations >= 1
    assert 40 < changing.sum() < 64, "the digits have pixels that are nearly always dark"
    assert images.std(0, correction=0)[changing].sub(1).abs().max() < 1e-3
    held_out = normalised(ready.validation.images, ready.mean, ready.std)
    assert held_out.isfinite().all()
    assert 0 < held_out.mean().abs() < 0.2, "measured on the training images alone"


def test_statistics_of_pixels_by_hand() -> None:
    images = torch.tensor([[[0, 7], [255, 10]], [[255, 7], [255, 11]]], dtype=torch.uint8)[:, None]
    mean, std = pixel_statistics(images)
    assert (mean * 255).tolist() == [[[127.5, 7.0], [255.0, 10.5]]]
    # A pixel that is always the same counts as one that changes by a step of a byte, and so does a calmer one.
    assert torch.allclose(std * 255, torch.tensor([[[127.5, 1.0], [1.0, 1.0]]]))
    many = torch.full((9000, 1, 2, 2), 251, dtype=torch.uint8)
    mean, std = pixel_statistics(many)
    assert torch.equal(normalised(many[:1], mean, std), torch.zeros(1, 1, 2, 2))
