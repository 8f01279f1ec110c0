"""Makes a dataset object's bytes from a name and perhaps a folder; the same source gives the same bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from traceback import print_exc
from typing import Any, Final, NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import ValidationError

from metaqnn_trainer.catalogue import SOURCES
from metaqnn_trainer.contract.codec import first_error
from metaqnn_trainer.contract.dataset import HEADER_BYTES, DatasetInfo, object_digest
from metaqnn_trainer.contract.keys import check_name
from metaqnn_trainer.contract.messages import DatasetRef
from metaqnn_trainer.contract.text import amount, one_line
from metaqnn_trainer.errors import KNOWN, DatasetError
from metaqnn_trainer.faults import cause
from metaqnn_trainer.plugins import Plugin
from metaqnn_trainer.sources.base import Examples, LabelledImages, Read, Report, Source
from metaqnn_trainer.sources.idx import has_idx_files, read_own_idx
from metaqnn_trainer.sources.split import stratified

PAPERS_VALIDATION: Final = 5_000
MAX_VALIDATION_SHARE: Final = 0.2  # so that small datasets keep enough images for training
MIN_CLASS: Final = 3  # images: one each for training, validation and test


class MadeDataset(NamedTuple):
    ref: DatasetRef
    info: DatasetInfo
    data: bytes


def make_dataset(
    name: str,
    directory: Path | None = None,
    *,
    image_size: int | None = None,
    validation: int | None = None,
    grayscale: bool = False,
    skip_bad: bool = False,
    report: Report = lambda line: None,
) -> MadeDataset:
    """The dataset object called `name`: one of SOURCES, or any other name for a folder of one's own images.

    `image_size`, `grayscale` and `skip_bad` are for one's own images; `skip_bad` leaves out files that cannot be read.
    `validation` is the number of images held back from training, where they are in classes; by default the paper's
    5,000, but at most a fifth.

    Raises:
        DatasetError: names the cause, and the file where there is one.
        PluginError: the source is installed, but cannot be loaded, or is no function.
        MessageError: `name` cannot name a dataset.
    """
    check_name("dataset", name)
    if name in SOURCES.members():
        if image_size is not None or grayscale or skip_bad:
            raise DatasetError(
                f"image size, grayscale and leaving out bad files are for images of your own, not for {name}. To "
                "resize, set space.image_size of the search"
            )
        plugin = SOURCES.find(name)
        read: Read = plugin.load()
        if not plugin.distribution:
            return _encoded(name, read(directory, report), validation)
        with _faults(plugin):
            return _encoded(name, read(directory, report), validation)
    return _encoded(name, read_own(name, directory, image_size, grayscale, report, skip_bad), validation)


def _encoded(name: str, source: Source | Examples, validation: int | None) -> MadeDataset:
    if isinstance(source, Source):
        return encode(name, source, validation)
    if not isinstance(source, Examples):
        raise DatasetError(f"it returned {one_line(repr(source), 80)}, which is neither a Source nor Examples")
    if validation is not None:
        raise DatasetError(f"{name} has a fixed split: the number of validation examples cannot be set")
    return encode_examples(name, source)


@contextmanager
def _faults(plugin: Plugin) -> Iterator[None]:
    """A block in which everything that an installed source raises names the source and its distribution."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f"{plugin}: {error}") from error
    except KNOWN:
        raise
    except Exception as error:  # a foreign function may raise any exception
        print_exc()
        raise DatasetError(f"{plugin} failed: {cause(error)}") from error


def read_own(
    name: str,
    directory: Path | None,
    image_size: int | None,
    grayscale: bool,
    report: Report,
    skip_bad: bool = False,
) -> Source:
    """Images of one's own: folders of image files, or four IDX files.

    Raises:
        DatasetError: the text names the folder or file, and what is wrong with it.
    """
    if directory is None:
        raise DatasetError(
            f"{name} is not one of {', '.join(SOURCES.members())}: a plug-in's dataset needs the plug-in beside this "
            "trainer, or in its image; for your own images use --source DIR, with one folder of images for each class"
        )
    if has_idx_files(directory):
        return read_own_idx(directory, image_size, report)
    from metaqnn_trainer.sources.folder import read_folder

    return read_folder(directory, image_size, grayscale, report, skip_bad)


def encode_examples(name: str, examples: Examples) -> MadeDataset:
    """A dataset object with these tensors, unchanged and under their names.

    Raises:
        DatasetError: the source's description is no valid DatasetInfo, or too long.
    """
    try:
        info = DatasetInfo(name=name, **examples.info)
    except ValidationError as error:
        raise DatasetError(f"the source of {name} gives impossible data: {first_error(error)}") from error
    except TypeError as error:
        raise DatasetError(f"the source of {name} gives impossible data: {one_line(str(error))}") from error
    return _object(info, examples.tensors)


def encode(name: str, source: Source, validation: int | None = None) -> MadeDataset:
    """A dataset object of labelled images: split, with their statistics, in the layout of contract/dataset.py.

    Raises:
        DatasetError: a class has too few images, or the source contradicts itself.
    """
    train, test, classes = source.train, source.test, len(source.class_names)
    counts = _class_counts(train.labels, source)
    _class_counts(test.labels, source)
    least = MIN_CLASS if source.validation is None else 1
    if small := [(name, count) for name, count in zip(source.class_names, counts, strict=True) if count < least]:
        (first, count), *others = small
        more = f", and {len(others):,} other classes have too few" if others else ""
        raise DatasetError(
            f"the class {first!r} has {amount(count, 'image')} to train on, at least {least} are needed{more}"
        )
    if source.validation is None:
        train_indices, val_indices = _split(train, validation, classes)
    else:
        if validation is not None:
            raise DatasetError("the source has a part for validation: the number of images in it cannot be set")
        _class_counts(source.validation.labels, source)
        train_indices = np.arange(len(train.labels))
        val_indices = np.arange(len(train.labels), len(train.labels) + len(source.validation.labels))
        train = LabelledImages(
            np.concatenate([train.images, source.validation.images]),
            np.concatenate([train.labels, source.validation.labels]),
        )
    _, channels, size, width = train.images.shape
    if size != width or train.images.shape[1:] != test.images.shape[1:]:
        raise DatasetError(
            f"the images are not square, or have different sizes: {train.images.shape}, {test.images.shape}"
        )
    info = DatasetInfo(
        name=name,
        channels=channels,
        image_size=size,
        classes=classes,
        class_names=source.class_names,
        train=len(train_indices),
        validation=len(val_indices),
        test=len(test.labels),
        source=source.text,
    )
    mean, std = channel_statistics(train.images[train_indices])
    tensors: dict[str, NDArray[Any]] = {
        "train_images": train.images,
        "train_labels": train.labels,
        "train_indices": train_indices,
        "val_indices": val_indices,
        "test_images": test.images,
        "test_labels": test.labels,
        "mean": mean,
        "std": std,
    }
    return _object(info, tensors)


def _split(train: LabelledImages, validation: int | None, classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the images for training and for validation."""
    if validation is None:
        validation = min(PAPERS_VALIDATION, int(MAX_VALIDATION_SHARE * len(train.labels)))
    if not 1 <= validation < len(train.labels):
        raise DatasetError(f"{validation} images are too many for validation: there are {len(train.labels)}")
    train_indices, val_indices = stratified(train.labels, validation)
    if len(np.unique(train.labels[train_indices])) < classes:
        raise DatasetError(f"with {validation} images for validation, one class has no images left for training")
    return train_indices, val_indices


def _object(info: DatasetInfo, tensors: Mapping[str, NDArray[Any]]) -> MadeDataset:
    header = info.text()
    if len(header) > HEADER_BYTES // 2:
        raise DatasetError(f"the header of {info.name} is too long: for example the names of its classes")
    data = safetensors.numpy.save(
        {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, metadata={"info": header}
    )
    return MadeDataset(DatasetRef(name=info.name, digest=object_digest(data)), info, data)


def _class_counts(labels: NDArray[np.int64], source: Source) -> NDArray[np.int64]:
    classes = len(source.class_names)
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise DatasetError(
            f"{source.text}: labels go from {labels.min()} to {labels.max()}, not from 0 to {classes - 1}"
        )
    return np.bincount(labels, minlength=classes)


def channel_statistics(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each channel (float32), of values in [0, 1]. A constant channel has deviation 1.
    Sums are of whole numbers, so that every machine gets the same bits.
    """
    means, deviations = [], []
    for channel in range(images.shape[1]):
        counts = [int(count) for count in np.bincount(images[:, channel].ravel(), minlength=256)]
        n = sum(counts)
        total = sum(count * value for value, count in enumerate(counts))
        squares = sum(count * value**2 for value, count in enumerate(counts))
        means.append(total / (255 * n))
        deviations.append(math.sqrt((n * squares - total**2) / (255 * n) ** 2) or 1.0)
    return np.array(means, np.float32), np.array(deviations, np.float32)
