"""torchvision's own classes over small files of the right form, and what is said when the files are not there."""

from __future__ import annotations

import hashlib
import pickle
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaqnn_trainer.catalogue import SOURCES
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.torchvision_sets import addresses, reach, read_parts
from tests.trainer.sources.idx_files import write_set


def quiet(line: str) -> None:
    pass


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def small_cifar(tmp_path: Path) -> tuple[Path, Any]:
    """A root, and torchvision's class with the checksums of the files in it."""
    from torchvision.datasets import CIFAR10  # every process that collects tests would wait for it seconds

    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    red = np.zeros((10, 3, 32, 32), np.uint8)
    red[:, 0] = 255
    for name, labels in (("data_batch_1", range(10)), ("test_batch", range(9, -1, -1))):
        batch = {"data": red.reshape(10, -1), "labels": list(labels)}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {n}" for n in range(10)]}, protocol=2))

    class SmallCifar(CIFAR10):  # type: ignore[misc]
        train_list = (["data_batch_1", md5(folder / "data_batch_1")],)
        test_list = (["test_batch", md5(folder / "test_batch")],)
        meta = {"filename": "batches.meta", "key": "label_names", "md5": md5(folder / "batches.meta")}  # noqa: RUF012

    return tmp_path, SmallCifar


@pytest.mark.parametrize("inside", [False, True])
def test_cifar_from_its_root_or_from_the_folder_in_it(small_cifar: tuple[Path, Any], inside: bool) -> None:
    root, small = small_cifar
    source = read_parts(SOURCES.load("cifar10"), small, root / small.base_folder if inside else root)
    assert source.train.images.shape == (10, 3, 32, 32)
    assert source.train.images[:, 0].min() == 255
    assert not source.train.images[:, 1:].any()
    assert source.train.labels.tolist() == list(range(10))
    assert source.test.labels.tolist() == list(range(9, -1, -1))
    assert source.class_names[3] == "class 3"


def test_a_file_with_another_checksum_is_never_unpickled(small_cifar: tuple[Path, Any]) -> None:
    root, small = small_cifar
    (root / small.base_folder / "data_batch_1").write_bytes(pickle.dumps({"data": [], "labels": []}))
    with pytest.raises(DatasetError, match=r"does not contain CIFAR-10 \(Dataset not found or corrupted\)"):
        read_parts(SOURCES.load("cifar10"), small, root)


def test_svhn_from_its_mat_files(tmp_path: Path) -> None:
    import scipy.io
    from torchvision.datasets import SVHN

    for split in ("train", "test"):
        images = np.zeros((32, 32, 3, 10), np.uint8)
        images[:, :, 2] = 9
        labels = np.arange(1, 11, dtype=np.uint8)[:, None]  # 10 stands for the digit 0
        scipy.io.savemat(tmp_path / f"{split}_32x32.mat", {"X": images, "y": labels})

    class SmallSvhn(SVHN):  # type: ignore[misc]
        split_list = {  # noqa: RUF012
            split: ["", f"{split}_32x32.mat", md5(tmp_path / f"{split}_32x32.mat")] for split in ("train", "test")
        }

    source = read_parts(SOURCES.load("svhn"), SmallSvhn, tmp_path)
    assert source.train.images.shape == (10, 3, 32, 32)
    assert source.train.images[:, 2].min() == 9
    assert source.train.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert source.class_names == [str(digit) for digit in range(10)]


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_mnists_are_read_from_their_idx_files(tmp_path: Path, name: str) -> None:
    write_set(tmp_path)
    source = SOURCES.load(name)(tmp_path, quiet)
    assert len(source.train.labels) == 100
    assert source.text.startswith(SOURCES.load(name).title)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn"])
def test_what_the_folder_must_hold_is_said(tmp_path: Path, name: str) -> None:
    for directory in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DatasetError, match="must contain") as raised:
            SOURCES.load(name)(directory, quiet)
        assert SOURCES.load(name).needs in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "cifar100", "svhn"])
def test_without_a_network_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")  # where nobody listens
    before = socket.getdefaulttimeout()
    with pytest.raises(DatasetError, match=r"could not be downloaded .*; use --source DIR") as raised:
        SOURCES.load(name)(None, quiet)
    assert SOURCES.load(name).needs in str(raised.value)
    assert "\n" not in str(raised.value)
    assert socket.getdefaulttimeout() == before


def test_a_server_that_says_nothing_is_given_up_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def silent(address: tuple[str, int], timeout: float) -> socket.socket:
        time.sleep(60)  # as the look-up of a name can, which knows no time limit
        raise TimeoutError

    def refused(address: tuple[str, int], timeout: float) -> socket.socket:
        raise ConnectionRefusedError(111, "Connection refused")

    def one_answers(address: tuple[str, int], timeout: float) -> socket.socket:
        return socket.socket() if address == ("b.example", 80) else refused(address, timeout)

    urls = ["https://a.example/a", "http://b.example/b"]
    began = time.monotonic()
    with pytest.raises(OSError, match=r"a\.example does not answer within 0\.3 seconds"):
        reach(urls, 0.3, silent)
    assert time.monotonic() - began < 5
    with pytest.raises(OSError, match=r"\.example: Connection refused"):
        reach(urls, 0.3, refused)
    reach(urls, 0.3, one_answers)


def test_every_set_has_addresses() -> None:
    from torchvision import datasets

    for name in ("MNIST", "FashionMNIST", "CIFAR10", "CIFAR100", "SVHN"):
        assert all(address.startswith("http") for address in addresses(getattr(datasets, name)))
