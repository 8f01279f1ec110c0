"""Whatever a cluster, a store and their people do, in whatever order: the promises hold after every step, and when
peace returns the search comes to its end.

The orchestrator and its client are the real ones, against the double; Job controller and kubelet are this machine's own
rules, so that every Pod ends when and how Hypothesis says. Time passes only where a rule lets the orchestrator work.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from metaqnn_orch.control.holder import Hold
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.resume import resume
from metaqnn_orch.control.surroundings import Outcome, Stop
from metaqnn_orch.errors import RunHeld, StoreError
from metaqnn_orch.launchers.base import Observation
from metaqnn_orch.launchers.kubernetes.launcher import KubernetesLauncher
from metaqnn_orch.launchers.kubernetes.names import Identity, RunRef, read_carried
from metaqnn_orch.launchers.kubernetes.status import live
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode, encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.contract.work import BundleProgress, OrderEnd
from metaqnn_trainer.store.base import exists
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.errors import Cause
from tests.control.fatal_store import FatalStore
from tests.control.world import Clock, Session, deliver, settings, told_order
from tests.launchers.harness import PATIENCE
from tests.launchers.kubernetes.conftest import NAMESPACE, make_launcher
from tests.launchers.kubernetes.double.api import Api, Fault, serving
from tests.launchers.kubernetes.double.controllers import add_condition, condition, failed, owners
from tests.launchers.kubernetes.double.kubeconfig import write_kubeconfig
from tests.launchers.kubernetes.double.objects import Object, Refused

JOBS = 2
RUN = RunRef("test", "0" * 32)
FOREIGN = RunRef("test", "f" * 32)
FAULTS = (
    Fault(status=429, headers={"Retry-After": "0"}),
    Fault(status=500),
    Fault(status=503),
    Fault(status=410, body=b"{}"),
    Fault(reset=True),
    Fault(lose_reply=True),
    Fault(cut_reply=True),
    Fault(watch_seconds=0.0),
)


class SilentStore(FatalStore):
    """A real store whose next calls are not answered, having done what was asked or not."""

    def __init__(self, store: DirectoryStore) -> None:
        super().__init__(store, 0, False)
        self.silences: deque[bool] = deque()

    def _call(self, method: str, *arguments: Any) -> Any:
        if not self.silences:
            return super()._call(method, *arguments)
        if self.silences.popleft():
            super()._call(method, *arguments)
        raise StoreError("the store did not answer", cause=Cause.OUTAGE)


class Moments(Clock):
    """A rest is a moment, in which the launcher's threads get on."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        time.sleep(0.003)


class Counted:
    """A launcher that counts how often it was looked at."""

    def __init__(self, launcher: KubernetesLauncher) -> None:
        self._launcher = launcher
        self.looks = 0

    def observe(self) -> Mapping[str, Observation]:
        self.looks += 1
        return self._launcher.observe()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._launcher, name)


class Machine(RuleBasedStateMachine):
    together = 1
    """Trials that share a Job."""

    def __init__(self) -> None:
        super().__init__()
        self.parallel = JOBS * self.together
        self.chosen = settings(execution__parallel=self.parallel, execution__retries=1, execution__max_trials=6)
        self._exit = ExitStack()
        place = Path(self._exit.enter_context(tempfile.TemporaryDirectory()))
        self.api = Api()
        url = self._exit.enter_context(serving(self.api))
        patch = self._exit.enter_context(pytest.MonkeyPatch.context())
        path = write_kubeconfig(place / "kubeconfig", url, self.api.token, NAMESPACE)
        patch.setenv("KUBECONFIG", str(path))
        self.real = DirectoryStore(place / "store")
        self.store = SilentStore(self.real)
        self.faults: deque[Fault] = deque()
        self.api.faults = lambda ask: self.faults.popleft() if self.faults else Fault()
        self.sessions = 0
        self.blamed = 0  # ends that speak against the trial
        self.most_live = 0

    @initialize()
    def somebody_else_is_there(self) -> None:
        labels = {
            "metaqnn/run": "test",
            "metaqnn/run-uid": FOREIGN.uid,
            "metaqnn/trial": "0" * 12,
            "metaqnn/attempt": "1",
        }
        self.foreign = self.api.create(
            "jobs", NAMESPACE, {"metadata": {"name": "test-000000000000-1", "labels": labels}, "spec": {"template": {}}}
        )
        self.api.admission = self._count

    def _count(self, resource: str, thing: Object) -> Refused | None:
        if resource == "jobs":
            self.most_live = max(self.most_live, 1 + sum(map(live, self._jobs())))
        return None

    # The orchestrator.

    def _session(self) -> Session:
        """A new process opens the run, while nothing disturbs it: what then happens is what is looked at."""
        self.sessions += 1
        session = Session(self.real, self.chosen, name=f"session {self.sessions}", clock=Moments())
        session.open()
        session.store = self.store
        position = session.journal.position
        session.journal = Journal(self.store, "test", session.name)
        session.journal.position = position
        session.hold = Hold(self.store, "test", session.hold.me, session.clock.monotonic)
        return session

    def _work(self, session: Session, until: int | Callable[[], Stop]) -> Outcome:
        """So many looks, or until it is stopped."""
        made = make_launcher(
            RUN, str(self.real.uri), self.parallel, patience=60.0, linger=0.01, trials_per_job=self.together
        )
        launcher = Counted(made)
        session.stop = until if callable(until) else lambda: Stop.NOW if launcher.looks >= until else Stop.NO
        silences, self.store.silences = self.store.silences, deque()
        faults, self.faults = self.faults, deque()
        try:
            launcher.observe()  # the first look finds the cluster or fails at once, as `start` does
            self.store.silences, self.faults = silences, faults
            return session.search(launcher)
        finally:
            self.store.silences.clear()
            self.faults.clear()
            launcher.close()

    @rule(looks=st.integers(2, 6))
    def an_orchestrator_works_for_a_while(self, looks: int) -> None:
        session = self._session()
        self._work(session, looks)
        folded, _ = resume(self.real, session.record, self.chosen, "observer")
        assert folded.agent.q_table.digest() == session.state.agent.q_table.digest()
        assert folded.in_flight.keys() == session.state.in_flight.keys()

    @rule(looks=st.integers(2, 4))
    def one_sleeps_while_another_works(self, looks: int) -> None:
        sleeper = self._session()
        self._work(self._session(), looks)
        before = list(self.real.list(keys.run("test")))
        jobs = {job["metadata"]["uid"] for job in self.api.objects.all("jobs")}
        with pytest.raises(RunHeld):
            self._work(sleeper, 5)
        assert list(self.real.list(keys.run("test"))) == before
        assert {job["metadata"]["uid"] for job in self.api.objects.all("jobs")} <= jobs

    # Faults to come.

    @rule(faults=st.lists(st.sampled_from(FAULTS), max_size=6))
    def the_api_will_be_moody(self, faults: list[Fault]) -> None:
        self.faults.extend(faults)

    @rule(silences=st.lists(st.booleans(), max_size=3))
    def the_store_will_be_silent(self, silences: list[bool]) -> None:
        self.store.silences.extend(silences)

    @rule()
    def history_is_compacted(self) -> None:
        self.api.objects.compact()

    # The cluster.

    def _jobs(self) -> list[Object]:
        found = self.api.objects.all("jobs", NAMESPACE)
        return [job for job in found if job["metadata"]["uid"] != self.foreign["metadata"]["uid"]]

    def _live(self) -> list[Object]:
        return [job for job in self._jobs() if live(job)]

    def _chosen(self, jobs: Sequence[Object], which: int) -> Sequence[Object]:
        """One of them if there is any. What Hypothesis draws must not depend on what there is, because time is real."""
        return jobs[which % len(jobs) :][:1] if jobs else ()

    def _pods(self, job: Object) -> list[Object]:
        owner = job["metadata"]["uid"]
        pods = self.api.objects.all("pods", NAMESPACE)
        return [pod for pod in pods if owner in owners(pod)]

    def _end(self, job: Object, code: int | None, verdict: Object, **pod_changes: Any) -> None:
        """Its Pod, made now if there was none, ends with `code`; or is gone, where there is no code."""
        name = job["metadata"]["name"]
        pods = self._pods(job) or [self._begin(job)]
        self._note(job)
        if code is None:
            self.api.objects.remove("pods", NAMESPACE, pods[-1]["metadata"]["name"])
        else:
            status = {
                "phase": "Failed" if code else "Succeeded",
                "containerStatuses": [{"name": "trainer", "state": {"terminated": {"exitCode": code}}}],
                **pod_changes,
            }
            self.api.objects.update(
                "pods", NAMESPACE, pods[-1]["metadata"]["name"], lambda it: it.update(status=status)
            )
        self.api.objects.update("jobs", NAMESPACE, name, lambda it: add_condition(it, verdict))

    def _begin(self, job: Object) -> Object:
        metadata = job["metadata"]
        owner = {"kind": "Job", "name": metadata["name"], "uid": metadata["uid"], "controller": True}
        status = {"phase": "Running", "containerStatuses": [{"name": "trainer", "state": {"running": {}}}]}
        pod = {
            "metadata": {
                "name": f"{metadata['name']}-{self.api.objects.version}",
                "labels": job["spec"]["template"]["metadata"]["labels"],
                "ownerReferences": [owner],
            },
            "spec": {"nodeName": "n"},
            "status": status,
        }
        return self.api.create("pods", NAMESPACE, pod)

    def _note(self, job: Object, *ended: Identity) -> None:
        """The trainer of a bundle says which trials have ended, and how."""
        if bundle := read_carried(job).bundle:
            key = keys.bundle("test", bundle)
            ends = decode(BundleProgress, self.real.get(key), key).ended if exists(self.real, key) else ()
            more = [OrderEnd(trial=one.trial, attempt=one.attempt, exit_code=0) for one in ended]
            self.real.put(key, encode(BundleProgress(ended=(*ends, *more))))

    def _left(self, job: Object) -> list[Identity]:
        """The trials of the Job that have not ended."""
        carried = read_carried(job)
        key = keys.bundle("test", carried.bundle) if carried.bundle else ""
        ends = decode(BundleProgress, self.real.get(key), key).ended if key and exists(self.real, key) else ()
        over = {(end.trial, end.attempt) for end in ends}
        return [one for one in carried.trials if (one.trial, one.attempt) not in over]

    def _goes_on(self, job: Object) -> bool:
        """Its trainer goes on after the trial in training has ended, because that is not the last one."""
        first, *rest = self._left(job)
        if rest:
            if not self._pods(job):
                self._begin(job)
            self._note(job, first)
        return bool(rest)

    def _deliver(self, job: Object) -> None:
        identity = self._left(job)[0]
        request = decode(TrainingRequest, self.real.get(keys.request("test", identity.trial)), "request")
        deliver(self.real, request, identity.attempt)

    @rule(which=st.integers(0, 9), speaks=st.booleans())
    def a_trial_delivers(self, which: int, speaks: bool) -> None:
        """And perhaps nothing but the store tells of it: the Job is lost on the way."""
        for job in self._chosen(self._live(), which):
            self._deliver(job)
            if speaks and self._goes_on(job):
                continue
            verdict = condition("Complete", "") if speaks else failed("BackoffLimitExceeded")
            self._end(job, 0 if speaks else None, verdict)

    @rule(which=st.integers(0, 9))
    def a_trial_crashes(self, which: int) -> None:
        for job in self._chosen(self._live(), which):
            self.blamed += 1
            self._end(job, 1, failed("BackoffLimitExceeded"))

    @rule(which=st.integers(0, 9), poison=st.sampled_from([b"", b"{", b"[]", b'{"val_accuracy": NaN}', b"\xff" * 50]))
    def a_trial_delivers_poison(self, which: int, poison: bytes) -> None:
        for job in self._chosen(self._live(), which):
            if self.real.put_if_absent(keys.result("test", self._left(job)[0].trial), poison):
                self.blamed += 1
            if not self._goes_on(job):
                self._end(job, 0, condition("Complete", ""))

    @rule(which=st.integers(0, 9), code=st.sampled_from([1, 13, 137, 143]))
    def a_trial_is_preempted(self, which: int, code: int) -> None:
        preempted = [condition("DisruptionTarget", "Preempted")]
        for job in self._chosen(self._live(), which):
            self._end(job, code, failed("BackoffLimitExceeded"), conditions=preempted)

    @rule(which=st.integers(0, 9))
    def a_pod_is_deleted_by_hand(self, which: int) -> None:
        for job in self._chosen(self._live(), which):
            self._end(job, None, failed("BackoffLimitExceeded"))

    @rule(which=st.integers(0, 9))
    def a_job_is_deleted_by_hand(self, which: int) -> None:
        for job in self._chosen(self._jobs(), which):
            self.api.delete("jobs", NAMESPACE, job["metadata"]["name"], {"propagationPolicy": "Orphan"})

    @rule(which=st.integers(0, 9))
    def a_zombie_delivers(self, which: int) -> None:
        """Its node was thought lost; its result comes, while the cluster has long started it anew."""
        for job in self._chosen(self._live(), which):
            self._deliver(job)

    # The promises.

    @invariant()
    def nothing_is_told_twice(self) -> None:
        if self.sessions:
            order = told_order(self.real)
            assert len(order) == len(set(order))

    @invariant()
    def there_are_never_more_jobs_than_places(self) -> None:
        assert self.most_live <= JOBS
        trials = Counter(one.trial for job in self._live() for one in self._left(job))
        assert not trials or max(trials.values()) == 1

    @invariant()
    def only_what_speaks_against_a_trial_costs_it(self) -> None:
        if self.sessions:
            crashes = [e for e in Journal(self.real, "test").read() if e.type == "failed" and e.kind.value == "crashed"]
            assert len(crashes) <= self.blamed

    def teardown(self) -> None:
        try:
            self._peace()
        finally:
            self._exit.close()

    def _peace(self) -> None:
        """From now on every trial delivers at once."""
        session, deadline = self._session(), time.monotonic() + PATIENCE

        def stop() -> Stop:
            for job in self._live():
                self._deliver(job)
                if not self._goes_on(job):
                    self._end(job, 0, condition("Complete", ""))
            return Stop.NOW if time.monotonic() > deadline else Stop.NO

        self.faults.clear()
        self.store.silences.clear()
        assert self._work(session, stop) is Outcome.GOAL
        assert session.state.unique == 6
        self.nothing_is_told_twice()
        self.there_are_never_more_jobs_than_places()
        assert self.api.objects.get("jobs", NAMESPACE, "test-000000000000-1") == self.foreign


class BundleMachine(Machine):
    together = 3


TestMachine, TestBundleMachine = Machine.TestCase, BundleMachine.TestCase
TestMachine.settings = TestBundleMachine.settings = hypothesis_settings(
    max_examples=8,
    stateful_step_count=15,
    phases=[Phase.explicit, Phase.generate],  # shrinking would take minutes, because time is real
    suppress_health_check=list(HealthCheck),
)
