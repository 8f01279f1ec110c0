"""The trials that have no Job yet: they wait until they fill one, and there is room for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from metaqnn_orch.launchers.base import Observation, Phase
from metaqnn_orch.launchers.kubernetes.bundles import size_of_next
from metaqnn_orch.launchers.kubernetes.manifest import JobForm, bundle_manifest, manifest
from metaqnn_orch.launchers.kubernetes.names import Carried, Identity, RunRef, bundle_id
from metaqnn_orch.launchers.kubernetes.orders import Order, Orders
from metaqnn_trainer.contract.messages import TrainingRequest


class _Queued(NamedTuple):
    request: TrainingRequest
    attempt: int
    since: float


class Queue:
    """The trials of one run that have no Job yet. Not safe to use from several threads."""

    def __init__(
        self, run: RunRef, form: JobForm, orders: Orders, room: Callable[[], int], together: int, linger: float
    ) -> None:
        """`room` says how many more Jobs may exist. A Job gets `together` trials; fewer wait for `linger` seconds for
        others.
        """
        self._run = run
        self._form = form
        self._orders = orders
        self._room = room
        self._together = together
        self._linger = linger
        self._queue: dict[str, _Queued] = {}  # by trial, the longest waiting first
        self.due: float | None = None
        """When a Job is to be made though it will not be full, by time.monotonic; None where none is."""

    def attempt(self, trial: str) -> int:
        """The attempt of the trial that has no Job yet; 0 if there is none."""
        queued = self._queue.get(trial)
        return max(queued.attempt if queued is not None else 0, self._orders.attempt(trial))

    def add(self, request: TrainingRequest, attempt: int, avoided: Sequence[str] = ()) -> None:
        """Have the attempt carried out, in a Job of its own, or with others in one. An attempt after the first avoids
        nodes, and is always alone: what was lost once may be lost again, and takes nobody with it.
        """
        self.remove(request.trial)
        if self._together > 1 and attempt == 1:
            self._queue[request.trial] = _Queued(request, attempt, time.monotonic())
            self.advance()
        else:
            self._order_one(request, attempt, avoided)

    def remove(self, trial: str) -> None:
        """Forget the trial. If an order for a bundle has to be withdrawn for it, the others of it are queued again."""
        self._queue.pop(trial, None)
        order = self._orders.withdraw(trial)
        if order is not None and order.requests:
            attempts, now = {one.trial: one.attempt for one in order.carried.trials}, time.monotonic()
            back = {one.trial: _Queued(one, attempts[one.trial], now) for one in order.requests if one.trial != trial}
            self._queue = {**back, **self._queue}

    def withdraw(self, trials: Iterable[Identity]) -> None:
        """Forget these attempts: something carries them already."""
        for one in trials:
            if self.attempt(one.trial) == one.attempt:
                self.remove(one.trial)

    def advance(self) -> None:
        """Order as many Jobs as there is room for, and trials to fill them or that have waited long enough."""
        self.due = None
        while self._queue:
            since = next(iter(self._queue.values())).since
            room = self._room() - len(self._orders.waiting())
            size = size_of_next(len(self._queue), time.monotonic() - since, room, self._together, self._linger)
            if not size:
                self.due = since + self._linger if room > 0 else None
                return
            chosen = [self._queue.pop(trial) for trial in [*islice(self._queue, size)]]
            if size == 1:
                self._order_one(chosen[0].request, chosen[0].attempt)
                continue
            trials = tuple(Identity(self._run, one.request.trial, one.attempt) for one in chosen)
            body = bundle_manifest(trials, self._form)
            requests = tuple(one.request for one in chosen)
            self._orders.add(Order(Carried(trials, bundle_id(trials)), body, requests))

    def observed(self) -> dict[str, Observation]:
        """The trials without a Job, and what each waits for."""
        seen = {
            one.trial: Observation(one.attempt, Phase.PENDING, order.detail)
            for order in self._orders.waiting()
            for one in order.carried.trials
        }
        detail = f"waits for its place in a Job of up to {self._together} trials"
        return {**seen, **{name: Observation(one.attempt, Phase.PENDING, detail) for name, one in self._queue.items()}}

    def _order_one(self, request: TrainingRequest, attempt: int, avoided: Sequence[str] = ()) -> None:
        identity = Identity(self._run, request.trial, attempt)
        self._orders.add(Order(Carried((identity,)), manifest(request, attempt, self._run.uid, self._form, avoided)))
