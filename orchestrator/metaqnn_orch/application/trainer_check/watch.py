"""The order in which files appear in a folder, as the system reports it."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

_MODIFIED: Final = 0x002
_MOVED_HERE: Final = 0x080
_CREATED: Final = 0x100
_HEADER: Final = struct.Struct("iIII")  # inotify(7): watch, mask, cookie, length of the name
_ROOM: Final = 1 << 16


class Change(NamedTuple):
    """A change of a name in the folder: it appeared, or something under it was written to."""

    name: str
    appeared: bool


class Watch:
    """Watches the changes in a folder from the beginning of the block on. Needs Linux."""

    def __init__(self, folder: Path) -> None:
        """Start to watch the folder.

        Raises:
            OSError: this system cannot report changes.
        """
        self._changes: list[Change] = []
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except AttributeError:
            raise OSError("there is no inotify here") from None
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify cannot be used here")
        mask = _CREATED | _MOVED_HERE | _MODIFIED
        if libc.inotify_add_watch(self._descriptor, os.fsencode(folder), mask) < 0:
            os.close(self._descriptor)
            raise OSError(ctypes.get_errno(), f"{folder} cannot be watched")

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def changes(self) -> list[Change]:
        """The changes until now, in their order."""
        while True:
            try:
                data = os.read(self._descriptor, _ROOM)
            except BlockingIOError:
                return self._changes
            while data:
                _, mask, _, length = _HEADER.unpack_from(data)
                name = data[_HEADER.size : _HEADER.size + length].rstrip(b"\0")
                self._changes.append(Change(os.fsdecode(name), not mask & _MODIFIED))
                data = data[_HEADER.size + length :]
