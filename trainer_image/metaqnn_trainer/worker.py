"""A long-lived trainer: it reads one WorkOrder a line from standard input, and writes to standard output one
WorkerReady, and then one WorkReport a line.

Torch is imported once, before the first order comes. An error in one order becomes a report, and never ends the worker.
The end of standard input ends it: then the parent has ended, and the process leaves at once, even in a training,
because nobody will read the result. The lost work is not reported, and can be ordered again. SIGTERM ends the worker,
too, after a checkpoint and a report about it.
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Final, NoReturn

from metaqnn_trainer.contract.codec import MAX_MESSAGE_BYTES, decode, encode_line
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.keys import TRIAL_PATTERN
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.work import WorkerReady, WorkOrder, WorkReport
from metaqnn_trainer.start_up import lasting_imports

NO_TRIAL: Final = "0" * 12  # the trial's name in a report about a line that names none


def work(threads: int | None = None) -> NoReturn:
    """Serve until SIGTERM, or until standard input ends; the process ends with it."""
    # The terminal sends Ctrl-C to the whole process group; it is for the parent, which decides what its workers do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reports = _claim_stdout()
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    stop = threading.Event()

    def end(*_: object) -> None:
        stop.set()
        lines.put(None)  # wakes a thread that waits for an order

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=_read, args=(sys.stdin.buffer, lines), daemon=True).start()

    try:
        with lasting_imports():
            from metaqnn_trainer.trial import Trainer

        trainer = Trainer(threads, stop.is_set)
        _say(reports, WorkerReady(ready=True, device=trainer.device, unused=trainer.unused[:1000]))
        while (line := lines.get()) is not None and not stop.is_set():
            _say(reports, _answer(trainer.carry_out, line))
    # Otherwise the parent would wait for a report of this order for ever, or hear of an abort where an import failed.
    except BaseException:
        traceback.print_exc()
        os._exit(ExitCode.INTERNAL)
    # A usual exit would abort: Python wants to close standard input, while the reader waits in it.
    sys.stderr.flush()
    os._exit(ExitCode.PREEMPTED)


def _answer(carry_out: Callable[[WorkOrder], WorkReport], line: bytes) -> WorkReport:
    try:
        order = decode(WorkOrder, line, "the order")
    except MessageError as error:
        return WorkReport(trial=_trial_in(line), exit_code=ExitCode.BAD_REQUEST, reason=str(error))
    return carry_out(order)


def _say(reports: BinaryIO, message: WorkerReady | WorkReport) -> None:
    try:
        reports.write(encode_line(message))  # in one write, as a pipe takes so few bytes at once
    except BrokenPipeError:
        os._exit(0)


def _claim_stdout() -> BinaryIO:
    """A private copy of standard output; everything else that is written there, also by a library's C code, goes to
    standard error.
    """
    private = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return private


def _read(stream: BinaryIO, lines: queue.SimpleQueue[bytes | None]) -> None:
    while line := stream.readline(MAX_MESSAGE_BYTES + 1):
        lines.put(line)
    os._exit(0)


def _trial_in(line: bytes) -> str:
    """The trial that a line names although it is no valid order, so that the report can name it."""
    with suppress(ValueError, RecursionError):
        found = json.loads(line)
        if isinstance(found, dict) and re.fullmatch(TRIAL_PATTERN, str(found.get("trial"))):
            return str(found["trial"])
    return NO_TRIAL
