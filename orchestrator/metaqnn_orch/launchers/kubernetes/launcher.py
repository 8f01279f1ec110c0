"""The launcher for Kubernetes: trials are Jobs. What it observes is a function of the Jobs that exist and of the orders
for Jobs that do not exist yet; so a new orchestrator finds the Jobs of the one before it, and goes on with them.

Only this launcher's own threads wait for the API: they create and delete Jobs, and ask why a Job stands still.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from threading import Event, RLock
from typing import Any, Final

from metaqnn_orch.errors import ClusterError, LauncherError
from metaqnn_orch.launchers.base import NO_OPTIONS, Observation, Phase
from metaqnn_orch.launchers.kubernetes.cluster import Cluster, Resource
from metaqnn_orch.launchers.kubernetes.manifest import JobForm, manifest
from metaqnn_orch.launchers.kubernetes.names import FORM, RUN, TRIAL, Identity, RunRef, annotation, selector
from metaqnn_orch.launchers.kubernetes.orders import Order, Orders
from metaqnn_orch.launchers.kubernetes.reflector import Reflector, SeenJob, see_job, see_pod
from metaqnn_orch.launchers.kubernetes.status import Status, Stuck, classify, live, node_of, ran
from metaqnn_trainer.contract.messages import TrainerOptions, TrainingRequest

PATIENCE: Final = 15.0  # seconds that a Job may stand still before it is reported as trouble
GONE_SECONDS: Final = 1.0  # seconds that a failed Job may be without a Pod before the Pod counts as gone
FALSE_STARTS: Final = 3  # false starts before any trial delivered: then the image is the cause, and not an accident
LEAVE_SECONDS: Final = 0.5  # seconds that closing waits for calls under way

_ADVICE: Final = {
    Stuck.UNSCHEDULABLE: "no node has enough free resources; execution.kubernetes says what a trial asks for",
    Stuck.IMAGE: "is execution.kubernetes.image right, and may the cluster pull it?",
    Stuck.CONFIG: "repair it in the cluster, or change execution.kubernetes and start again",
    Stuck.QUOTA: "the namespace's quota is exhausted; the search goes on when there is room",
    Stuck.ADMISSION: "the namespace's rules refuse the Pod; change execution.kubernetes or its template",
}

Object = dict[str, Any]
Evidence = tuple[Object, list[Object], list[Object]]
"""A Job, its Pods, and the warnings about them."""


class KubernetesLauncher:
    """Up to `parallel` Jobs of one run in one namespace. Safe to use from many threads."""

    def __init__(
        self,
        cluster: Cluster,
        run: RunRef,
        form: JobForm,
        parallel: int,
        options: TrainerOptions = NO_OPTIONS,
        patience: float = PATIENCE,
    ) -> None:
        """`options` are passed to every trial. The API is not called yet."""
        self._cluster = cluster
        self._run = run
        self._form = form
        self._digest = form.digest
        self._parallel = parallel
        self._options = options
        self._patience = patience
        self._news = Event()
        self._jobs = Reflector(cluster, Resource.JOBS, selector(run), see_job, self._news.set)
        self._pods = Reflector(cluster, Resource.PODS, selector(run), see_pod, self._news.set)
        self._orders = Orders(cluster, self._jobs, self._room, form.settings.creates_per_second, self._news.set)
        self._lock = RLock()  # guards everything below
        self._started = self._closed = self._proven = False
        self._still_since: dict[str, float] = {}  # Jobs that stand still, by uid
        self._false_starts: set[str] = set()  # Jobs whose container never ran, by uid
        self._gone_since: dict[str, float] = {}  # Jobs that failed and have no Pod, by uid
        self._known: dict[str, tuple[Evidence, Status]] = {}  # the last evidence and its status, by the Job's uid
        self._trouble = ""

    @property
    def name(self) -> str:
        return "kubernetes"

    @property
    def parallel(self) -> int:
        return self._parallel

    @property
    def outlives_us(self) -> bool:
        return True

    @property
    def devices(self) -> int:
        return max(1, self._form.settings.gpus)

    @property
    def options(self) -> TrainerOptions:
        return self._options

    @property
    def trouble(self) -> str:
        return self._jobs.trouble or self._pods.trouble or self._orders.trouble or self._trouble

    def has_news(self) -> bool:
        return self._news.is_set()

    def launch(self, request: TrainingRequest, attempt: int) -> None:
        with self._lock:
            self._be_ready()
            order = self._orders.get(request.trial)
            if order is not None and order.identity.attempt >= attempt:
                return
            avoided: set[str] = set()
            for known, job in self._own(self._jobs.group(request.trial)):
                if known.attempt >= attempt:
                    return
                avoided |= self._nodes(job)
                if live(job):  # its trainer has ended, or the loop would not ask for another attempt
                    self._orders.delete(job)
            identity = Identity(self._run, request.trial, attempt)
            body = manifest(request, attempt, self._run.uid, self._form, sorted(avoided))
            self._orders.add(Order(identity, body))

    def observe(self) -> Mapping[str, Observation]:
        with self._lock:
            self._be_ready()
            self._news.clear()
            before, self._known = self._known, {}
            seen: dict[str, Observation] = {}
            stuck: dict[str, Status] = {}
            still: list[str] = []
            for identity, job in self._own(self._jobs.objects()):
                uid = str(job["metadata"]["uid"])
                status = self._status(uid, job, before)
                if status.phase is Phase.PENDING:
                    still.append(uid)
                if status.stuck is not None:
                    if annotation(job, FORM) != self._digest:
                        self._orders.delete(job)  # it was made with other settings, which have been repaired since
                        continue
                    stuck[uid] = status
                if identity.trial not in seen or seen[identity.trial].attempt < identity.attempt:
                    seen[identity.trial] = self._observation(uid, identity.attempt, status)
            self._judge(still, stuck)
            for order in self._orders.waiting():
                trial, attempt = order.identity.trial, order.identity.attempt
                if trial not in seen or seen[trial].attempt < attempt:
                    seen[trial] = Observation(attempt, Phase.PENDING, order.detail)
            return seen

    def cancel(self, trial: str) -> None:
        with self._lock:
            if not self._started or self._closed:
                return
            self._orders.withdraw(trial)
            for _, job in self._own(self._jobs.group(trial)):
                self._orders.delete(job)

    def close(self) -> None:
        """Stop the threads. The Jobs go on without the orchestrator."""
        with self._lock:
            self._closed = True
        parts = (self._orders, self._jobs, self._pods)
        for part in parts:
            part.close()
        for part in parts:
            part.join(LEAVE_SECONDS)
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
            self._jobs.start()
            self._pods.start()
            self._orders.start()
            self._started = True

    def _own(self, jobs: Iterable[SeenJob]) -> Iterator[tuple[Identity, Object]]:
        """The Jobs of the run that are not being deleted."""
        for job in jobs:
            if job.identity is not None and not self._orders.hides(job.object):
                yield job.identity, job.object

    def _nodes(self, job: Object) -> set[str]:
        """The nodes of the Job's Pods."""
        pods = (pod.object for pod in self._pods.group(str(job["metadata"]["uid"])))
        return {node for pod in pods if (node := node_of(pod))}

    def _status(self, uid: str, job: Object, before: Mapping[str, tuple[Evidence, Status]]) -> Status:
        """What the Job's state means; it is computed again only where the Job, a Pod or a warning has changed."""
        pods = [pod.object for pod in self._pods.group(uid)]
        about = (uid, *(str(pod["metadata"]["uid"]) for pod in pods))
        evidence = (job, pods, [event for each in about for event in self._orders.warnings.get(each, ())])
        known = before.get(uid)
        self._known[uid] = known if known is not None and known[0] == evidence else (evidence, classify(*evidence))
        status = self._known[uid][1]
        if not pods and status.phase is Phase.DISRUPTED and self._is_new(uid):
            return Status(Phase.PENDING, status.detail)
        return status

    def _is_new(self, uid: str) -> bool:
        """Whether the Job was first seen without a Pod a moment ago. Pods and Jobs are watched separately: perhaps the
        watch of Pods is behind, and a Pod will still appear.
        """
        now = time.monotonic()
        return now - self._gone_since.setdefault(uid, now) < GONE_SECONDS

    def _observation(self, uid: str, attempt: int, status: Status) -> Observation:
        self._proven = self._proven or status.phase is Phase.DELIVERED
        if status.phase is Phase.FALSE_START and not self._proven:
            self._false_starts.add(uid)
            if len(self._false_starts) >= FALSE_STARTS:
                message = f"none of {len(self._false_starts)} Jobs could be started; {status.detail}"
                self._orders.broken = LauncherError(message, f"is {self._form.settings.image} the trainer's image?")
        seconds = ran([pod.object for pod in self._pods.group(uid)])
        return Observation(attempt, status.phase, status.detail, seconds)

    def _judge(self, still: list[str], stuck: Mapping[str, Status]) -> None:
        """Ask for the warnings about Jobs that have stood still for a while; Jobs that cannot go on are trouble for the
        run.
        """
        now = time.monotonic()
        self._still_since = {uid: self._still_since.get(uid, now) for uid in still}
        lasting = [uid for uid, since in self._still_since.items() if now - since >= self._patience]
        self._orders.look_into = bool(lasting)
        worst = next((stuck[uid] for uid in lasting if uid in stuck), None)
        self._trouble = f"{worst.detail} ({_ADVICE[worst.stuck]})" if worst and worst.stuck else ""

    def _room(self) -> int:
        """How many more Jobs may exist, as far as is known."""
        return self._parallel - sum(job.live for job in self._jobs.objects())


def refuse_unreachable(cluster: Cluster) -> None:
    """Check that Jobs and Pods can be listed.

    Raises:
        ClusterError: the API does not answer, or refuses to list Jobs and Pods.
    """
    for resource in (Resource.JOBS, Resource.PODS):
        cluster.list(resource, labels=f"{RUN}=,{TRIAL}=")
    if not cluster.may("create", "jobs", "batch"):
        raise ClusterError(
            f"these credentials may not create Jobs in namespace {cluster.namespace} of {cluster.server}",
            hint="metaqnn-orch doctor lists every permission that is needed",
            status=403,
        )
