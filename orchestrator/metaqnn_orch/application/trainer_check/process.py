"""Runs the checked program once, and keeps its end, its time and its output. However the program behaves, it is ended
in the end with all that it started, and its output takes little memory.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import IO, Final, NamedTuple

from metaqnn_orch.errors import one_line

MOST_WORDS: Final = 16 << 20  # bytes of output of one run: more is no log any more
_KEPT: Final = 1 << 16  # bytes that are kept of the beginning and of the end
_LOOK: Final = 0.01  # seconds between two looks
_FOR_WORDS: Final = 10.0  # seconds after the end: a process that left the group may still hold a pipe open


class ProcessEnd(NamedTuple):
    """How a run ended."""

    code: int
    """The return code of subprocess: the exit code, or minus the signal's number."""
    seconds: float
    out: bytes
    """Standard output: its beginning and its end."""
    err: bytes
    too_much: bool
    """Whether the program was killed because it wrote too much."""

    @property
    def last_words(self) -> str:
        """The last line of standard error, or an empty text."""
        lines = [line for line in self.err.decode(errors="replace").splitlines() if line.strip()]
        return one_line(lines[-1]) if lines else ""

    def in_words(self) -> str:
        how = f"exit code {self.code}"
        if self.code < 0:
            with suppress(ValueError):
                how = f"killed by {signal.Signals(-self.code).name}"
        if self.too_much:
            how = f"more than {MOST_WORDS >> 20} MiB of output, for which it was killed"
        return how + (f", saying: {self.last_words}" if self.last_words else ", saying nothing")


class _Words:
    """Reads a pipe all the time, so that the program never waits for its reader."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._begin = self._end = b""
        self.count = 0
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while chunk := os.read(self._pipe.fileno(), _KEPT):
            self.count += len(chunk)
            room = _KEPT - len(self._begin)
            self._begin += chunk[:room]
            self._end = (self._end + chunk[room:])[-_KEPT:]

    def close(self) -> bytes:
        self._thread.join(_FOR_WORDS)
        if not self._thread.is_alive():
            self._pipe.close()
        return self._begin + self._end


class Process:
    """The program, running in a process group of its own, until the block ends."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the program.

        Raises:
            OSError: it cannot be started.
        """
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._out, self._err = _Words(self._process.stdout), _Words(self._process.stderr)
        self._ended: ProcessEnd | None = None

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bury()

    @property
    def seconds(self) -> float:
        """Seconds since the program was started."""
        return time.monotonic() - self._began

    def wait(self, seconds: float) -> ProcessEnd | None:
        """The end of the program, if it comes within `seconds` from now."""
        until = time.monotonic() + seconds
        while not self.is_over():
            if self._talks_too_much:
                break
            if time.monotonic() >= until:
                return None
            time.sleep(_LOOK)
        return self._bury()

    def is_over(self) -> bool:
        """Whether the program has ended; until it is waited for, no other process gets its number."""
        if self._ended is not None:
            return True
        if not hasattr(os, "waitid"):  # macOS has it from Python 3.13 on
            return self._process.poll() is not None
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None

    def signal(self, number: int) -> bool:
        """Send the first process of the program a signal, as the cluster does; False if it has ended before."""
        if self.is_over():
            return False
        self._process.send_signal(number)
        return True

    @property
    def _talks_too_much(self) -> bool:
        return self._out.count + self._err.count > MOST_WORDS

    def _bury(self) -> ProcessEnd:
        """End the program and its group, where they have not ended, and return how it ended, with its output."""
        if self._ended is None:
            seconds, too_much = self.seconds, self._talks_too_much
            with suppress(ProcessLookupError, PermissionError):  # it has ended: macOS then raises the latter
                os.killpg(self._process.pid, signal.SIGKILL)
            code = self._process.wait()
            self._ended = ProcessEnd(code, seconds, self._out.close(), self._err.close(), too_much)
        return self._ended
