"""The launcher for this machine: a pool of long-lived workers. Each worker is a trainer process that takes one order
after another.

Importing torch takes seconds, and training a small net takes less, so a worker stays for many trials. It is replaced
when it dies, and the trial that it was working on has then crashed.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Condition, Lock
from typing import Final, NamedTuple

from metaqnn_orch.errors import LauncherError, one_line
from metaqnn_orch.launchers.base import BY_EXIT_CODE, NO_OPTIONS, Observation, Phase
from metaqnn_orch.launchers.kept_lines import KeptLines
from metaqnn_orch.launchers.worker import End, Worker
from metaqnn_trainer.contract.messages import TrainerOptions, TrainingRequest
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.work import WorkOrder, WorkReport
from metaqnn_trainer.extras import remedy

TRAINER: Final = (sys.executable, "-m", "metaqnn_trainer", "worker")
# false starts in a row, over all workers: then the installation is the cause, and not an accident
FALSE_STARTS: Final = 3
KILLED_STARTS: Final = 10  # killed starts in a row: a person, or the kernel for want of memory, may kill a few

_VISIBLE: Final = "CUDA_VISIBLE_DEVICES"


class Proven(NamedTuple):
    """What a worker that can be started trains on."""

    device: str
    unused: str
    """Why it cannot use a GPU that is there; empty where there is none."""


class LocalLauncher:
    """Up to `parallel` trials, in workers started when there is work for them. Safe to use from many threads."""

    def __init__(
        self,
        store: str,
        parallel: int,
        command: Sequence[str] = TRAINER,
        options: TrainerOptions = NO_OPTIONS,
        lines: Path | None = None,
    ) -> None:
        """`store` is the URI that workers open. `command` starts a worker; the number of threads is appended. `options`
        are passed to every trial. `lines` is the folder that keeps what trainers say; by default it is not kept.
        """
        self._store = store
        self._options = options
        self._parallel = parallel
        threads = _threads(parallel)
        self._command = [*command, "--threads", str(threads)]
        # The libraries below torch read it when they are loaded, which is before --threads can be obeyed.
        # A waiting thread sleeps, unless this says otherwise: busy waiting takes four times the processor
        # seconds on small nets, and four times as long where other programs want the processors, too.
        self._environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "OMP_NUM_THREADS": str(threads)}
        self._lines = KeptLines(lines) if lines is not None else None
        self._lock = Condition(Lock())  # guards everything below
        self._seen: dict[str, Observation] = {}
        self._queue: deque[WorkOrder] = deque()
        self._orders: dict[Worker, WorkOrder | None] = {}  # the order that each worker has, if any
        self._dying: set[Worker] = set()  # killed, not yet gone: their places are not free
        self._false_starts = 0  # workers that ended before they were ready, in a row
        self._unready: End | None = None  # how the last of them ended
        self._broken: tuple[str, str] | None = None  # message and hint of the error that every further call raises

    @property
    def name(self) -> str:
        return "local"

    @property
    def parallel(self) -> int:
        return self._parallel

    @property
    def together(self) -> int:
        return 1

    @property
    def outlives_us(self) -> bool:
        return False

    @property
    def devices(self) -> int:
        return 1

    @property
    def options(self) -> TrainerOptions:
        return self._options

    @property
    def trouble(self) -> str:
        return ""

    def has_news(self) -> bool:
        return False

    def launch(self, request: TrainingRequest, attempt: int) -> None:
        order = WorkOrder(store=self._store, run=request.run, trial=request.trial, attempt=attempt)
        with self._lock:
            self._raise_if_broken()
            known = self._seen.get(order.trial)
            if known and (known.phase in (Phase.PENDING, Phase.RUNNING) or attempt <= known.attempt):
                return
            self._enqueue(order, "waits for a free worker")
            self._assign()
            self._raise_if_broken()

    def observe(self) -> Mapping[str, Observation]:
        with self._lock:
            self._raise_if_broken()
            return dict(self._seen)

    def cancel(self, trial: str) -> None:
        with self._lock:
            self._seen.pop(trial, None)
            self._queue = deque(order for order in self._queue if order.trial != trial)
            for worker in [worker for worker, order in self._orders.items() if order and order.trial == trial]:
                self._dismiss(worker)

    def prove(self) -> Proven:
        """Start a worker and wait until it is ready for its first trial. Returns what it trains on.

        Raises:
            LauncherError: it cannot be started, or ended before it was ready, or has no GPU although the environment
                names one.
        """
        with self._lock:
            self._raise_if_broken()
            worker = self._hire()
            while worker in self._orders and not worker.is_ready:
                self._lock.wait(0.5)  # seconds, so that a signal is handled soon
            if not worker.is_ready:
                end = self._unready
                cause = "the launcher was closed" if end is None else end.last_line or end.cause
                raise LauncherError(f"the trainer cannot be started: {cause}", self._advice(end) if end else "")
        named = self._environment.get(_VISIBLE, "").strip()
        if named not in ("", "-1") and worker.device.startswith("cpu"):
            raise LauncherError(
                f"{_VISIBLE} is {named}, but the trainer finds no GPU that it can use: only {worker.device}"
                + (f" ({worker.unused})" if worker.unused else ""),
                hint=f"nvidia-smi shows the GPUs; without {_VISIBLE} it trains on the CPU",
            )
        return Proven(worker.device, worker.unused)

    def close(self) -> None:
        """Kill the workers and forget every order: trials that were running have to be launched again."""
        with self._lock:
            self._broken = self._broken or ("the local launcher is closed", "")
            self._queue.clear()
            self._seen.clear()
            for worker in [*self._orders]:
                self._dismiss(worker)
            dying = list(self._dying)
        for worker in dying:
            worker.join()

    def _on_ready(self) -> None:
        with self._lock:
            self._false_starts = 0
            self._lock.notify_all()

    def _on_report(self, worker: Worker, report: WorkReport) -> None:
        with self._lock:
            order = self._orders.get(worker)
            if order is None or order.trial != report.trial:
                if worker in self._orders and order is None:  # the worker is free, and gets no further order
                    del self._orders[worker]
                    self._dying.add(worker)
                worker.kill(f"the worker reported on trial {report.trial}, which it was not given")
                return
            self._orders[worker] = None
            # an attempt that failed may not begin again in it: it would not see what was installed since
            if report.exit_code in (ExitCode.PREEMPTED, ExitCode.DEVICE, ExitCode.UNEQUIPPED):
                self._dismiss(worker)
            phase = BY_EXIT_CODE.get(report.exit_code, Phase.CRASHED)
            detail = "" if phase is Phase.DELIVERED else _reason(report)
            self._ended(order, phase, detail)
            self._assign()

    def _on_end(self, worker: Worker, end: End) -> None:
        with self._lock:
            self._dying.discard(worker)
            order = self._orders.pop(worker, None)
            if not worker.is_ready:
                self._unready = end
                self._lock.notify_all()
            if order and not worker.is_ready:
                self._false_start(order, end)
            elif order:
                # A worker that was asked to stop may leave without a report about an order that it had not begun.
                phase = Phase.DISRUPTED if end.code == ExitCode.PREEMPTED else Phase.CRASHED
                self._ended(order, phase, end.cause_for(order.trial))
            self._assign()

    # Every method below is called with the lock held.

    def _assign(self) -> None:
        """Give waiting orders to free workers, and start workers while there may be more of them."""
        while self._queue and not self._broken:
            free = next((worker for worker, order in self._orders.items() if order is None), None)
            if free is not None:
                worker = free
            elif len(self._orders) + len(self._dying) < self._parallel:
                try:
                    worker = self._hire()
                except LauncherError as error:
                    self._broken = (str(error), error.hint)
                    return
            else:
                return
            order = self._queue.popleft()
            if self._lines is not None:
                at = datetime.now(UTC).isoformat(timespec="seconds")
                self._lines.begin(order.trial, f"{at} attempt {order.attempt} is given to process {worker.pid}")
            if worker.give(order) or not worker.is_ready:
                self._orders[worker] = order
                self._seen[order.trial] = Observation(order.attempt, Phase.RUNNING, f"process {worker.pid}")
            else:  # the worker died while it was free, which is not this trial's fault
                self._queue.appendleft(order)
                self._dismiss(worker)

    def _hire(self) -> Worker:
        """Start a worker.

        Raises:
            LauncherError: the operating system starts no such process.
        """
        keep = self._lines.add if self._lines is not None else _forget
        heard = self._on_ready, self._on_report, self._on_end
        try:
            worker = Worker(self._command, self._environment, *heard, keep)
        except OSError as error:
            raise LauncherError(f"no worker can be started: {self._command[0]}: {error.strerror or error}") from None
        self._orders[worker] = None
        return worker

    def _ended(self, order: WorkOrder, phase: Phase, detail: str) -> None:
        self._seen[order.trial] = Observation(order.attempt, phase, detail)
        if self._lines is not None:
            self._lines.add(order.trial, f"attempt {order.attempt}: {detail or phase}")

    def _false_start(self, order: WorkOrder, end: End) -> None:
        """Note a worker that ended before it was ready, which is not the trial's fault: the trial waits for another
        worker.
        """
        cause = end.cause_for(order.trial)
        self._enqueue(order, f"waits for a worker to start; {cause}", front=True)
        self._false_starts += 1
        if self._false_starts >= (FALSE_STARTS if end.code >= 0 else KILLED_STARTS):
            message = f"{self._false_starts} workers in a row ended before they did anything; {cause}"
            self._broken = (message, self._advice(end))

    def _advice(self, end: End) -> str:
        if any("No module named" in line for line in end.said.strays):
            return remedy("train")
        if end.code == -signal.SIGKILL:
            return "is there enough memory for so many workers? If not, lower execution.parallel"
        return f"try it by hand: {shlex.join(self._command)}"

    def _dismiss(self, worker: Worker) -> None:
        """Kill the worker, and forget its order."""
        del self._orders[worker]
        self._dying.add(worker)
        worker.kill()

    def _enqueue(self, order: WorkOrder, why: str, front: bool = False) -> None:
        self._seen[order.trial] = Observation(order.attempt, Phase.PENDING, why)
        (self._queue.appendleft if front else self._queue.append)(order)

    def _raise_if_broken(self) -> None:
        if self._broken:
            raise LauncherError(*self._broken)


def _forget(trial: str, line: str) -> None:
    """Keep nothing of what a trainer says."""


def _reason(report: WorkReport) -> str:
    try:
        meaning = ExitCode(report.exit_code).name.lower().replace("_", " ")
    except ValueError:
        meaning = "unknown"
    return f"the trainer ended with {report.exit_code} ({meaning})" + (
        f": {one_line(report.reason)}" if report.reason else ""
    )


def _threads(parallel: int) -> int:
    """Threads of each worker: as many as OMP_NUM_THREADS says, or else an equal share of the cores that this process
    may use.
    """
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if told.isdecimal() and int(told):
        return int(told)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // parallel)
