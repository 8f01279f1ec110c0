"""Datasets from torchvision's files, and their download."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import LabelledImages, Report, Source

DOWNLOAD_SECONDS: Final = 30.0  # seconds without a byte


_TRAIN_FLAG: Final[tuple[dict[str, Any], dict[str, Any]]] = ({"train": True}, {"train": False})


class TorchvisionSet(NamedTuple):
    """The name of torchvision's class for one dataset, and the content of its folder. It is a source."""

    title: str
    class_name: str
    needs: str
    parts: tuple[dict[str, Any], dict[str, Any]] = _TRAIN_FLAG
    """Arguments for the training and the test part."""
    from_files: Callable[[Path], Source] | None = None
    """A function that reads a folder without torchvision."""

    def __call__(self, path: Path | None, report: Report) -> Source:
        """The dataset from the folder `path`, or downloaded and not kept.

        Raises:
            DatasetError: it could not be downloaded, or the folder does not hold it; the text says what it must hold.
        """
        if path is None:
            with _downloaded(self, report) as root:
                return self._read(root)
        if not path.is_dir():
            raise DatasetError(f"{path} is not a directory; for {self.title} it must contain {self.needs}")
        return self._read(path)

    def _read(self, directory: Path) -> Source:
        return self.from_files(directory) if self.from_files else read_parts(self, _class_of(self), directory)


def read_parts(kind: TorchvisionSet, open_part: Callable[..., Any], directory: Path) -> Source:
    """Both parts of the dataset; `open_part` is torchvision's class for it.

    `directory` is torchvision's root, or the folder in it into which the archive is unpacked.
    """
    if directory.name == getattr(open_part, "base_folder", None):
        directory = directory.absolute().parent
    try:
        train, test = (open_part(str(directory), download=False, **part) for part in kind.parts)
    # torchvision checks checksums before it unpickles any file.
    except (RuntimeError, OSError, ValueError, LookupError) as error:
        cause = str(error).split(". ")[0].splitlines()[0]
        raise DatasetError(
            f"{directory} does not contain {kind.title} ({cause}); it must contain {kind.needs}"
        ) from error
    names = [str(name) for name in getattr(train, "classes", range(10))]
    return Source(_labelled(train), _labelled(test), names, f"{kind.title}, from torchvision's files")


def _labelled(part: Any) -> LabelledImages:
    images = np.asarray(part.data, dtype=np.uint8)
    if images.shape[-1] == 3:  # CIFAR comes as NHWC, SVHN as NCHW
        images = images.transpose(0, 3, 1, 2)
    labels = part.labels if hasattr(part, "labels") else part.targets
    return LabelledImages(np.ascontiguousarray(images), np.asarray(labels, dtype=np.int64))


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
                f"{kind.title} could not be downloaded ({cause}); use --source DIR with a folder that contains "
                f"{kind.needs}"
            ) from error
        finally:
            socket.setdefaulttimeout(before)
        yield Path(root)


def _class_of(kind: TorchvisionSet) -> Callable[..., Any]:
    import torchvision

    found: Callable[..., Any] = getattr(torchvision.datasets, kind.class_name)
    return found
