"""CIFAR-10, CIFAR-100 and SVHN from torchvision's files, and the download of these and of the MNISTs."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import Labelled, Report, Source
from metaqnn_trainer.sources.idx import FILES, IDX_SETS, read_idx_set

DOWNLOAD_SECONDS: Final = 30.0  # without a byte


class TorchvisionSet(NamedTuple):
    """How torchvision's class of one set is called, and what its folder holds."""

    title: str
    class_name: str
    needs: str
    parts: tuple[dict[str, Any], dict[str, Any]]
    """Arguments for the training and the test part."""


_TRAIN_FLAG: Final[tuple[dict[str, Any], dict[str, Any]]] = ({"train": True}, {"train": False})
SETS: Final = {
    "mnist": TorchvisionSet("MNIST", "MNIST", FILES, _TRAIN_FLAG),
    "fashion-mnist": TorchvisionSet("Fashion-MNIST", "FashionMNIST", FILES, _TRAIN_FLAG),
    "cifar10": TorchvisionSet("CIFAR-10", "CIFAR10", "cifar-10-batches-py/, from cifar-10-python.tar.gz", _TRAIN_FLAG),
    "cifar100": TorchvisionSet("CIFAR-100", "CIFAR100", "cifar-100-python/, from cifar-100-python.tar.gz", _TRAIN_FLAG),
    "svhn": TorchvisionSet(
        "SVHN", "SVHN", "train_32x32.mat and test_32x32.mat", ({"split": "train"}, {"split": "test"})
    ),
}


def read_torchvision_set(name: str, directory: Path | None, report: Report) -> Source:
    """The set called `name` from `directory`, or downloaded and not kept.

    Raises:
        DatasetError: it could not be downloaded, or `directory` does not hold it; the text says what it must hold.
    """
    kind = SETS[name]
    if directory is None:
        with _downloaded(kind, report) as root:
            return _read(name, kind, root)
    if not directory.is_dir():
        raise DatasetError(f"{directory} is not a directory; for {kind.title} it must hold {kind.needs}")
    return _read(name, kind, directory)


def _read(name: str, kind: TorchvisionSet, directory: Path) -> Source:
    if name in IDX_SETS:
        return read_idx_set(IDX_SETS[name], directory)
    return read_parts(kind, _class_of(kind), directory)


def read_parts(kind: TorchvisionSet, open_part: Callable[..., Any], directory: Path) -> Source:
    """Both parts by `open_part`, torchvision's class of the set.

    `directory` is torchvision's root, or the folder in it that the set's archive unpacks to.
    """
    if directory.name == getattr(open_part, "base_folder", None):
        directory = directory.absolute().parent
    try:
        train, test = (open_part(str(directory), download=False, **part) for part in kind.parts)
    # torchvision compares checksums before it unpickles anything.
    except (RuntimeError, OSError, ValueError, LookupError) as error:
        cause = str(error).split(". ")[0].splitlines()[0]
        raise DatasetError(f"{directory} does not hold {kind.title} ({cause}); it must hold {kind.needs}") from error
    names = [str(name) for name in getattr(train, "classes", range(10))]
    return Source(_labelled(train), _labelled(test), names, f"{kind.title}, from torchvision's files")


def _labelled(part: Any) -> Labelled:
    images = np.asarray(part.data, dtype=np.uint8)
    if images.shape[-1] == 3:  # CIFAR comes as NHWC, SVHN as NCHW
        images = images.transpose(0, 3, 1, 2)
    labels = part.labels if hasattr(part, "labels") else part.targets
    return Labelled(np.ascontiguousarray(images), np.asarray(labels, dtype=np.int64))


@contextmanager
def _downloaded(kind: TorchvisionSet, report: Report) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="metaqnn-") as root:
        report(f"downloading {kind.title}")
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(DOWNLOAD_SECONDS)
        try:
            for part in kind.parts:
                _class_of(kind)(root, download=True, **part)
        except (OSError, RuntimeError) as error:
            cause = str(error).strip().splitlines()[0]
            raise DatasetError(
                f"{kind.title} could not be downloaded ({cause}); hand in --source DIR, which must hold {kind.needs}"
            ) from error
        finally:
            socket.setdefaulttimeout(before)
        yield Path(root)


def _class_of(kind: TorchvisionSet) -> Callable[..., Any]:
    import torchvision

    found: Callable[..., Any] = getattr(torchvision.datasets, kind.class_name)
    return found
