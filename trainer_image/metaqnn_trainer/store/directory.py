"""A directory as a store: one file per object, for one machine or a file system that several machines share.

A file is written under a name that no key can have, flushed to the disk, and only then gets its own name. A process
that is killed meanwhile leaves such a file behind, which is never listed and never read; a listing a day later removes
it. Directories are opened one part at a time without following symbolic links, so that no key leads out of the root.
The root itself may be a link.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from metaqnn_trainer.store.base import Entry, Stat, check_key, check_prefix, is_part
from metaqnn_trainer.store.errors import Cause, ObjectMissing, StoreError

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# so that opening a pipe that nobody writes to returns
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ASIDE: Final = re.compile(r"\.[0-9a-f]{16}\.tmp")
_LEFT_BEHIND: Final = 86_400.0  # seconds: no write takes so long, whatever the difference between two machines' clocks
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_HINTS: Final = {
    errno.EACCES: (
        "this user has no permission here: change the directory's owner or permissions, or use another store"
    ),
    errno.EROFS: "the file system is mounted read-only: use another directory",
    errno.ENOSPC: "the disk is full: free some space, then repeat the command",
    errno.EDQUOT: "the disk quota is exhausted: free some space, then repeat the command",
    errno.ENOTDIR: "there is a file where a directory is needed: move it away, or use another directory",
    errno.EISDIR: "there is a directory where a file is needed: move it away, or use another directory",
    errno.ELOOP: "symbolic links inside a store are not followed: put the real directory in its place",
    errno.EMFILE: "too many files are open: raise `ulimit -n`",
}
_NO_LINKS: Final = "this file system has no hard links, which a run's journal needs: use another directory or s3://"
_CAUSES: Final = {
    **dict.fromkeys((errno.EAGAIN, errno.EBUSY, errno.EIO, errno.ESTALE, errno.ETIMEDOUT), Cause.OUTAGE),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), Cause.FULL),
}


class DirectoryStore:
    """A store under `root`, which the first write creates.

    Without `durable` no file is flushed to the disk. This is many times faster, and as safe when a process is killed;
    but a machine that loses power may lose the last writes, and leave files that have a name and no content.
    """

    def __init__(self, root: Path | str, *, durable: bool = True) -> None:
        self._root = Path(root).absolute()
        self._durable = durable
        self._made: tuple[Path, ...] = ()  # the root and the folders above it, as far as they were not there

    @property
    def uri(self) -> str:
        return str(self._root)

    def put(self, key: str, data: bytes) -> None:
        *parts, name = check_key(key).split("/")
        with self._renamed(key), self._aside(parts, data) as (directory, aside):
            os.replace(aside, name, src_dir_fd=directory, dst_dir_fd=directory)
            self._sync(directory)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        *parts, name = check_key(key).split("/")
        with self._renamed(key), self._aside(parts, data) as (directory, aside):
            try:
                os.link(aside, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise self._error(key, error, _NO_LINKS) from error
                raise
            os.unlink(aside, dir_fd=directory)
            self._sync(directory)
            return True

    def get(self, key: str, first: int | None = None) -> bytes:
        *parts, name = check_key(key).split("/")
        with self._renamed(key), self._directory(parts) as directory:
            _expect_file(name, directory)
            with os.fdopen(os.open(name, _READ, dir_fd=directory), "rb") as file:
                return file.read(first)

    def stat(self, key: str) -> Stat:
        *parts, name = check_key(key).split("/")
        with self._renamed(key), self._directory(parts) as directory:
            return Stat(_expect_file(name, directory), None)

    def list(self, prefix: str) -> Iterator[Entry]:
        *parts, beginning = check_prefix(prefix).split("/")
        return self._walk(parts, beginning)

    def names(self, prefix: str) -> tuple[str, ...]:
        *parts, beginning = check_prefix(prefix).split("/")
        path = "".join(part + "/" for part in parts)
        with suppress(ObjectMissing), self._renamed(path), self._directory(parts) as directory:
            with os.scandir(directory) as entries:
                found = sorted(one.name for one in entries if one.name.startswith(beginning) and is_part(one.name))
            return tuple(name for name in found if self._is_there(name, directory, parts))
        return ()

    def delete(self, key: str) -> None:
        *parts, name = check_key(key).split("/")
        with suppress(ObjectMissing), self._renamed(key), self._directory(parts) as directory:
            _expect_file(name, directory)
            os.unlink(name, dir_fd=directory)
            self._sync(directory)
        with suppress(OSError):  # until there is something else in one, or this user may not
            while parts:
                *parts, name = parts
                with self._directory(parts) as directory:
                    os.rmdir(name, dir_fd=directory)
            for path in self._made:
                path.rmdir()

    def _walk(self, parts: Sequence[str], beginning: str) -> Iterator[Entry]:
        # No directory stays open while the caller handles an entry; an entry that disappears meanwhile is left out.
        path = "".join(part + "/" for part in parts)
        found: list[tuple[str, int | None]] = []
        with (
            suppress(ObjectMissing),
            self._renamed(path),
            self._directory(parts) as directory,
            os.scandir(directory) as entries,
        ):
            for entry in entries:
                if entry.name.startswith(beginning) and is_part(entry.name):
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(status.st_mode):
                            found.append((entry.name, status.st_size))
                        elif stat.S_ISDIR(status.st_mode):
                            found.append((entry.name + "/", None))
                elif _ASIDE.fullmatch(entry.name):
                    _remove_if_left_behind(entry, directory)
        # With its slash a directory is sorted where its keys are: after "a-b" and "a.json", before "a0".
        for name, size in sorted(found):
            if size is None:
                yield from self._walk([*parts, name.removesuffix("/")], "")
            else:
                yield Entry(path + name, size)

    def _is_there(self, name: str, directory: int, parts: Sequence[str]) -> bool:
        """Whether `name` is an object, or there is one below it: a directory may be empty for a moment, or stay."""
        try:
            return _expect_file(name, directory) >= 0
        except FileNotFoundError:
            return any(True for _ in self._walk([*parts, name], ""))

    @contextmanager
    def _directory(self, parts: Sequence[str], create: bool = False) -> Iterator[int]:
        """A descriptor of the directory `parts` below the root; `create` makes missing directories, durably."""
        current = self._open_root(create)
        try:
            for part in parts:
                try:
                    deeper = os.open(part, _DIRECTORY, dir_fd=current)
                except (FileNotFoundError, NotADirectoryError) as error:
                    if not create:
                        raise FileNotFoundError from error
                    with suppress(FileExistsError):
                        os.mkdir(part, dir_fd=current)
                        self._sync(current)
                    deeper = os.open(part, _DIRECTORY, dir_fd=current)
                os.close(current)
                current = deeper
            yield current
        finally:
            os.close(current)

    def _open_root(self, create: bool) -> int:
        flags = _DIRECTORY & ~os.O_NOFOLLOW
        try:
            return os.open(self._root, flags)
        except FileNotFoundError:
            if not create:
                raise
        missing = [self._root, *(path for path in self._root.parents if not path.exists())]
        self._made = tuple(missing)
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            parent = os.open(path.parent, flags)
            try:
                self._sync(parent)
            finally:
                os.close(parent)
        return os.open(self._root, flags)

    @contextmanager
    def _aside(self, parts: Sequence[str], data: bytes) -> Iterator[tuple[int, str]]:
        """The directory `parts`, and the name of a new file in it that holds `data`, flushed to the disk. The file is
        removed afterwards if it still exists.
        """
        name = f".{secrets.token_hex(8)}.tmp"
        opened, directory = self._created(parts, name)
        try:
            with os.fdopen(opened, "wb") as file:
                file.write(data)
                file.flush()
                if self._durable:
                    os.fsync(file.fileno())
            yield directory, name
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
            os.close(directory)

    def _created(self, parts: Sequence[str], name: str, attempts: int = 100) -> tuple[int, int]:
        """A new file in the directory `parts`, and the directory. If it is removed meanwhile, because another process
        deleted the last object in it, it is made again.
        """
        while True:
            attempts -= 1
            try:
                with self._directory(parts, create=True) as directory:
                    return os.open(name, _CREATE, 0o666, dir_fd=directory), os.dup(directory)
            except FileNotFoundError:
                if not attempts:
                    raise

    def _sync(self, directory: int) -> None:
        """Make the names in a directory durable, where the file system can: some network file systems cannot."""
        if not self._durable:
            return
        try:
            os.fsync(directory)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise

    @contextmanager
    def _renamed(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise self._missing(key) from error
        except OSError as error:
            raise self._error(key, error, _HINTS.get(error.errno or 0, "")) from error

    def _error(self, key: str, error: OSError, hint: str) -> StoreError:
        what = error.strerror or type(error).__name__
        return StoreError(f"{self._root / key}: {what}", hint, cause=_CAUSES.get(error.errno or 0, Cause.REFUSED))

    def _missing(self, key: str) -> ObjectMissing:
        return ObjectMissing(f"{self._root / key}: no such object")


def _expect_file(name: str, directory: int) -> int:
    """The file's size in bytes. A directory, a link or a pipe under a key's name is no object."""
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a regular file")
    return status.st_size


def _remove_if_left_behind(entry: os.DirEntry[str], directory: int) -> None:
    # A process that may only read here, or that comes second, leaves the file.
    with suppress(OSError):
        if time.time() - entry.stat(follow_symlinks=False).st_mtime > _LEFT_BEHIND:
            os.unlink(entry.name, dir_fd=directory)
