"""Images in classes, ready for training: checked, resized once, on the device as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.reading import DatasetObject, parse_object
from metaqnn_trainer.spaces.cnn.layer import Shape

RESIZE_BATCH = 4096  # images that are resized at once

Normalisation = Literal["channel", "pixel"]


class Labelled(NamedTuple):
    """`images` (n, channels, size, size) uint8 and `labels` (n) int64, on one device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Dataset:
    """The dataset of one trial. `mean` and `std` are of values in [0, 1], with shape (channels, 1, 1) or that of one
    image.
    """

    info: DatasetInfo
    train: Labelled
    validation: Labelled
    test: Labelled
    mean: Tensor
    std: Tensor
    counts: Tensor
    """Number of training images of each class (classes), float32."""

    def part(self, name: Literal["train", "validation", "test"]) -> Labelled:
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    @property
    def shape(self) -> Shape:
        """Shape of one image, at its present size."""
        return Shape(self.info.images().channels, self.train.images.shape[-1])

    def chance(self) -> float:
        """The validation accuracy of always naming the most frequent class."""
        counts = torch.bincount(self.validation.labels, minlength=self.info.images().classes)
        return counts.max().item() / len(self.validation)


def parse_dataset(data: bytes, what: str) -> Dataset:
    """Parse a dataset object's bytes, whose layout is in contract/dataset.py; `what` names them in errors.

    Raises:
        DatasetError: as `labelled` says.
    """
    return labelled(parse_object(data, what))


def labelled(found: DatasetObject) -> Dataset:
    """The images and classes in a dataset object.

    Raises:
        DatasetError: a tensor is missing, of another type or shape than the header says, or out of range.
    """
    info, tensors = found
    what = tensors.what
    try:
        channels, size, classes = info.images()
    except MessageError as error:
        raise DatasetError(f"{what}: {error}") from error
    total = info.train + info.validation
    image = (channels, size, size)
    expected: dict[str, tuple[torch.dtype, tuple[int, ...], int | None]] = {  # type, shape, upper bound of the values
        "train_images": (torch.uint8, (total, *image), None),
        "train_labels": (torch.int64, (total,), classes),
        "train_indices": (torch.int64, (info.train,), total),
        "val_indices": (torch.int64, (info.validation,), total),
        "test_images": (torch.uint8, (info.test, *image), None),
        "test_labels": (torch.int64, (info.test,), classes),
        "mean": (torch.float32, (channels,), None),
        "std": (torch.float32, (channels,), None),
    }
    for name, (dtype, shape, end) in expected.items():
        tensor = tensors[name]
        if tensor.dtype != dtype or tuple(tensor.shape) != shape:
            raise DatasetError(
                f"{what}: {name} is {tensor.dtype} {tuple(tensor.shape)}, but its header says {dtype} {shape}"
            )
        if end is not None and len(tensor) and not 0 <= tensor.min() <= tensor.max() < end:
            raise DatasetError(
                f"{what}: the values of {name} go from {tensor.min()} to {tensor.max()}, not from 0 to {end - 1}"
            )
    indices = torch.cat([tensors["train_indices"], tensors["val_indices"]])
    if len(indices.unique()) != total:
        raise DatasetError(f"{what}: an image is both in training and in validation, or twice in one of them")
    mean, std = tensors["mean"][:, None, None], tensors["std"][:, None, None]
    if not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
        raise DatasetError(f"{what}: mean or deviation is not a finite, positive number")
    images, labels = tensors["train_images"], tensors["train_labels"]
    train, validation = (
        Labelled(images[chosen], labels[chosen]) for chosen in (tensors["train_indices"], tensors["val_indices"])
    )
    counts = torch.bincount(train.labels, minlength=classes).float()
    test = Labelled(tensors["test_images"], tensors["test_labels"])
    return Dataset(info, train, validation, test, mean, std, counts)


def prepare(
    dataset: Dataset, image_size: int, device: torch.device, normalisation: Normalisation = "channel"
) -> Dataset:
    """The same dataset with images of `image_size`, on `device`.

    Images are resized and their statistics computed in main memory, so that every device sees the same numbers.
    """
    parts = [
        Labelled(resized(part.images, image_size), part.labels)
        for part in (dataset.train, dataset.validation, dataset.test)
    ]
    mean, std = pixel_statistics(parts[0].images) if normalisation == "pixel" else (dataset.mean, dataset.std)
    train, validation, test = (Labelled(part.images.to(device), part.labels.to(device)) for part in parts)
    mean, std, counts = (tensor.to(device) for tensor in (mean, std, dataset.counts))
    return Dataset(dataset.info, train, validation, test, mean, std, counts)


def pixel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each pixel over images (n, channels, size, size) uint8, of values in [0, 1].

    A deviation is at least one step of a byte: so a constant pixel is not divided by zero, and a nearly constant one is
    not amplified.
    """
    total, squares = torch.zeros((2, *images.shape[1:]), dtype=torch.float64)
    for batch in images.split(RESIZE_BATCH):
        values = batch.double()
        total += values.sum(0)
        squares += values.square().sum(0)
    mean = total / len(images)
    deviation = (squares / len(images) - mean.square()).clamp_(min=1.0).sqrt()
    return (mean / 255).float(), (deviation / 255).float()


def resized(images: Tensor, size: int) -> Tensor:
    """Images (n, channels, s, s) uint8 resized to (n, channels, size, size), bilinear, without aliasing when made
    smaller.
    """
    if images.shape[-1] == size or not len(images):
        return images if images.shape[-1] == size else images.new_empty((0, images.shape[1], size, size))
    return torch.cat(
        [
            F.interpolate(batch.float(), size=(size, size), mode="bilinear", antialias=True)
            .round_()
            .clamp_(0, 255)
            .to(torch.uint8)
            for batch in images.split(RESIZE_BATCH)
        ]
    )


def resizing(made: int, size: int) -> Tensor:
    """The matrix (size, made) by which `resized` weighs pixels, along each of the two directions."""
    rows = F.interpolate(torch.eye(made)[None, None], size=(made, size), mode="bilinear", antialias=True)
    return rows[0, 0].T.contiguous()


def normalised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Images (n, channels, size, size), values from 0 to 255, as float32 of mean 0 and deviation 1 in each channel, or
    in each pixel, over the set. `mean` and `std` are a Dataset's.

    The memory layout is channels last, on which convolutions are fastest.
    """
    return images.to(torch.float32, memory_format=torch.channels_last).sub_(255 * mean).div_(255 * std)
