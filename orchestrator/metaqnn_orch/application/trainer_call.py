"""Calls the trainer on this machine, in a process of its own: only the trainer imports torch, and it need not be
installed.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final, NamedTuple, TypeVar

from metaqnn_orch.application.signals import surely
from metaqnn_orch.errors import BadInput, LauncherError, NotFound, StoreError, one_line
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.extras import lack, remedy
from metaqnn_trainer.store.errors import Cause

TRAINER: Final = (sys.executable, "-m", "metaqnn_trainer")
GRACE: Final = 5.0  # seconds from SIGTERM to SIGKILL
BAR_SECONDS: Final = 5.0  # seconds between two states of a progress bar that are passed on

T = TypeVar("T")


class TrainerAnswer(NamedTuple):
    """How the trainer's process ended, and what it left on standard output."""

    code: int
    data: bytes
    last_words: str
    """The last line of standard error; where the trainer failed, it is the reason."""

    def told(self, shape: Callable[..., T], undone: str, doing: str) -> T:
        """The message in the last line of its output, read by the names of `shape`. `undone` says that it could not be
        done.

        Raises:
            BadInput, NotFound: that cannot be done, or the dataset is missing; the trainer's words say why.
            StoreError, LauncherError: as `error` says.
        """
        if self.code == ExitCode.DELIVERED:
            with suppress(ValueError, LookupError, TypeError):
                return shape(**json.loads(self.data.splitlines()[-1]))
        if self.code in (ExitCode.BAD_REQUEST, ExitCode.UNEQUIPPED):
            raise BadInput(f"{undone}: {self.last_words}")
        if self.code == ExitCode.DATASET:
            raise NotFound(f"{undone}: {self.last_words}")
        raise self.error(doing)

    def error(self, doing: str) -> StoreError | LauncherError:
        """The error for an exit code that has no meaning of its own; `doing` says what the trainer was asked to do."""
        if self.code in (ExitCode.STORE, ExitCode.STORE_REFUSED):
            away = self.code == ExitCode.STORE
            return StoreError(self.last_words, cause=Cause.OUTAGE if away else Cause.REFUSED)
        reason = f": {self.last_words}" if self.last_words else ""
        return LauncherError(
            f"the trainer ended with exit code {self.code} while {doing}{reason}",
            hint=remedy("train") if "No module named" in self.last_words else "",
        )


def need_trainer(what: str) -> None:
    """Check, without starting it, that the trainer can be there.

    Raises:
        LauncherError: what it is made of is not installed; `what` needs it.
    """
    if gone := lack("train", _at_all):
        raise LauncherError(f"{what} needs {gone}", hint=remedy("train"))


def _at_all(module: str) -> object:
    """Whether a module is installed; True for those that only some datasets need."""
    return find_spec(module) if module in ("torch", "safetensors") else True


def call(
    arguments: Sequence[str],
    report: Callable[[str], None],
    trainer: Sequence[str] = TRAINER,
    left_by: Callable[[int], Iterable[Path]] = lambda _: (),
    grace: float = GRACE,
) -> TrainerAnswer:
    """Run `python -m metaqnn_trainer` with these arguments until it ends; `report` gets its progress, a line at a time.
    A signal that stops this process stops the trainer, too, which has `grace` seconds to clean up. What it leaves
    behind all the same, as one that is killed does, is removed: temporary files, and the folders that `left_by` names
    for the number of its process.

    Raises:
        LauncherError: the trainer is not installed.
    """
    if trainer is TRAINER:
        need_trainer(f"the trainer's {arguments[0]}")
    with (
        tempfile.TemporaryDirectory(prefix="metaqnn-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as answer,
        _cleared(left_by) as begun,
        surely(lambda: _running([*trainer, *arguments], Path(folder), answer, begun, grace)) as process,
    ):
        assert process.stderr is not None
        # A progress bar rewrites its line: lines end with a carriage return, too.
        lines = io.TextIOWrapper(process.stderr, encoding="utf-8", errors="replace", newline="")
        last_words = one_line(relay(lines, report).removeprefix("metaqnn_trainer: "), 600)
        code = process.wait()
        answer.seek(0)
        return TrainerAnswer(code, answer.read(), last_words)


@contextmanager
def _running(
    command: Sequence[str], folder: Path, answer: IO[bytes], begun: list[int], grace: float
) -> Iterator[subprocess.Popen[bytes]]:
    """The process, whose number is put into `begun`. Where a signal stops this one, nobody waits for the answer any
    more: then it is stopped, too.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=answer,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    ) as process:
        begun.append(process.pid)
        try:
            yield process
        except BaseException:
            _stop(process, grace)
            raise


def _stop(process: subprocess.Popen[bytes], grace: float) -> None:
    """Ask the process to end, and kill it if it has not after `grace` seconds, or when another signal comes."""
    try:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    finally:
        process.kill()


@contextmanager
def _cleared(left_by: Callable[[int], Iterable[Path]]) -> Iterator[list[int]]:
    """A block after which nothing is left of what the processes made whose numbers are put into the list."""
    begun: list[int] = []
    try:
        yield begun
    finally:
        for path in [path for pid in begun for path in left_by(pid)]:
            shutil.rmtree(path, ignore_errors=True)


def relay(lines: Iterable[str], report: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> str:
    """Pass on the trainer's lines, except a traceback and the last line, which is returned: it is the reason of a
    failure. Of a line that is rewritten, as progress bars are, only a state every few seconds and the last one count.
    """
    last_words, tracing, rewritten, shown = "", False, "", clock()
    for line in lines:
        text = line.rstrip()
        if line.endswith("\r"):
            rewritten = text or rewritten
            if rewritten and clock() - shown >= BAR_SECONDS:
                if last_words and not tracing:
                    report(last_words)
                report(rewritten.strip())
                last_words, rewritten, shown = "", "", clock()
            continue
        if last_words and not tracing:
            report(last_words)
        last_words, rewritten = text or rewritten, ""
        tracing = tracing or last_words.startswith("Traceback ")
    return last_words
