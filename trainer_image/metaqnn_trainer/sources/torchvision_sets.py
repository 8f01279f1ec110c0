"""Datasets from torchvision's files, and their download."""

from __future__ import annotations

import queue
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import numpy as np

from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import LabelledImages, Report, Source

DOWNLOAD_SECONDS: Final = 30.0  # seconds without a byte
REACH_SECONDS: Final = 6.0  # seconds in which a server must accept a connection


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
            reach(addresses(_class_of(kind)))
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


def addresses(open_part: Any) -> list[str]:
    """The addresses from which torchvision's class downloads; any of them would do."""
    if hasattr(open_part, "split_list"):
        return [entry[0] for entry in open_part.split_list.values()]
    return [*getattr(open_part, "mirrors", [getattr(open_part, "url", "")])]


def reach(
    urls: Iterable[str],
    seconds: float = REACH_SECONDS,
    connect: Callable[..., socket.socket] = socket.create_connection,
) -> None:
    """Connect to the server of one of these addresses, or to the proxy for it: without a network, torchvision would try
    each address several times, and wait for each.

    Raises:
        OSError: none accepts a connection in time.
    """
    hosts = sorted({_server(url) for url in urls if urlsplit(url).hostname})
    outcomes: queue.Queue[OSError | None] = queue.Queue()

    def attempt(host: str, port: int) -> None:
        try:
            connect((host, port), timeout=seconds).close()
            outcomes.put(None)
        except OSError as error:
            outcomes.put(OSError(f"{host}: {error.strerror or error}"))

    for server in hosts:  # in threads, because nothing bounds the look-up of a name
        threading.Thread(target=attempt, args=server, daemon=True).start()
    failure: OSError | None = None
    for _ in hosts:
        try:
            failure = outcomes.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError(f"{hosts[0][0]} does not answer within {seconds:g} seconds") from None
        if failure is None:
            return
    if failure is not None:
        raise failure


def _server(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _class_of(kind: TorchvisionSet) -> Callable[..., Any]:
    import torchvision

    found: Callable[..., Any] = getattr(torchvision.datasets, kind.class_name)
    return found
