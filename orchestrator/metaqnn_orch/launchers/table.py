"""The launcher that trains nothing: a table answers at once. It serves rehearsals, scale tests and benchmarks of the
loop.

No process runs. When `observe` is called, the results that are due are written, as the trainer would write them:
result.json, only if absent. There are no weights and no history.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import NamedTuple

from metaqnn_orch.errors import LauncherError
from metaqnn_orch.launchers.base import NO_OPTIONS, Observation, Phase
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.checks import first_rates
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import TrainerOptions, TrainingRequest
from metaqnn_trainer.contract.result import TrainingResult


class TableAnswer(NamedTuple):
    """The answer of a table for a trial."""

    accuracy: float
    params: int
    macs: int
    source: str
    """Name of the device in result.json."""


class NoAnswer(Exception):
    """The design cannot be trained; the text says why, in one line. The trial ends as a crash."""


class _Order(NamedTuple):
    """An order for a trial, and when it is due; `ends` is None while it waits for a free place."""

    request: TrainingRequest
    attempt: int
    ends: float | None


def at_once(request: TrainingRequest) -> float:
    """A trial's duration in seconds: none."""
    return 0.0


class TableLauncher:
    """Up to `parallel` trials at once, each of which seems to run for `duration` seconds. It is safe to use from many
    threads.
    """

    def __init__(
        self,
        put_if_absent: Callable[[str, bytes], bool],
        answer: Callable[[TrainingRequest], TableAnswer],
        parallel: int,
        duration: Callable[[TrainingRequest], float] = at_once,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`put_if_absent` is the method of the run's store. `answer` is called when a trial is due, and may raise
        NoAnswer.
        """
        self._put_if_absent = put_if_absent
        self._answer = answer
        self._parallel = parallel
        self._duration = duration
        self._monotonic = monotonic
        self._lock = Lock()  # guards everything below
        self._orders: dict[str, _Order] = {}
        self._ended: dict[str, Observation] = {}
        self._closed = False

    @property
    def name(self) -> str:
        return "table"

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
        return NO_OPTIONS

    @property
    def trouble(self) -> str:
        return ""

    def has_news(self) -> bool:
        with self._lock:
            now = self._monotonic()
            return any(order.ends is not None and order.ends <= now for order in self._orders.values())

    def launch(self, request: TrainingRequest, attempt: int) -> None:
        with self._lock:
            self._raise_if_closed()
            ended = self._ended.get(request.trial)
            if request.trial in self._orders or (ended is not None and attempt <= ended.attempt):
                return
            self._ended.pop(request.trial, None)
            self._orders[request.trial] = _Order(request, attempt, None)
            self._start()

    def observe(self) -> Mapping[str, Observation]:
        with self._lock:
            self._raise_if_closed()
            now = self._monotonic()
            for trial, order in list(self._orders.items()):
                if order.ends is not None and order.ends <= now:
                    # If the store fails, the next call tries again: the order is kept.
                    self._ended[trial] = self._end(order)
                    del self._orders[trial]
            self._start()
            return {**self._ended, **{trial: _observation(order) for trial, order in self._orders.items()}}

    def cancel(self, trial: str) -> None:
        with self._lock:
            self._orders.pop(trial, None)
            self._ended.pop(trial, None)

    def close(self) -> None:
        self._closed = True

    def _start(self) -> None:
        free = self._parallel - sum(order.ends is not None for order in self._orders.values())
        waiting = [trial for trial, order in self._orders.items() if order.ends is None]
        for trial in waiting[:free]:
            order = self._orders[trial]
            self._orders[trial] = order._replace(ends=self._monotonic() + self._duration(order.request))

    def _end(self, order: _Order) -> Observation:
        request = order.request
        try:
            answer = self._answer(request)
        except NoAnswer as error:
            return Observation(order.attempt, Phase.CRASHED, str(error))
        result = TrainingResult(
            run=request.run,
            trial=request.trial,
            spec_digest=request.spec.digest(),
            attempt=order.attempt,
            status="completed",
            reward=answer.accuracy,
            measures={"accuracy": answer.accuracy},
            val_accuracy=answer.accuracy,
            best_epoch=request.spec.recipe.epochs,
            last_val_accuracy=answer.accuracy,
            epochs=request.spec.recipe.epochs,
            learning_rates=first_rates(request.spec.recipe)[:1],
            params=answer.params,
            macs=answer.macs,
            images_per_second=0.0,
            seconds=self._duration(request),
            device=answer.source,
            versions={},
        )
        self._put_if_absent(keys.result(request.run, request.trial), encode(result))
        return Observation(order.attempt, Phase.DELIVERED)

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise LauncherError("the table launcher is closed")


def _observation(order: _Order) -> Observation:
    if order.ends is None:
        return Observation(order.attempt, Phase.PENDING, "waits until fewer trials are running")
    return Observation(order.attempt, Phase.RUNNING)
