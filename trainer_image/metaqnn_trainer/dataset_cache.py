"""Dataset objects in a folder that several trainers share: on their node, or on a volume of many nodes.

There is one file for each digest. It is written under another name, and appears whole. A file that is right is never
replaced, however many trainers write it at once: others may have mapped it. Whoever opens it reads it once, to compare
its digest, and then maps it into memory: all processes of a node share its pages, and the store is not asked. Reading
it costs little (170 MB in 0.1 s, from the page cache) and proves everything: nobody has to trust who wrote the file,
or the disk.

The folder only saves time. Whatever is wrong with it, the dataset comes from the store.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Final

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.dataset import ref_of_key
from metaqnn_trainer.contract.messages import DatasetRef
from metaqnn_trainer.progress import say

UNUSED: Final = 30 * 86_400.0
"""Seconds after which a file that no trainer opened is removed. On a network file system, a process that has mapped a
file of which another machine removes the name is killed when it reads further: so this is longer than a training.
"""
_LEFT_BEHIND: Final = 86_400.0  # seconds: no write takes so long
_ASIDE: Final = re.compile(r"\.(?P<name>.+)-[0-9a-f]{16}")
_DAY: Final = 86_400.0
# Links are not followed; opening a pipe that nobody writes to returns.
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class DatasetCache:
    """The datasets in one folder, which must exist."""

    def __init__(
        self,
        folder: Path | str,
        report: Callable[[str], None] = say,
        clock: Callable[[], float] = time.time,
        link: Callable[[Path, Path], None] = os.link,
    ) -> None:
        """`report` is called with a line about anything that is wrong with the folder. `clock` returns the time, as
        the file system counts it; `link` gives a file a second name, if the name is free.
        """
        self._folder = Path(folder)
        self._report = report
        self._clock = clock
        self._link = link

    def find(self, ref: DatasetRef) -> BufferedReader | None:
        """The file of this dataset, open for reading, if there is one whose digest is right. The caller closes it."""
        path = self._folder / _name(ref)
        with suppress(OSError):
            file = os.fdopen(os.open(path, _READ), "rb")
            try:
                if _is_right(file, ref):
                    self._mark_used(file)
                    return file
            except OSError as error:  # the disk does not give what it holds
                self._report(f"{path} cannot be read: {error}")
            else:
                self._report(f"{path} is damaged, and will be replaced")
            file.close()
        return None

    def keep(self, ref: DatasetRef, data: bytes) -> None:
        """Write the dataset's file, and remove what nobody uses any more. An error is only reported."""
        self._remove_unused()
        path = self._folder / _name(ref)
        aside = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
        try:
            with aside.open("xb") as file:  # it is nobody else's, and no link
                file.write(data)
            self._place(aside, path, ref)
        except OSError as error:
            self._report(f"the dataset could not be cached for later trainers: {error}")
        finally:
            with suppress(OSError):
                aside.unlink()

    def _place(self, aside: Path, path: Path, ref: DatasetRef) -> None:
        """Give the file `aside` its name, unless the right file has it.

        Raises:
            OSError: it cannot be done.
        """
        try:
            self._link(aside, path)
        except OSError:  # the name is taken, or there are no hard links
            with suppress(OSError), os.fdopen(os.open(path, _READ), "rb") as file:
                if _is_right(file, ref):
                    return
            aside.replace(path)

    def _mark_used(self, file: BufferedReader) -> None:
        """Set the file's time to now, unless that was done within the last day: clients of a network file system forget
        the pages of a file whose time changes. A file of another user, or on a volume that is read-only, keeps its
        time.
        """
        if os.fstat(file.fileno()).st_mtime < self._clock() - _DAY:
            with suppress(OSError):
                os.utime(file.fileno(), (self._clock(), self._clock()))

    def _remove_unused(self) -> None:
        """Remove datasets that nobody opened for long, and what killed trainers left behind. Other files stay."""
        now = self._clock()
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                aside = _ASIDE.fullmatch(entry.name)
                if ref_of_key(f"datasets/{aside['name'] if aside else entry.name}") is None:
                    continue
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < now - (_LEFT_BEHIND if aside else UNUSED):
                        Path(entry.path).unlink()


def _name(ref: DatasetRef) -> str:
    return Path(keys.dataset(ref.name, ref.digest)).name


def _is_right(file: BufferedReader, ref: DatasetRef) -> bool:
    """Whether this is a plain file with the dataset's digest.

    Raises:
        OSError: it cannot be read.
    """
    # The file is read, not mapped: what a disk refuses to give is an error here, and would end the process there.
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode) and (
        hashlib.file_digest(file, "sha256").hexdigest()[:16] == ref.digest
    )
