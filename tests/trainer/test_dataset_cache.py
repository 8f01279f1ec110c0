"""Datasets on a disk that many trainers share: whatever is wrong with it, it is never believed, and never an error."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from metaqnn_trainer.contract import keys
from metaqnn_trainer.dataset_cache import UNUSED, DatasetCache
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.fetching import fetch_dataset
from metaqnn_trainer.reading import Reader, parse_object
from metaqnn_trainer.sources.make import MadeDataset
from tests.trainer.conftest import Bench


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "cache"
    path.mkdir()
    return path


@pytest.fixture
def name(digits: MadeDataset) -> str:
    return Path(keys.dataset(digits.ref.name, digits.ref.digest)).name


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_store_is_read_once(bench: Bench, digits: MadeDataset, folder: Path, name: str) -> None:
    cache = DatasetCache(folder)
    first = Reader(bench.store, cache).dataset(digits.ref)
    bench.store.delete(keys.dataset(digits.ref.name, digits.ref.digest))
    again = Reader(bench.store, cache).dataset(digits.ref)
    assert names(folder) == [name]
    plain = parse_object(digits.data, "digits")
    assert first.info == again.info == plain.info
    assert set(first.tensors) == set(again.tensors) == set(plain.tensors)
    assert all(torch.equal(again.tensors[key], plain.tensors[key]) for key in plain.tensors)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_tensors_stay_in_the_file_whose_pages_are_shared(
    bench: Bench, digits: MadeDataset, folder: Path, name: str
) -> None:
    found = Reader(bench.store, DatasetCache(folder)).dataset(digits.ref)
    assert name in Path("/proc/self/maps").read_text(), "also those of the trainer that wrote it"
    assert name not in open_files()
    found.tensors["train_images"].zero_()
    assert (folder / name).read_bytes() == digits.data, "who writes to a tensor has a copy of the page"
    (folder / name).unlink()
    assert found.tensors["train_labels"].max() == 9, "a file that is removed stays, as long as it is mapped"
    del found
    assert name not in Path("/proc/self/maps").read_text()


def open_files() -> set[str]:
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(path.readlink().name)
    return found


def cut(path: Path, data: bytes) -> None:
    path.write_bytes(data[:-1])


def empty(path: Path, data: bytes) -> None:
    path.write_bytes(b"")


def flip_a_bit(path: Path, data: bytes) -> None:
    path.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])


def lengthen(path: Path, data: bytes) -> None:
    path.write_bytes(data + b"\0")


def link(path: Path, data: bytes) -> None:
    target = path.parent.parent / "elsewhere"
    target.write_bytes(data)
    path.symlink_to(target)


def link_to_nothing(path: Path, data: bytes) -> None:
    path.symlink_to("nowhere")


def make_a_pipe(path: Path, data: bytes) -> None:
    os.mkfifo(path)


def lock(path: Path, data: bytes) -> None:
    path.write_bytes(data[:-1])
    path.chmod(0)


@pytest.mark.parametrize(
    "damage", [cut, empty, flip_a_bit, lengthen, link, link_to_nothing, make_a_pipe, lock], ids=lambda it: it.__name__
)
def test_what_is_damaged_is_not_believed_and_is_replaced(
    damage: Callable[[Path, bytes], None], bench: Bench, digits: MadeDataset, folder: Path, name: str
) -> None:
    damage(folder / name, digits.data)
    said: list[str] = []
    found = Reader(bench.store, DatasetCache(folder, said.append)).dataset(digits.ref)
    assert torch.equal(found.tensors["test_images"], parse_object(digits.data, "digits").tensors["test_images"])
    assert not (folder / name).is_symlink()
    assert (folder / name).read_bytes() == digits.data
    assert names(folder) == [name], "nothing else is left"
    if damage not in (link, link_to_nothing, lock):  # of these nothing is read
        assert said == [f"{folder / name} is damaged, and will be replaced"]
    if damage is link:
        assert (folder.parent / "elsewhere").read_bytes() == digits.data, "nothing is written through a link"


def test_a_damaged_store_does_not_reach_the_cache(bench: Bench, digits: MadeDataset, folder: Path) -> None:
    key = keys.dataset(digits.ref.name, digits.ref.digest)
    bench.store.put(key, digits.data[:-1] + b"x")
    with pytest.raises(DatasetError, match=f"{key} is damaged"):
        fetch_dataset(bench.store, digits.ref, DatasetCache(folder))
    assert names(folder) == []


def test_a_directory_in_the_files_place_is_only_told(
    bench: Bench, digits: MadeDataset, folder: Path, name: str
) -> None:
    (folder / name).mkdir()
    said: list[str] = []
    for _ in range(2):
        assert fetch_dataset(bench.store, digits.ref, DatasetCache(folder, said.append)) == digits.data
    assert names(folder) == [name]
    assert any("could not be cached" in line for line in said)


@contextmanager
def another_user() -> Iterator[None]:
    os.seteuid(65532)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_the_files_owner_does_not_matter_and_a_folder_that_is_read_only_is_only_told(
    digits: MadeDataset, name: str
) -> None:
    said: list[str] = []
    with TemporaryDirectory() as place:
        folder = Path(place)
        cache = DatasetCache(folder, said.append)
        folder.chmod(0o755)
        (folder / name).write_bytes(digits.data)
        os.utime(folder / name, (0, 0))
        with another_user():
            file = cache.find(digits.ref)
            assert file is not None
            assert parse_object(file, "digits").info == digits.info
            assert said == []
            cache.keep(digits.ref, b"")
        assert len(said) == 1
        assert "could not be cached" in said[0]
        (folder / name).chmod(0o600)
        with another_user():
            assert cache.find(digits.ref) is None, "only its owner can read it"
        assert names(folder) == [name]
        assert (folder / name).read_bytes() == digits.data


def test_a_folder_that_is_none_is_only_told(bench: Bench, digits: MadeDataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "nowhere"):
        said: list[str] = []
        assert fetch_dataset(bench.store, digits.ref, DatasetCache(folder, said.append)) == digits.data
        assert len(said) == 1
        assert "could not be cached" in said[0]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A block in which this process cannot write more to a file: the write fails in its middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_is_only_told(bench: Bench, digits: MadeDataset, folder: Path) -> None:
    said: list[str] = []
    with files_of_at_most(4096):
        assert fetch_dataset(bench.store, digits.ref, DatasetCache(folder, said.append)) == digits.data
    assert names(folder) == []
    assert len(said) == 1
    assert "could not be cached" in said[0]


def test_many_may_write_it_at_once(bench: Bench, digits: MadeDataset, folder: Path, name: str) -> None:
    def read(_: int) -> bool:
        found = Reader(bench.store, DatasetCache(folder)).dataset(digits.ref)
        return bool(found.tensors["train_labels"].max() == 9)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(32)))
    assert names(folder) == [name]


def without_links(source: Path, target: Path) -> None:
    raise PermissionError("this file system has no hard links")


@pytest.mark.parametrize("link", [os.link, without_links])
def test_a_right_file_is_not_replaced_because_others_may_have_mapped_it(
    link: Callable[[Path, Path], None], digits: MadeDataset, folder: Path, name: str
) -> None:
    said: list[str] = []
    cache = DatasetCache(folder, said.append, link=link)
    cache.keep(digits.ref, digits.data)
    first = (folder / name).stat().st_ino
    cache.keep(digits.ref, digits.data)
    assert (folder / name).stat().st_ino == first
    (folder / name).write_bytes(b"damaged")
    cache.keep(digits.ref, digits.data)
    assert (folder / name).read_bytes() == digits.data
    assert names(folder) == [name]
    assert said == []


def test_what_nobody_uses_goes_when_another_dataset_comes(bench: Bench, digits: MadeDataset, folder: Path) -> None:
    now = time.time()
    old = {
        f"one-{'0' * 16}.safetensors": UNUSED + 9,
        f".one-{'0' * 16}.safetensors-{'1' * 16}": 100_000,
    }
    stay = {
        f"two-{'0' * 16}.safetensors": UNUSED - 9,
        f".two-{'0' * 16}.safetensors-{'1' * 16}": 3600,
        "notes.txt": 10 * UNUSED,
        f"two-{'0' * 16}": 10 * UNUSED,
        ".hidden": 10 * UNUSED,
    }
    for entry, age in (old | stay).items():
        (folder / entry).write_bytes(b"")
        os.utime(folder / entry, (now - age, now - age))
    Reader(bench.store, DatasetCache(folder)).dataset(digits.ref)
    left = set(names(folder))
    assert left & set(old) == set()
    assert left >= set(stay)


def test_a_file_that_is_used_stays(bench: Bench, digits: MadeDataset, folder: Path, name: str) -> None:
    Reader(bench.store, DatasetCache(folder)).dataset(digits.ref)
    written = (folder / name).stat().st_mtime
    for days in (0.5, 20, 45):
        later = DatasetCache(folder, clock=lambda days=days: written + days * 86_400)  # type: ignore[misc]
        file = later.find(digits.ref)
        assert file is not None
        file.close()
        assert (folder / name).stat().st_mtime == (written if days < 1 else pytest.approx(written + days * 86_400))
        later.keep(digits.ref.model_copy(update={"digest": "0" * 16}), b"another")
        assert name in names(folder)
