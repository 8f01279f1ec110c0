"""Keeps what trainers on this machine say, a file for each trial, in files whose size is bounded.

The lines are for people. A disk that is full, or a folder that may not be written to, costs lines and no trial.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Final

FILE_BYTES: Final = 256 << 10  # of one trial, at most; its last lines stay
ALL_BYTES: Final = 64 << 20  # of all trials, at most; those with the latest lines stay
_BLOCK: Final = 4096  # bytes: a file takes whole blocks of the disk
_LOOK: Final = 64  # begun trials between two looks at the whole folder

ENDING: Final = ".log"
EARLIER: Final = ".log.1"


class KeptLines:
    """The lines of trials in a folder, each in `TRIAL.log` and, what came before, in `TRIAL.log.1`. It is safe to use
    from several threads.
    """

    def __init__(self, folder: Path, file_bytes: int = FILE_BYTES, all_bytes: int = ALL_BYTES) -> None:
        """The folder is made with the first line."""
        self._folder = folder
        self._half = file_bytes // 2
        self._all_bytes = all_bytes
        self._lock = Lock()
        self._begun = count()

    def begin(self, trial: str, line: str) -> None:
        """Note that an attempt begins."""
        with self._lock, suppress(OSError):
            if next(self._begun) % _LOOK == 0:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._make_room()
            self._add(trial, line)

    def add(self, trial: str, line: str) -> None:
        with self._lock, suppress(OSError):
            self._add(trial, line)

    def _add(self, trial: str, line: str) -> None:
        path = self._folder / f"{trial}{ENDING}"
        with path.open("ab") as file:
            file.write(line.encode(errors="replace") + b"\n")
            full = file.tell() >= self._half
        if full:
            path.replace(self._folder / f"{trial}{EARLIER}")

    def _make_room(self) -> None:
        """Delete the files that were not written to for the longest time, until a quarter of the room is free."""
        found = sorted((status.st_mtime, _room(status.st_size), path) for path, status in self._files())
        total, most = sum(room for _, room, _ in found), self._all_bytes
        if total <= most:
            return
        for _, room, path in found:
            if total <= most * 3 // 4:
                return
            path.unlink(missing_ok=True)
            total -= room

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                yield path, path.stat()


def _room(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def lines_in(folder: Path, name: str) -> list[str]:
    """The kept lines of `name`, the oldest first; none where there are none."""
    text = b""
    for ending in (EARLIER, ENDING):
        with suppress(OSError):
            text += (folder / f"{name}{ending}").read_bytes()
    return text.decode(errors="replace").splitlines()
