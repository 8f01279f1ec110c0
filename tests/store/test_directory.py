"""What is the directory's own: files, links, permissions, full disks, and what a killed writer leaves behind."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from metaqnn_orch.errors import ObjectMissing, StoreError
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.errors import Cause


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "er" / "store"


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    return DirectoryStore(root)


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())


def test_an_object_is_a_file_and_nothing_else_is_left(store: DirectoryStore, root: Path) -> None:
    store.put("runs/a/run.json", b"{}")
    store.put("runs/a/run.json", b"{ }")
    assert store.put_if_absent("runs/a/journal/000000001.jsonl", b"1")
    assert not store.put_if_absent("runs/a/journal/000000001.jsonl", b"2")
    assert files(root) == ["runs/a/journal/000000001.jsonl", "runs/a/run.json"]
    assert (root / "runs/a/run.json").read_bytes() == b"{ }"


def test_reading_creates_nothing(store: DirectoryStore, root: Path) -> None:
    assert list(store.list("")) == []
    store.delete("a/b")
    with pytest.raises(ObjectMissing):
        store.get("a/b")
    assert not root.parent.exists()


def test_the_uri_is_the_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = DirectoryStore("runs")
    assert store.uri == str(tmp_path / "runs")
    monkeypatch.chdir("/")
    store.put("a", b"1")
    assert (tmp_path / "runs" / "a").read_bytes() == b"1"


def test_half_written_and_foreign_files_are_not_shown(store: DirectoryStore, root: Path) -> None:
    store.put("a/b", b"1")
    for name in [".0123456789abcdef.tmp", ".DS_Store", "README", "b~", "a b"]:
        (root / "a" / name).write_text("foreign")
    for name in [".git", "Runs"]:
        (root / name).mkdir()
        (root / name / "c").write_text("foreign")
    os.mkfifo(root / "a" / "pipe")
    assert [entry.key for entry in store.list("")] == ["a/b"]
    with pytest.raises(ObjectMissing):
        store.get("a/pipe")  # and does not wait for a writer


def test_what_is_deleted_leaves_no_directory(store: DirectoryStore, root: Path) -> None:
    for key in ("a/b/c/d", "a/e"):
        store.put(key, b"1")
    store.delete("a/b/c/d")
    assert [path.name for path in (root / "a").iterdir()] == ["e"]
    (root / "a" / "foreign").mkdir()
    store.delete("a/e")
    assert [path.name for path in (root / "a").iterdir()] == ["foreign"]
    (root / "a" / "foreign").rmdir()
    store.put("a/e", b"2")
    store.delete("a/e")
    assert not root.exists()


def test_a_root_that_was_made_goes_with_what_was_in_it_and_no_other_does(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    store = DirectoryStore(tmp_path / "mine" / "new" / "runs")
    store.put("a/b", b"1")
    store.put("c", b"1")
    store.delete("a/b")
    assert [entry.key for entry in store.list("")] == ["c"]
    store.delete("c")
    assert list(tmp_path.rglob("*")) == [tmp_path / "mine"]
    store.put("a/b", b"1")
    assert store.get("a/b") == b"1"
    there = DirectoryStore(tmp_path / "mine" / "new" / "runs")
    there.delete("a/b")
    assert list((tmp_path / "mine" / "new" / "runs").iterdir()) == [], "it was there before"


def test_a_listing_reads_nothing_outside_its_directory(store: DirectoryStore, root: Path) -> None:
    store.put("runs/a/x", b"1")
    store.put("runs/ab/x", b"1")
    store.put("datasets/x", b"1")
    code = """
import sys
from metaqnn_trainer.store.directory import DirectoryStore
store, read = DirectoryStore(sys.argv[1]), []
sys.addaudithook(lambda event, _: read.append(event) if event == "os.scandir" else None)
print([entry.key for entry in store.list("runs/a/")], len(read))
"""
    shown = subprocess.check_output([sys.executable, "-c", code, str(root)], text=True)
    assert shown == "['runs/a/x'] 1\n"


def test_no_link_leads_out_of_the_root(store: DirectoryStore, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    store.put("a/b", b"1")
    (root / "a" / "dir").symlink_to(outside)
    (root / "a" / "file").symlink_to(outside / "secret")
    assert [entry.key for entry in store.list("")] == ["a/b"]
    for key in ("a/dir/secret", "a/file"):
        with pytest.raises(ObjectMissing):
            store.get(key)
        store.delete(key)
    with pytest.raises(StoreError, match="a/dir/new"):
        store.put("a/dir/new", b"escaped")
    with pytest.raises(StoreError, match="a/dir/new"):
        store.put_if_absent("a/dir/new", b"escaped")
    assert not store.put_if_absent("a/file", b"escaped")
    store.put("a/file", b"mine")  # replaces the link, not what it points to
    assert store.get("a/file") == b"mine"
    assert files(outside) == ["secret"]
    assert (outside / "secret").read_text() == "secret"


def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    store = DirectoryStore(tmp_path / "link")
    store.put("a", b"1")
    assert (tmp_path / "real" / "a").read_bytes() == b"1"
    assert [entry.key for entry in store.list("")] == ["a"]


def test_a_file_in_the_place_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = DirectoryStore(tmp_path / "file")
    for call in (
        lambda: store.put("a", b""),
        lambda: store.put_if_absent("a", b""),
        lambda: store.get("a"),
        lambda: store.delete("a"),
        lambda: list(store.list("")),
    ):
        with pytest.raises(StoreError, match="Not a directory") as caught:
            call()
        assert not isinstance(caught.value, ObjectMissing)
        assert "there is a file where a directory is needed" in caught.value.hint
        assert not caught.value.transient


def test_a_file_in_the_place_of_a_directory_and_the_other_way_round(store: DirectoryStore) -> None:
    store.put("a/b", b"1")
    with pytest.raises(StoreError, match="a/b/c: Not a directory"):
        store.put("a/b/c", b"2")
    with pytest.raises(StoreError, match="a: Is a directory"):
        store.put("a", b"2")
    assert [entry.key for entry in store.list("")] == ["a/b"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission(store: DirectoryStore, root: Path) -> None:
    store.put("a", b"1")
    root.chmod(0o500)
    with pytest.raises(StoreError, match="Permission denied") as caught:
        store.put("b", b"2")
    root.chmod(0o700)
    assert "permissions" in caught.value.hint


def test_a_place_where_nothing_can_be_created() -> None:
    store = DirectoryStore("/proc/metaqnn")
    with pytest.raises(StoreError, match="/proc/metaqnn/a"):
        store.put("a", b"1")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_stops_half_way_leaves_what_was_there(store: DirectoryStore, root: Path) -> None:
    store.put("a/b", b"old")
    with largest_file(100_000):
        with pytest.raises(StoreError, match="a/b: File too large"):
            store.put("a/b", b"x" * 200_000)
        with pytest.raises(StoreError, match="a/c: File too large"):
            store.put_if_absent("a/c", b"x" * 200_000)
    assert files(root) == ["a/b"]
    assert store.get("a/b") == b"old"


def test_a_full_disk_says_so() -> None:
    # Every write to this device fails as on a full disk, but no directory can be made there: only words are tested.
    with pytest.raises(OSError, match="No space left") as caught, Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"x")
    store = DirectoryStore("/store")
    with pytest.raises(StoreError, match="/store/a: No space left on device") as renamed, store._renamed("a"):
        raise caught.value
    assert "free some space" in renamed.value.hint
    assert not renamed.value.transient


def test_what_killed_writers_left_is_removed_a_day_later(store: DirectoryStore, root: Path) -> None:
    store.put("a/b/c", b"1")
    day = 86_400
    ages = {".0123456789abcdef.tmp": day + 60, ".fedcba9876543210.tmp": day - 60, ".0123.tmp": 9 * day, ".git": 9 * day}
    for name, age in ages.items():
        (root / "a" / "b" / name).write_bytes(b"half")
        os.utime(root / "a" / "b" / name, (time.time() - age,) * 2)
    (root / "a" / ".0123456789abcdef.tmp").symlink_to(root / "a" / "b" / "c")
    assert [entry.key for entry in store.list("")] == ["a/b/c"]
    assert files(root / "a" / "b") == [".0123.tmp", ".fedcba9876543210.tmp", ".git", "c"], "and nothing of others"
    assert store.get("a/b/c") == b"1"


def test_a_pipe_that_took_an_objects_place_is_not_waited_for(store: DirectoryStore, root: Path) -> None:
    store.put("a/b", b"1")
    (root / "a" / "b").unlink()
    os.mkfifo(root / "a" / "b")
    for look in (store.get, store.stat):
        with pytest.raises(ObjectMissing):
            look("a/b")


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        *((number, Cause.FULL) for number in (errno.ENOSPC, errno.EDQUOT)),
        *((number, Cause.OUTAGE) for number in (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EBUSY, errno.EAGAIN)),
        *((number, Cause.REFUSED) for number in (errno.EACCES, errno.EROFS, errno.ELOOP, errno.EFBIG, errno.EPERM)),
    ],
)
def test_whose_turn_it_is_after_an_error_of_the_system(number: int, cause: Cause) -> None:
    store = DirectoryStore("/store")
    with pytest.raises(StoreError, match="/store/a: ") as caught, store._renamed("a"):
        raise OSError(number, os.strerror(number))
    assert caught.value.cause is cause


def test_descriptors_are_given_back(store: DirectoryStore) -> None:
    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    store.put("a/b", b"1")
    before = descriptors()
    for _ in range(20):
        store.put("a/b", b"1")
        store.put_if_absent("a/b", b"1")
        store.get("a/b")
        next(store.list(""))
        for key in ("a", "a/c", "a/b/c"):
            with pytest.raises(ObjectMissing):
                store.get(key)
        with pytest.raises(StoreError):
            store.put("a", b"")
        store.delete("a/c")
    assert descriptors() == before


def test_a_name_goes_with_its_last_object(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    for key in ("runs/a/trials/1/x", "runs/b", "runs/c/run.json"):
        store.put(key, b"")
    store.delete("runs/a/trials/1/x")
    (tmp_path / "runs" / "Not-A-Key").touch()
    assert store.names("runs/") == ("b", "c")
