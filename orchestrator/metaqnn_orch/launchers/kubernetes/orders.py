"""Orders to create and delete Jobs, and the threads that carry them out, at a limited rate and for as long as it takes.

A Job's name follows from its purpose, so a creation whose answer was lost is simply repeated: the API then says that
the Job exists. While the API refuses, one creation at a time is tried, less and less often.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from metaqnn_orch.errors import ClusterError, LauncherError
from metaqnn_orch.launchers.kubernetes.cluster import Cluster, Resource
from metaqnn_orch.launchers.kubernetes.names import RUN_UID, Carried, label, read_carried
from metaqnn_orch.launchers.kubernetes.reflector import Reflector, SeenJob
from metaqnn_orch.launchers.kubernetes.refusals import is_gone
from metaqnn_orch.launchers.kubernetes.supervision import Crew, Setbacks
from metaqnn_trainer.contract.messages import TrainingRequest

THREADS: Final = 4
FIRST_PAUSE: Final = 0.25  # seconds after a refusal
MAKING_WAY: Final = 0.1  # seconds between two tries while an older Job of the same name exists
LOOK_SECONDS: Final = 10.0  # seconds between two looks at the warnings about Jobs that stand still
TOLERATED: Final = 2  # refusals in a row of the transient kind, before they are reported as trouble

Object = dict[str, Any]


@dataclass(eq=False)
class Order:
    """A Job that is to be created."""

    carried: Carried
    body: Object
    requests: tuple[TrainingRequest, ...] = ()
    """Requests of the trials of a bundle."""
    due: float = 0.0
    under_way: bool = False
    withdrawn: bool = False
    detail: str = "waits to be created"

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])


@dataclass(frozen=True)
class _Deletion:
    name: str
    uid: str
    after: Callable[[], None]
    is_pod: bool
    due: float = 0.0


class Orders(Crew):
    """Orders of one run. Safe to use from many threads."""

    def __init__(
        self,
        cluster: Cluster,
        jobs: Reflector[SeenJob],
        room: Callable[[], int],
        obstacle: Callable[[Carried], str],
        per_second: float,
        on_change: Callable[[], None],
    ) -> None:
        """`room` says how many more Jobs may exist; `obstacle` names the Pod that has to end before there may be a Job
        of these trials.
        """
        super().__init__("orders", THREADS, FIRST_PAUSE)
        self._cluster = cluster
        self._jobs = jobs
        self._room = room
        self._obstacle = obstacle
        self._per_second = per_second
        self._on_change = on_change
        self.broken: LauncherError | None = None
        """The error for which going on is useless, if there is one."""
        self.look_into = False
        """Whether a Job stands still for a reason that only the cluster's warnings may tell."""
        self.warnings: Mapping[str, Sequence[Object]] = {}
        """The cluster's warnings, by the uid of the Job or Pod that they are about, the latest last. The mapping is
        replaced, never changed.
        """
        # _changed guards everything below.
        self._orders: dict[str, Order] = {}  # by trial: the order of a bundle stands at each of its trials
        self._posting: dict[str, Order] = {}  # orders in creation, by name, including withdrawn ones
        self._deletions: deque[_Deletion] = deque()
        self._leaving: set[str] = set()  # uids of Jobs that are deleted or about to be
        self._refusals = Setbacks(FIRST_PAUSE, TOLERATED)  # at creations
        self._losses = Setbacks(FIRST_PAUSE, TOLERATED)  # at deletions
        self._pause_until = 0.0
        self._look_after = 0.0
        self._tokens, self._filled = 1.0, time.monotonic()

    @property
    def trouble(self) -> str:
        """What creations and deletions wait for; empty while they succeed."""
        return self._refusals.trouble or self._losses.trouble or self._mishaps.trouble

    def attempt(self, trial: str) -> int:
        """The attempt of the trial that waits for its Job; 0 if none does."""
        with self._changed:
            order = self._orders.get(trial)
            return max((one.attempt for one in order.carried.trials if one.trial == trial), default=0) if order else 0

    def waiting(self) -> list[Order]:
        with self._changed:
            return list(dict.fromkeys(self._orders.values()))

    def add(self, order: Order) -> None:
        with self._changed:
            self._orders.update(dict.fromkeys((one.trial for one in order.carried.trials), order))
            self._changed.notify()

    def withdraw(self, trial: str) -> Order | None:
        """Take back the order for the trial's Job, if there is one; other trials of it have no Job either then."""
        with self._changed:
            order = self._orders.get(trial)
            if order is not None:
                order.withdrawn = True
                self._strike(order)
            return order

    def delete(self, job: Object, after: Callable[[], None] = lambda: None) -> None:
        """Have the Job, or the Pod without a Job, deleted, and call `after` when it is. From now on it is hidden."""
        with self._changed:
            uid = str(job["metadata"]["uid"])
            if uid not in self._leaving:
                self._leaving.add(uid)
                is_pod = job.get("kind") == "Pod"
                self._deletions.append(_Deletion(str(job["metadata"]["name"]), uid, after, is_pod))
                self._changed.notify()

    def shown(self, jobs: Iterable[SeenJob]) -> list[SeenJob]:
        """The Jobs that are not being deleted, and were not created for an order that was withdrawn meanwhile."""
        with self._changed:
            withdrawn = {name for name, order in self._posting.items() if order.withdrawn}
            gone = self._leaving
            return [job for job in jobs if job.uid not in gone and job.object["metadata"]["name"] not in withdrawn]

    def _work(self) -> bool:
        match task := self._next():
            case None:
                return False
            case Order():
                self._create(task)
            case _Deletion():
                self._delete(task)
            case _:
                self._look()
        with self._changed:
            self._mishaps.clear()
        self._on_change()
        return True

    def _next(self) -> Order | _Deletion | str | None:
        """The next piece of work, waiting for it; None when there will be none any more. Deletions are still tried once
        before the thread ends.
        """
        with self._changed:
            while True:
                now = time.monotonic()
                for _ in range(len(self._deletions)):
                    if self._deletions[0].due <= now:
                        return self._deletions.popleft()
                    self._deletions.rotate(-1)
                if self._closing.is_set():
                    return None
                if self.look_into and now >= self._look_after:
                    self._look_after = now + LOOK_SECONDS
                    return "look"
                if (order := self._next_order(now)) is not None:
                    order.under_way = True
                    self._posting[order.name] = order
                    return order
                self._changed.wait(0.05 if self._orders or self._deletions else 1.0)

    def _next_order(self, now: float) -> Order | None:
        if self._refusals.count:
            self._strike_out()
        if now < self._pause_until or (self._refusals.count and self._posting):
            return None
        burst = max(1.0, self._per_second)
        self._tokens = min(burst, self._tokens + (now - self._filled) * self._per_second)
        self._filled = now
        if self._tokens < 1 or self._room() <= len(self._posting):
            return None
        ready = (o for o in self._orders.values() if not o.under_way and o.due <= now and o.name not in self._posting)
        order = next((order for order in ready if self._is_clear(order)), None)
        if order is None:
            return None
        self._tokens -= 1
        return order

    def _is_clear(self, order: Order) -> bool:
        """Whether no Pod stands in the order's way: a trial never has two trainers at a time."""
        if pod := self._obstacle(order.carried):
            order.detail = f"waits until pod {pod} has ended, whose Job was deleted"
        return not pod

    def _strike_out(self) -> None:
        """Remove orders whose Jobs the watch has shown meanwhile: the answer to their creation was lost."""
        for order in [order for order in self.waiting() if not order.under_way]:
            job = self._jobs.get(order.name)
            if job is not None and job.carried == order.carried and self.shown([job]):
                self._strike(order)
                self._refusals.clear()

    def _strike(self, order: Order) -> None:
        """Remove the order."""
        for one in order.carried.trials:
            if self._orders.get(one.trial) is order:
                del self._orders[one.trial]

    def _create(self, order: Order) -> None:
        """Try to create the Job. In every case the order is then done, or waits for its next turn."""
        job: Object | None = None
        error: Exception | None = None
        try:
            job = self._made(order)
        except Exception as raised:
            error = raised
        with self._changed:
            try:
                if job is not None:
                    # The Job is known before the order is removed, so that the trial is known at every moment.
                    self._jobs.put(job)
                    self._refusals.clear()
                    self._strike(order)
                    if order.withdrawn:
                        self.delete(job)
                elif error is not None:
                    self._refused(error)
                else:
                    order.due = time.monotonic() + MAKING_WAY
                    order.detail = "waits until an older Job of the same name is deleted"
            finally:
                order.under_way = False
                del self._posting[order.name]
                self._changed.notify()

    def _made(self, order: Order) -> Object | None:
        """The Job, created now or found; None if another Job of its name has to be deleted first.

        Raises:
            Exception: whatever went wrong.
        """
        try:
            return self._cluster.create_job(order.body)
        except ClusterError as refused:
            if refused.status != 409 or refused.reason == "Conflict":
                raise
        try:
            return self._adopted(order)
        except ClusterError as unread:
            if unread.status != 404:
                raise
            return None

    def _adopted(self, order: Order) -> Object | None:
        """The existing Job under the order's name; None if it is being deleted, or belongs to another run."""
        job = self._cluster.get_job(order.name)
        metadata = job["metadata"]
        if read_carried(job) != order.carried:
            uid = label(job, RUN_UID)
            whose = f"another run of that name, uid {uid}" if uid else "somebody else"
            self.broken = LauncherError(
                f"job {order.name} in namespace {self._cluster.namespace} belongs to {whose}; nothing was changed",
                hint="give this search another name or namespace, or delete the old Jobs with gc",
            )
            return None
        leaving = metadata.get("deletionTimestamp") or metadata["uid"] in self._leaving
        return None if leaving else job

    def _refused(self, error: Exception) -> None:
        self._pause_until = time.monotonic() + self._refusals.add(error)
        if isinstance(error, ClusterError) and is_gone(error):
            self.broken = error

    def _delete(self, deletion: _Deletion) -> None:
        """Try to delete the Job. In every case the deletion is then done, or will be tried again."""
        delete = self._cluster.delete_pod if deletion.is_pod else self._cluster.delete_job
        try:
            delete(deletion.name, deletion.uid)
        except Exception as error:
            if deletion.is_pod and isinstance(error, ClusterError) and not error.transient:
                return  # without the right to end it, it is waited for
            with self._changed:
                due = time.monotonic() + self._losses.add(error)
                self._deletions.append(replace(deletion, due=due))
        else:
            deletion.after()
            with self._changed:
                self._losses.clear()

    def _look(self) -> None:
        """Read the warnings about Jobs and Pods of the namespace, by the object that they are about."""
        try:
            found = self._cluster.list(Resource.EVENTS, fields="type=Warning").items
        except Exception:
            return  # then only the reason is missing
        by_uid: dict[str, list[Object]] = {}
        for event in sorted(found, key=_when):
            about = event.get("involvedObject")
            if isinstance(about, dict) and about.get("kind") in ("Job", "Pod"):
                by_uid.setdefault(str(about.get("uid")), []).append(event)
        self.warnings = by_uid


def _when(event: Object) -> str:
    stamps: Iterator[object] = (event.get(key) for key in ("lastTimestamp", "eventTime", "firstTimestamp"))
    return next((stamp for stamp in stamps if isinstance(stamp, str)), "")
