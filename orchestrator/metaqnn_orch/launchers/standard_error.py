"""The standard error of a worker, sorted by trial, so that the end of a trial is reported with that trial's last lines.

A worker has many trials, one after another. The trainer begins its lines with `trial ID:`; lines of the libraries
below it have no such beginning.
"""

from __future__ import annotations

import os
import re
import select
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Final, NamedTuple

from metaqnn_orch.errors import one_line

_LINE_BYTES: Final = 4096  # bytes of a line that are kept
_LINES: Final = 3  # lines of a trial that are quoted
_STRAYS: Final = 20  # lines of no trial that are kept: enough for the end of a traceback
_READ_BYTES: Final = 65_536
_READS: Final = 16  # reads at most, from a worker that never stops writing
_OF_TRIAL: Final = re.compile(r"trial ([0-9a-f]{12})[:,]\s*")


class _Line(NamedTuple):
    number: int
    text: str


_NOBODY: Final[deque[_Line]] = deque(maxlen=0)


class StandardError:
    """The end of a worker's standard error, by trial. It is safe to use from several threads."""

    def __init__(self, descriptor: int, keep: Callable[[str, str], None] = lambda trial, line: None) -> None:
        """Only this object reads `descriptor`, and its opener closes it. `keep` is called with each line and the trial
        that it is about; lines of no trial are about the one that the worker has.
        """
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._hand_on = keep
        self._lock = Lock()  # guards everything below
        self._ended = False
        self._rest = b""  # the beginning of a line that has not ended yet
        self._count = 0
        self._trials: dict[str, deque[_Line]] = {}
        self._begun: dict[str, int] = {}  # number of lines so far
        self._strays: deque[_Line] = deque(maxlen=_STRAYS)

    def drain(self) -> None:
        """Read all the time until the worker has closed its standard error; otherwise a worker that writes much would
        stand still.
        """
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        while not self._ended:
            poll.poll()
            with self._lock:
                self._read()

    def begin(self, trial: str, *, first: bool) -> None:
        """Note that the trial is about to be given to the worker. The lines until now are not about it, unless it is
        the `first` one, for which the worker was started.
        """
        with self._lock:
            self._catch_up()
            self._trials[trial] = deque(maxlen=_LINES)
            self._begun[trial] = 0 if first else self._count + bool(self._rest)

    def end(self, trial: str) -> None:
        """Note that the worker has reported on the trial."""
        with self._lock:
            self._catch_up()
            self._trials.pop(trial, None)
            self._begun.pop(trial, None)

    def last_words(self, trial: str) -> str:
        """One line: the last line of the trial, and lines of no trial after it; never a line of another trial."""
        with self._lock:
            own = [*self._trials.get(trial, ())]
            since = own[-1].number if own else self._begun.get(trial, self._count)
            strays = [line for line in self._strays if line.number > since]
            lines = [*own[-1:], *strays[1 - _LINES :]] if own and strays else own or strays[-_LINES:]
            return one_line(" | ".join(line.text for line in lines))

    @property
    def strays(self) -> list[str]:
        """The last lines of no trial."""
        with self._lock:
            return [line.text for line in self._strays]

    # Every method below is called with the lock held.

    def _catch_up(self) -> None:
        for _ in range(_READS):  # the bytes in the pipe were written before
            if self._ended or not self._read():
                break

    def _read(self) -> bool:
        """Read the available bytes. Returns whether there were any."""
        try:
            chunk = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        self._ended = not chunk  # the descriptor may belong to another file from now on
        *lines, rest = (chunk or b"\n").split(b"\n")
        for line in lines:
            self._keep(self._rest + line)
            self._rest = b""
        self._rest = (self._rest + rest)[:_LINE_BYTES]
        return True

    def _keep(self, line: bytes) -> None:
        """Keep a line. Its beginning says whose line it is, even if a terminal would show it as several lines."""
        kept, whose = self._strays, [*self._begun][-1:]
        for number, text in enumerate(line[:_LINE_BYTES].decode(errors="replace").splitlines()):
            if (found := _OF_TRIAL.match(text)) or number == 0:
                kept = self._trials.get(found[1], _NOBODY) if found else self._strays
                whose = [found[1]] if found else whose
            if text.strip():
                self._count += 1
                kept.append(_Line(self._count, own := text[found.end() if found else 0 :]))
                for trial in whose:
                    self._hand_on(trial, own)
