"""The launcher for Kubernetes: trials are Jobs, or share Jobs. What it observes is a function of the Jobs that exist,
of the progress that their trainers wrote, and of the orders for Jobs that do not exist yet; so a new orchestrator finds
the Jobs of the one before it, and goes on with them.

Only this launcher's own threads wait for the API and the store: they create and delete Jobs, ask why a Job stands
still, and read how far the trainers of bundles are.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from threading import Event, RLock
from typing import Final

from metaqnn_orch.errors import LauncherError
from metaqnn_orch.launchers.base import NO_OPTIONS, Observation, Phase
from metaqnn_orch.launchers.kubernetes.bundles import (
    LINGER,
    UNDER_WAY,
    doubled,
    is_over,
    knows_no_bundles,
    no_bundles,
    observed,
)
from metaqnn_orch.launchers.kubernetes.carriers import Carriers
from metaqnn_orch.launchers.kubernetes.cluster import Cluster
from metaqnn_orch.launchers.kubernetes.known_job import KnownJob, known_job
from metaqnn_orch.launchers.kubernetes.manifest import JobForm
from metaqnn_orch.launchers.kubernetes.names import FORM, Identity, RunRef, annotation, selector
from metaqnn_orch.launchers.kubernetes.orders import Orders
from metaqnn_orch.launchers.kubernetes.progress import LOOK_SECONDS, Look, ProgressReader
from metaqnn_orch.launchers.kubernetes.queueing import Queue
from metaqnn_orch.launchers.kubernetes.reflector import SeenJob
from metaqnn_orch.launchers.kubernetes.standstill import Standstill
from metaqnn_orch.launchers.kubernetes.status import Status, exit_code
from metaqnn_trainer.contract.messages import TrainerOptions, TrainingRequest
from metaqnn_trainer.store.base import Store

PATIENCE: Final = 15.0  # seconds that a Job may stand still before it is reported as trouble
GONE_SECONDS: Final = 1.0  # seconds that a failed Job may be without a Pod before the Pod counts as gone
FALSE_STARTS: Final = 3  # false starts before any trial delivered: then the image is the cause, and not an accident
LEAVE_SECONDS: Final = 0.5  # seconds that closing waits for calls under way


class KubernetesLauncher:
    """Up to `parallel` trials of one run in one namespace, each in a Job of its own, or several in one Job. Safe to use
    from many threads.
    """

    def __init__(
        self,
        cluster: Cluster,
        run: RunRef,
        form: JobForm,
        store: Store,
        parallel: int,
        options: TrainerOptions = NO_OPTIONS,
        patience: float = PATIENCE,
        linger: float = LINGER,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """`store` is the run's, in which trainers of bundles write their progress. `options` are passed to every trial.
        `linger`: seconds that a trial waits for others to fill a Job. `look_seconds`: seconds between two looks at the
        progress of a bundle. Neither API nor store is called yet.
        """
        self._cluster = cluster
        self._run = run
        self._form = form
        self._digest = form.digest
        self._parallel = parallel
        self._options = options
        self._together = min(form.settings.trials_per_job, parallel)
        self._places = parallel // self._together  # Jobs that may exist at the same time
        self._news = Event()
        self._carriers = Carriers(cluster, selector(run), self._news.set, time.monotonic)
        self._orders = Orders(
            cluster,
            self._carriers.jobs,
            self._room,
            self._carriers.obstacle,
            form.settings.creates_per_second,
            self._news.set,
        )
        self._progress = ProgressReader(store, run.name, self._news.set, look_seconds)
        self._lock = RLock()  # guards everything below
        self._queue = Queue(run, form, self._orders, self._room, self._together, linger)
        self._standstill = Standstill(patience)
        self._forgotten: dict[str, set[str]] = {}  # cancelled trials of bundles, by the uids of their Jobs
        self._kept: dict[str, Observation] = {}  # ends of trials whose Jobs are deleted
        self._heard = False  # whether any trainer of a bundle has written its progress
        self._started = self._closed = self._proven = False
        self._false_starts: set[str] = set()  # Jobs whose container never ran, by uid
        self._ordered: set[tuple[str, int]] = set()  # trials and attempts: Jobs of sessions before had other images
        self._gone_since: dict[str, float] = {}  # Jobs that failed and have no Pod, by uid
        self._known: dict[str, KnownJob] = {}  # by the Job's uid

    @property
    def name(self) -> str:
        return "kubernetes"

    @property
    def parallel(self) -> int:
        return self._parallel

    @property
    def together(self) -> int:
        return self._together

    @property
    def outlives_us(self) -> bool:
        return True

    @property
    def devices(self) -> float:
        return self._form.settings.cards

    @property
    def options(self) -> TrainerOptions:
        return self._options

    @property
    def trouble(self) -> str:
        return self._carriers.trouble or self._orders.trouble or self._standstill.trouble or self._carriers.hanging

    def has_news(self) -> bool:
        due = self._queue.due
        return self._news.is_set() or (due is not None and time.monotonic() >= due)

    def launch(self, request: TrainingRequest, attempt: int) -> None:
        with self._lock:
            self._be_ready()
            trial = request.trial
            if self._queue.attempt(trial) >= attempt:
                return
            avoided: set[str] = set()
            for job in self._own(self._carriers.of(trial)):
                status = self._status(job, self._known)
                seen = self._observations(job, status).get(trial)
                if seen is not None and seen.attempt >= attempt:
                    return
                avoided |= self._carriers.nodes(job.uid)
                # The trainer has ended, or the loop would not ask for another attempt. But others may share the Job.
                if job.live and (is_over(status) or not job.carried.bundle):
                    self._delete(job, status)
            self._ordered.add((trial, attempt))
            self._queue.add(request, attempt, sorted(avoided))

    def observe(self) -> Mapping[str, Observation]:
        with self._lock:
            self._be_ready()
            self._news.clear()
            before, self._known = self._known, {}
            jobs = [(job, self._status(job, before)) for job in self._own(self._carriers.all())]
            seen: dict[str, Observation] = {**self._kept}
            stuck: dict[str, Status] = {}
            still: list[str] = []
            looks: dict[str, Look] = {}
            for job, status in self._once(jobs):
                if job.is_stand_in:  # another Job of its trials may have been ordered before this was seen
                    self._queue.withdraw(job.carried.trials)
                if status.phase is Phase.PENDING:
                    still.append(job.uid)
                if status.stuck is not None:
                    if annotation(job.object, FORM) != self._digest:
                        self._orders.delete(job.object)  # it was made with other settings, repaired since
                        continue
                    stuck[job.uid] = status
                if bundle := job.carried.bundle:
                    runs, trials = status.phase is Phase.RUNNING, job.carried.trials
                    looks[job.uid] = Look(bundle, trials, runs=runs, is_over=is_over(status))
                    if self._is_done_with(job, status):
                        continue
                _add(seen, self._observations(job, status))
            self._forgotten = {uid: trials for uid, trials in self._forgotten.items() if uid in self._known}
            self._progress.look_at(looks)
            self._orders.look_into = self._standstill.judge(still, stuck)
            self._queue.advance()
            _add(seen, self._queue.observed())
            return seen

    def cancel(self, trial: str) -> None:
        with self._lock:
            if not self._started or self._closed:
                return
            self._queue.remove(trial)
            self._kept.pop(trial, None)
            for job in self._own(self._carriers.of(trial)):
                if job.carried.bundle:
                    self._forgotten.setdefault(job.uid, set()).add(trial)
                    self._is_done_with(job, self._status(job, self._known))
                else:
                    self._orders.delete(job.object)

    def close(self) -> None:
        """Stop the threads. The Jobs go on without the orchestrator."""
        with self._lock:
            for job in self._own(self._carriers.all()):
                if job.carried.bundle and not self._closed and self._orders.broken is None:
                    self._is_done_with(job, self._status(job, self._known), at_once=True)
            self._closed = True
        parts = (self._orders, self._carriers)
        for part in parts:
            part.close()
        for part in parts:
            part.join(LEAVE_SECONDS)
        self._progress.close()  # after the last Job was deleted, whose progress it removes
        self._progress.join(LEAVE_SECONDS)
        self._cluster.close()

    # Every method below is called with the lock held, except _room.

    def _be_ready(self) -> None:
        """Start, if that has not been done.

        Raises:
            LauncherError: it is closed, or the cluster refuses for good; or, the first time, does not answer.
        """
        if self._closed:
            raise LauncherError("the Kubernetes launcher is closed")
        if self._orders.broken is not None:
            raise self._orders.broken
        if self._cluster.disowned:
            raise LauncherError(
                "the service account of this Pod is gone: the Kubernetes API no longer accepts its token",
                hint="was the release uninstalled? When there is an account again, its Job tries again with another"
                " Pod",
            )
        if not self._started:
            self._carriers.start()
            self._orders.start()
            self._progress.start()
            self._started = True

    def _own(self, jobs: Iterable[SeenJob]) -> list[SeenJob]:
        """The Jobs of the run that are not being deleted."""
        return [job for job in self._orders.shown(jobs) if job.carried.trials]

    def _once(self, jobs: Sequence[tuple[SeenJob, Status]]) -> Sequence[tuple[SeenJob, Status]]:
        """The Jobs without those that carry a trial which an older one carries, too; these are deleted."""
        if not any(job.carried.bundle or job.is_stand_in for job, _ in jobs):
            return jobs  # each is named after its one trial, so that there is no other
        at_work: dict[str, tuple[str, list[Identity]]] = {}
        for job, status in jobs:
            progress = self._progress.of(job.uid)
            leaving = "deletionTimestamp" in job.object["metadata"]
            if not leaving and not is_over(status) and (progress.is_read or not job.carried.bundle):
                left = [one for one in job.carried.trials if one not in progress.ended]
                at_work[job.uid] = (str(job.object["metadata"].get("creationTimestamp", "")), left)
        twins = doubled(at_work)
        for job, status in jobs:
            if job.uid in twins:
                self._delete(job, status)
        return [(job, status) for job, status in jobs if job.uid not in twins]

    def _status(self, job: SeenJob, before: Mapping[str, KnownJob]) -> Status:
        """What the Job's state means; it is computed again only where the Job, a Pod or a warning has changed."""
        uid = job.uid
        pods, warnings = self._carriers.pods(uid), self._orders.warnings
        about = (uid, *(str(pod["metadata"]["uid"]) for pod in pods)) if warnings else ()
        evidence = (job.object, pods, [event for each in about for event in warnings.get(each, ())])
        self._known[uid] = known_job(evidence, before.get(uid))
        status = self._known[uid].status
        if not pods and status.phase is Phase.DISRUPTED and self._is_new(uid):
            return Status(Phase.PENDING, status.detail)
        return status

    def _is_new(self, uid: str) -> bool:
        """Whether the Job was first seen without a Pod a moment ago. Pods and Jobs are watched separately: perhaps the
        watch of Pods is behind, and a Pod will still appear.
        """
        now = time.monotonic()
        return now - self._gone_since.setdefault(uid, now) < GONE_SECONDS

    def _observations(self, job: SeenJob, status: Status) -> dict[str, Observation]:
        """What the Job's status means for each of its trials that were not cancelled.

        Raises:
            LauncherError: its trainer cannot train what it was given, and no other could.
        """
        self._proven = self._proven or status.phase is Phase.DELIVERED
        ours = any((one.trial, one.attempt) in self._ordered for one in job.carried.trials)
        if status.phase is Phase.FALSE_START and ours and not self._proven:
            self._false_starts.add(job.uid)
            if len(self._false_starts) >= FALSE_STARTS:
                message = f"none of {len(self._false_starts)} Jobs could be started; {status.detail}"
                self._orders.broken = LauncherError(
                    message,
                    f"is {self._form.settings.image} the trainer's image? Nodes keep the image that they have under a "
                    "tag: give a mended one another tag, or its digest, or set image_pull_policy=Always",
                )
        seconds = self._known[job.uid].ran
        if not job.carried.bundle:
            (one,) = job.carried.trials
            return {one.trial: Observation(one.attempt, status.phase, status.detail, seconds)}
        progress = self._progress.of(job.uid)
        self._heard = self._heard or progress.heard
        leaving = bool(job.object["metadata"].get("deletionTimestamp"))
        forgotten = self._forgotten.get(job.uid, set())
        waited_for = any(one.trial not in forgotten for one in job.carried.trials)
        silent = waited_for and not (self._heard or leaving)
        if silent and knows_no_bundles(status, progress, exit_code(self._carriers.pods(job.uid))):
            self._orders.delete(job.object)  # so that nobody is charged for it
            self._orders.broken = no_bundles(
                str(job.object["metadata"]["name"]), len(job.carried.trials), status, str(self._form.settings.image)
            )
            raise self._orders.broken
        seen = observed(job.carried.trials, status, progress, seconds)
        return {trial: one for trial, one in seen.items() if trial not in forgotten}

    def _is_done_with(self, job: SeenJob, status: Status, *, at_once: bool = False) -> bool:
        """Delete the Job of a bundle if one of its trials was cancelled that its trainer has not ended; or if nobody
        waits for any of them any more, and the trainer has ended: until then its Pod keeps its place, unless it must be
        done `at_once`. Returns whether it is deleted.
        """
        forgotten = self._forgotten.get(job.uid, set())
        progress = self._progress.of(job.uid)
        if not forgotten or not progress.is_read:
            return False
        over = is_over(status)
        unsure = over or progress.trouble  # what cannot be read may have ended
        stopped = not unsure and any(one.trial in forgotten and one not in progress.ended for one in job.carried.trials)
        if stopped or ((over or at_once) and not self._observations(job, status)):
            self._delete(job, status)
            return True
        return False

    def _delete(self, job: SeenJob, status: Status) -> None:
        """Delete the Job. How trials of its bundle ended stays known until they are cancelled."""
        if job.carried.bundle:
            seen = self._observations(job, status)
            _add(self._kept, {trial: one for trial, one in seen.items() if one.phase not in UNDER_WAY})
            # While the Job exists, its progress says what became of its trials.
            self._orders.delete(job.object, partial(self._progress.remove, job.carried.bundle))
        else:
            self._orders.delete(job.object)

    def _room(self) -> int:
        """How many more Jobs may exist, as far as is known."""
        return self._places - self._carriers.live()


def _add(seen: dict[str, Observation], more: Mapping[str, Observation]) -> None:
    """Add what was observed; of each trial the latest attempt counts."""
    for trial, one in more.items():
        if trial not in seen or seen[trial].attempt < one.attempt:
            seen[trial] = one
