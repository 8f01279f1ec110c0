"""Calls the trainer on this machine, in a process of its own: only the trainer imports torch, and it need not be
installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Final, NamedTuple, TypeVar

from metaqnn_orch.errors import BadInput, LauncherError, NotFound, StoreError, one_line
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.extras import lack, remedy
from metaqnn_trainer.store.errors import Cause

TRAINER: Final = (sys.executable, "-m", "metaqnn_trainer")

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
        if self.code == ExitCode.BAD_REQUEST:
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


def call(arguments: Sequence[str], report: Callable[[str], None], trainer: Sequence[str] = TRAINER) -> TrainerAnswer:
    """Run `python -m metaqnn_trainer` with these arguments until it ends; `report` gets its progress, a line at a
    time.

    Raises:
        LauncherError: the trainer is not installed.
    """
    if trainer is TRAINER:
        need_trainer(f"the trainer's {arguments[0]}")
    with (
        tempfile.TemporaryFile() as answer,
        subprocess.Popen(
            [*trainer, *arguments], stdin=subprocess.DEVNULL, stdout=answer, stderr=subprocess.PIPE
        ) as process,
    ):
        assert process.stderr is not None
        try:
            last_words = one_line(_relay(process.stderr, report).removeprefix("metaqnn_trainer: "), 600)
            code = process.wait()
        except BaseException:  # a signal stops this process: nobody waits for the answer any more
            process.kill()
            raise
        answer.seek(0)
        return TrainerAnswer(code, answer.read(), last_words)


def _relay(lines: Iterable[bytes], report: Callable[[str], None]) -> str:
    """Pass on the trainer's lines, except a traceback and the last line, which is returned: it is the reason of a
    failure.
    """
    last_words, tracing = "", False
    for line in lines:
        if last_words and not tracing:
            report(last_words)
        # A progress bar rewrites its line: only the last state of the line counts.
        last_words = line.decode(errors="replace").rstrip().rpartition("\r")[2]
        tracing = tracing or last_words.startswith("Traceback ")
    return last_words
