"""A search that goes on in the background after its terminal has closed: starts its process and keeps what it says."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from threading import Event, Thread
from typing import Final, NamedTuple

from metaqnn_orch.application.signals import surely
from metaqnn_orch.errors import BadInput

LOG_VARIABLE: Final = "METAQNN_DETACHED_LOG"  # tells the process in the background which file its output goes to
LOG_BYTES: Final = 8 << 20  # of a log, at most; its last lines stay
KEPT: Final = 5  # logs of a run
LOOK: Final = 0.2  # seconds between two looks at the new process
_SIZE: Final = 2.0  # seconds between two looks at the size of the log
_PATTERN: Final = "search-*.log"

PROGRAM: Final = (sys.executable, "-m", "metaqnn_orch")


class Detached(NamedTuple):
    """The end of the wait for a process in the background."""

    process: subprocess.Popen[bytes]
    log: Path
    code: int | None
    """Its exit code; None where it works on the run."""


def detach(
    arguments: Sequence[str],
    folder: Path,
    works: Callable[[int], bool],
    relay: Callable[[str], None],
    program: Sequence[str] = PROGRAM,
    sleep: Callable[[float], None] = time.sleep,
    environment: Mapping[str, str] = os.environ,
) -> Detached:
    """Start the program with these arguments in a session of its own, and return when it works on the run, or has
    ended. Until then `relay` gets what it says. `works` tells whether the process of this number works on the run. A
    signal that comes before ends the process, too.

    Raises:
        BadInput: its log cannot be written.
    """
    log, said = _begun(folder), 0
    with surely(lambda: _started([*program, *arguments], log, environment)) as process:
        while True:
            code = process.poll()
            at_work = code is None and works(process.pid)
            said = _pass_on(log, said, relay, whole=code is None)
            if code is not None:
                log.unlink(missing_ok=True)  # all of it was relayed
                return Detached(process, log, code)
            if at_work:
                return Detached(process, log, None)
            sleep(LOOK)


@contextmanager
def _started(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The process in the background, which writes to the log. It is stopped where the block raises anything."""
    with log.open("ab") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env={**environment, LOG_VARIABLE: str(log), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    try:
        yield process
    except BaseException:
        process.send_signal(signal.SIGTERM)
        process.wait()
        log.unlink(missing_ok=True)
        raise


def _begun(folder: Path) -> Path:
    """A new, empty log, beside the last few of the run.

    Raises:
        BadInput: the folder cannot be written to.
    """
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    log = folder / f"search-{at}-{secrets.token_hex(2)}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in logs_in(folder)[: 1 - KEPT]:
            old.unlink(missing_ok=True)
            _earlier(old).unlink(missing_ok=True)
        log.touch(mode=0o600)
    except OSError as error:
        raise BadInput(
            f"the log of the search cannot be written: {error.filename}: {error.strerror}",
            hint="XDG_STATE_HOME names another folder for it",
        ) from None
    return log


def _pass_on(log: Path, said: int, relay: Callable[[str], None], *, whole: bool) -> int:
    """Relay what follows the first `said` bytes, only `whole` lines where more may come. Returns how many bytes were
    relayed in all.
    """
    with suppress(OSError), log.open("rb") as file:
        file.seek(said)
        text = file.read()
        if whole:
            text = text[: text.rfind(b"\n") + 1]
        for line in text.decode(errors="replace").splitlines():
            relay(line)
        said += len(text)
    return said


def logs_in(folder: Path) -> list[Path]:
    """The logs of the run's searches in the background, the oldest first."""
    return sorted(folder.glob(_PATTERN))


def read_log(log: Path) -> list[str]:
    """The lines of a log."""
    while True:
        begun, text = _number(log), b""
        for part in (_earlier(log), log):
            with suppress(OSError):
                text += part.read_bytes()
        if _number(log) == begun:  # else it became LOG.1 in between
            return text.decode(errors="replace").splitlines()


def _number(log: Path) -> int | None:
    """Which file has this name now."""
    try:
        return log.stat().st_ino
    except OSError:
        return None


@contextmanager
def bounded_log(
    environment: MutableMapping[str, str] = os.environ, most: int = LOG_BYTES, pause: float = _SIZE
) -> Iterator[None]:
    """A block whose standard output and standard error, where they are a log of ours, are kept below `most` bytes: when
    half of it is full, the log becomes LOG.1, and a new one begins. No line is lost on the way, whatever ends the
    process.
    """
    named = environment.pop(LOG_VARIABLE, "")  # no process that this one starts writes there
    if not named:
        yield
        return
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # Python unbuffered writes a line in pieces, and a cut may come between
            stream.reconfigure(line_buffering=True, write_through=False)
    log, ended = Path(named), Event()

    def watch() -> None:
        while not ended.wait(pause):
            with suppress(OSError):
                if log.stat().st_size >= most // 2:
                    _renew(log)

    thread = Thread(target=watch, name="size of the log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _renew(log: Path) -> None:
    log.replace(_earlier(log))
    new = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.dup2(new, 1)
        os.dup2(new, 2)
    finally:
        os.close(new)


def _earlier(log: Path) -> Path:
    return log.with_name(log.name + ".1")
