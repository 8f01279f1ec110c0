"""A long-lived trainer: one WorkOrder a line on standard input; on standard output one WorkerReady, and then one
WorkReport a line.

Importing torch is paid once, and begins before the first order comes. An error in one order is a report, never the
worker's end. The end of standard input is: then the parent is gone, and the process leaves at once, even while
training, because nobody will read what it finds. What is lost is not told, and can be asked for again. SIGTERM ends it
too, after a checkpoint and a report that says so.
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

NO_TRIAL: Final = "0" * 12  # names the trial in a report about a line that does not


def work(threads: int | None = None) -> NoReturn:
    """Serve until SIGTERM, or until standard input ends; the process ends with it."""
    # The terminal sends Ctrl-C to the whole group; it is for the parent, which decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reports = _claim_stdout()
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    stop = threading.Event()

    def end(*_: object) -> None:
        stop.set()
        lines.put(None)  # wakes whoever waits for an order

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=_read, args=(sys.stdin.buffer, lines), daemon=True).start()

    from metaqnn_trainer.trial import Trainer

    trainer = Trainer(threads, stop.is_set)
    _say(reports, WorkerReady(ready=True))

    try:
        while (line := lines.get()) is not None and not stop.is_set():
            _say(reports, _answer(trainer.carry_out, line))
    except BaseException:  # the order would wait for a report for ever
        traceback.print_exc()
        os._exit(ExitCode.INTERNAL)
    # Leaving as usual would abort: Python wants to close standard input, and the reader waits in it.
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
        reports.write(encode_line(message))  # in one piece, as a pipe takes what is so short
    except BrokenPipeError:
        os._exit(0)


def _claim_stdout() -> BinaryIO:
    """A private way to standard output; whatever else writes there, a library's C code too, goes to standard error."""
    private = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return private


def _read(stream: BinaryIO, lines: queue.SimpleQueue[bytes | None]) -> None:
    while line := stream.readline(MAX_MESSAGE_BYTES + 1):
        lines.put(line)
    os._exit(0)


def _trial_in(line: bytes) -> str:
    """The trial that a line names, though it is no order, so that the report can be told apart."""
    with suppress(ValueError, RecursionError):
        found = json.loads(line)
        if isinstance(found, dict) and re.fullmatch(TRIAL_PATTERN, str(found.get("trial"))):
            return str(found["trial"])
    return NO_TRIAL
