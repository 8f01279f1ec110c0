"""Blocks that only one process of this machine is in at a time, and files that appear whole. A process that ends,
however it ends, leaves such a block.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Final

_LOOK: Final = 0.1  # seconds between two looks at whether the block is free


def stand_in(name: str) -> Path:
    """A folder on this machine that stands for a place that is none, as a server is: `name` identifies it."""
    folder = Path(gettempdir()) / f"metaqnn-{os.getuid()}" / hashlib.sha256(name.encode()).hexdigest()[:16]
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextmanager
def alone(folder: Path, patience: float | None = None) -> Iterator[None]:
    """A block in which no other process is that names the same folder; nothing is written to the folder. Where the
    folder cannot be locked, the block is entered all the same.

    Raises:
        TimeoutError: another process is in it, and was after `patience` seconds. By default it is waited for.
    """
    handle = None
    with suppress(OSError):  # whoever uses the folder says what is wrong with it; not every one can be locked
        handle = os.open(folder, os.O_RDONLY)
    try:
        if handle is not None:
            _lock(handle, patience)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that nobody sees half written, or that two processes have written half each.

    Raises:
        OSError: it cannot be written.
    """
    aside = path.with_name(f".{path.name[:100]}.{os.getpid()}")
    try:
        aside.write_bytes(data)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _lock(handle: int, patience: float | None) -> None:
    if patience is None:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        return
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise TimeoutError(f"another process is at work there, and was {patience:.0f} s ago") from None
            time.sleep(_LOOK)
        except OSError:
            return
