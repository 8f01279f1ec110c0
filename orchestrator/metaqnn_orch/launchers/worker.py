"""One long-lived worker: a process that reads orders and writes reports, and the threads that listen to it.

The worker ends as soon as its standard input ends, so it cannot outlive the orchestrator, however the orchestrator
ends. It runs in a session of its own: Ctrl-C at the terminal reaches only the orchestrator, and every process that the
worker starts ends with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Lock, Thread
from typing import IO, Final, NamedTuple

from metaqnn_orch.errors import one_line
from metaqnn_orch.launchers.standard_error import StandardError
from metaqnn_trainer.contract.codec import decode, encode_line
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.work import WorkerReady, WorkOrder, WorkReport

_LINE_BYTES: Final = 16_384  # bytes: a report is far shorter, and a longer line is no report


class End(NamedTuple):
    """How a worker ended."""

    code: int
    """The return code of subprocess: the exit code, or minus the signal's number."""
    cause: str
    """The cause in words, one line."""
    said: StandardError

    @property
    def last_line(self) -> str:
        """The last line of its standard error that is about no trial; empty where it said nothing."""
        return one_line(self.said.strays[-1]) if self.said.strays else ""

    def cause_for(self, trial: str) -> str:
        """The cause in words, with the last lines of this trial."""
        words = self.said.last_words(trial)
        return self.cause + (f": {words}" if words else "")


class Worker:
    """A worker process. `on_ready`, `on_report` and `on_end` are called from its threads: `on_ready` at most once,
    before every report; `on_end` once, as the last call.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_ready: Callable[[], None],
        on_report: Callable[[Worker, WorkReport], None],
        on_end: Callable[[Worker, End], None],
        keep: Callable[[str, str], None] = lambda trial, line: None,
    ) -> None:
        """Start the worker. `keep` is called with each line of its standard error and the trial that it is about.

        Raises:
            OSError: the process cannot be started.
        """
        self._on_ready = on_ready
        self._on_report = on_report
        self._on_end = on_end
        self._process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self.is_ready = False
        self.device = ""
        """The device that it trains on, as it said when it was ready."""
        self.unused = ""
        """Why it cannot use a GPU that is there, as it said when it was ready; empty where there is none."""
        self._complaint = ""
        self._said = StandardError(_open(self._process.stderr).fileno(), keep)
        self._reaping = Lock()
        self._reader = Thread(target=self._read_reports, name=f"reports of worker {self.pid}", daemon=True)
        self._drain = Thread(target=self._said.drain, name=f"errors of worker {self.pid}", daemon=True)
        self._waiter = Thread(target=self._wait, name=f"end of worker {self.pid}", daemon=True)
        try:
            for thread in (self._reader, self._drain, self._waiter):
                thread.start()
        except RuntimeError as error:  # this process may have no more threads
            self._kill_group()
            self._process.wait()
            raise OSError(str(error)) from None

    @property
    def pid(self) -> int:
        return self._process.pid

    def give(self, order: WorkOrder) -> bool:
        """Hand over an order; False if the worker has ended."""
        self._said.begin(order.trial, first=not self.is_ready)
        try:
            _open(self._process.stdin).write(encode_line(order))
            return True
        except (OSError, ValueError):  # the worker does not read any more, or the pipe is closed
            return False

    def kill(self, complaint: str = "") -> None:
        """End the worker and every process that it started, at once. `complaint` is the reported cause, if something
        went wrong.
        """
        with self._reaping:
            self._complaint = self._complaint or complaint
            # Until the process is waited for, no other process can have its number.
            if self._process.returncode is None:
                self._kill_group()

    def join(self) -> None:
        """Wait until the worker has ended, together with its threads. It must not be called from the worker's own
        callbacks.
        """
        self._waiter.join()

    def _kill_group(self) -> None:
        # the process has ended already; macOS raises the latter for it
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _read_reports(self) -> None:
        """Read the worker's reports. After any error the worker is killed: nobody would hear of its trials any more."""
        try:
            self._listen()
        except Exception as error:
            self.kill(f"its reports could not be handled: {type(error).__name__}: {one_line(str(error))}")

    def _listen(self) -> None:
        while line := _open(self._process.stdout).readline(_LINE_BYTES):
            try:
                if not line.endswith(b"\n") and len(line) < _LINE_BYTES:
                    return  # the worker died while writing
                if not self.is_ready:
                    ready = decode(WorkerReady, line, "its first line")
                    self.device, self.unused = ready.device, one_line(ready.unused)
                    self.is_ready = True
                    self._on_ready()
                    continue
                report = decode(WorkReport, line, "its report")
            except MessageError as error:
                self.kill(f"the worker sent something else than reports: {one_line(str(error))}")
                return
            self._said.end(report.trial)
            self._on_report(self, report)

    def _wait(self) -> None:
        self._until_dead()
        with self._reaping:
            # A child of the worker may hold its pipes open: children end first, while the worker still has
            # the group's number.
            self._kill_group()
            code = self._process.wait()
        for thread in (self._reader, self._drain):
            thread.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            _open(pipe).close()
        self._on_end(self, End(code, self._complaint or _ending(code), self._said))

    def _until_dead(self) -> None:
        if hasattr(os, "waitid"):
            with suppress(ChildProcessError):  # the process was waited for elsewhere, so that its exit code is unknown
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            return
        while True:  # macOS has it from Python 3.13 on
            with self._reaping:
                if self._process.poll() is not None:
                    return
            time.sleep(0.05)


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "all three are pipes"
    return pipe


def _ending(code: int) -> str:
    if code >= 0:
        return f"the worker ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"the worker was killed by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")
