"""Every way in which a Job can stand or end, in the words of the API, and whatever else it may say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.kubernetes.status import Stuck, classify, is_ending, live, ran


def condition(kind: str, reason: str = "", message: str = "", status: str = "True") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def job(*conditions: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "j"}, "spec": spec, "status": {"conditions": list(conditions)}}


FAILED = condition("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")


def pod(phase: str = "Pending", state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    containers = [{"name": "istio-proxy", "state": {"running": {}}}]
    if state is not None:
        containers.append({"name": "trainer", "state": state})
    return {
        "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "node-1"},
        "status": {"phase": phase, "containerStatuses": containers, **status},
    }


def exited(code: int, reason: str = "Error", message: str = "", **status: Any) -> dict[str, Any]:
    return pod("Failed", {"terminated": {"exitCode": code, "reason": reason, "message": message}}, **status)


def beside_a_sidecar(code: int) -> dict[str, Any]:
    """The trainer has ended, and a container that somebody put beside it has not."""
    return pod("Running", {"terminated": {"exitCode": code, "reason": "Error"}})


def init_failed(code: int, message: str, reason: str = "Error") -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    return pod("Failed", initContainerStatuses=[{"name": "fetch", "state": state}])


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return pod("Pending", {"waiting": {"reason": reason, "message": message}})


def deleted(thing: dict[str, Any]) -> dict[str, Any]:
    return {**thing, "metadata": {**thing["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


def event(reason: str, message: str) -> dict[str, str]:
    return {"reason": reason, "message": message}


DISRUPTION = condition("DisruptionTarget", "PreemptionByScheduler", "preempting to accommodate a higher priority pod")
UNSCHEDULABLE = condition("PodScheduled", "Unschedulable", "0/4 nodes: 4 Insufficient nvidia.com/gpu", "False")
POLICY = condition("Failed", "PodFailurePolicy", "Container trainer for p failed with exit code 12 matching FailJob")
STORE_POLICY = condition("Failed", "PodFailurePolicy", "Container trainer for p failed with exit code 15 matching")
KILL_POLICY = condition("Failed", "PodFailurePolicy", "Container trainer for p failed with exit code 137 matching rule")
TARGET = condition("FailureTarget", "PodFailurePolicy", "Container trainer for p failed with exit code 13 matching")
MET = condition("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods")
SUSPENDED = condition("Suspended", "JobSuspended", "Job suspended")
RUNNING = pod("Running", {"running": {}})
OWN_STORAGE = 'Container trainer exceeded its local ephemeral storage limit "4Gi".'

CASES: list[tuple[str, Any, list[Any], list[Any], Phase | Stuck, str]] = [
    ("complete", job(condition("Complete")), [], [], Phase.DELIVERED, ""),
    ("pod succeeded, Job not yet", job(), [pod("Succeeded")], [], Phase.DELIVERED, ""),
    ("trainer done, sidecar not", job(), [pod("Running", {"terminated": {"exitCode": 0}})], [], Phase.DELIVERED, ""),
    ("trainer failed, sidecar not", job(), [beside_a_sidecar(13)], [], Phase.CRASHED, "on node node-1, the trainer"),
    ("trainer asked to stop, sidecar not", job(), [beside_a_sidecar(143)], [], Phase.DISRUPTED, "asked to stop"),
    ("node restarted", job(FAILED), [exited(137, "ContainerStatusUnknown")], [], Phase.DISRUPTED, "was restarted"),
    ("runtime restarted", job(FAILED), [exited(255, "Unknown")], [], Phase.DISRUPTED, "was restarted"),
    ("no GPU", job(FAILED), [exited(14, message="no driver")], [], Phase.NO_DEVICE, "node-1, the trainer ended"),
    ("refused", job(FAILED), [exited(17, message="413")], [], Phase.REFUSED, "17 (store refused): 413"),
    ("init container", job(FAILED), [init_failed(1, "no such host")], [], Phase.CRASHED, "init container fetch ended"),
    ("init, restarted", job(FAILED), [init_failed(137, "", "Unknown")], [], Phase.DISRUPTED, "before its trainer"),
    ("complete in the interim", job(condition("SuccessCriteriaMet")), [pod("Succeeded")], [], Phase.DELIVERED, ""),
    ("unknown code", job(FAILED), [exited(77, message="boo\x1b[31m\n")], [], Phase.CRASHED, "exit code 77: boo"),
    ("store", job(FAILED), [exited(15, message="no route")], [], Phase.CUT_OFF, "15 (store): no route"),
    ("no entry point", job(FAILED), [exited(128, "StartError", "exec: x")], [], Phase.FALSE_START, "exec: x"),
    ("segmentation fault", job(FAILED), [exited(139)], [], Phase.CRASHED, "139"),
    ("host memory", job(FAILED), [exited(137, "OOMKilled")], [], Phase.CRASHED, "execution.kubernetes.memory"),
    ("killed, nobody says why", job(FAILED), [exited(137)], [], Phase.CRASHED, "out of memory?"),
    ("killed while it was deleted", job(FAILED), [deleted(exited(137))], [], Phase.DISRUPTED, "asked to stop"),
    ("SIGTERM", job(FAILED), [exited(143)], [], Phase.DISRUPTED, "asked to stop"),
    ("too long", job(FAILED), [pod("Failed", reason="DeadlineExceeded")], [], Phase.CRASHED, "time_limit_seconds"),
    ("preempted", job(FAILED), [exited(137, conditions=[DISRUPTION])], [], Phase.DISRUPTED, "PreemptionByScheduler"),
    ("preempted with a code of ours", job(FAILED), [exited(13, conditions=[DISRUPTION])], [], Phase.DISRUPTED, ""),
    (
        "node pressure",
        job(FAILED),
        [pod("Failed", reason="Evicted", message="low")],
        [],
        Phase.DISRUPTED,
        "low",
    ),
    (
        "own disk limit",
        job(FAILED),
        [pod("Failed", reason="Evicted", message=OWN_STORAGE)],
        [],
        Phase.CRASHED,
        "storage",
    ),
    ("node lost", job(FAILED), [pod("Failed", reason="NodeLost")], [], Phase.DISRUPTED, "NodeLost"),
    ("no device", job(FAILED), [pod("Failed", reason="UnexpectedAdmissionError")], [], Phase.DISRUPTED, "Unexpected"),
    ("failed, no container", job(FAILED), [pod("Failed")], [], Phase.DISRUPTED, "before its trainer ended"),
    (
        "the watch of the pods is behind",
        job(FAILED),
        [pod("Running", {"running": {}})],
        [],
        Phase.PENDING,
        "has not yet said how",
    ),
    (
        "deleted under way",
        job(FAILED),
        [deleted(pod("Running", {"running": {}}))],
        [],
        Phase.DISRUPTED,
        "its Pod is gone",
    ),
    ("pod deleted by hand", job(FAILED), [], [], Phase.DISRUPTED, "its Pod is gone"),
    ("killed by hand, and gone", job(KILL_POLICY), [], [], Phase.DISRUPTED, "its Pod is gone"),
    ("policy speaks for a pod that is gone", job(POLICY), [], [], Phase.UNEQUIPPED, "12 (dataset)"),
    (
        "bad request",
        job(FAILED),
        [exited(11, message="no field x")],
        [],
        Phase.HOPELESS,
        "11 (bad request): no field x",
    ),
    ("dataset", job(FAILED), [exited(12)], [], Phase.UNEQUIPPED, "12 (dataset)"),
    ("no plug-in", job(FAILED), [exited(18)], [], Phase.UNEQUIPPED, "18 (unequipped)"),
    ("the same of the store", job(STORE_POLICY), [], [], Phase.CUT_OFF, "15 (store)"),
    ("Job deadline", job(condition("Failed", "DeadlineExceeded")), [], [], Phase.CRASHED, "deadline"),
    ("new", job(), [], [], Phase.PENDING, "waits for its Pod"),
    ("suspended", job(suspend=True), [], [], Phase.PENDING, "suspended"),
    ("suspended under way", job(suspend=True), [deleted(pod("Running"))], [], Phase.PENDING, ""),
    ("being deleted", deleted(job()), [], [], Phase.PENDING, "being deleted"),
    ("running", job(), [pod("Running", {"running": {}})], [], Phase.RUNNING, "node-1"),
    ("starting", job(), [waiting("ContainerCreating")], [], Phase.PENDING, "starting"),
    ("pod being ended", job(), [deleted(pod("Running", {"running": {}}))], [], Phase.PENDING, "being ended"),
    ("to be replaced", job(), [exited(137, conditions=[DISRUPTION])], [], Phase.PENDING, "starts it again"),
    # What newer servers say before the end, with Pods in every state.
    ("met, no Pod", job(MET), [], [], Phase.DELIVERED, ""),
    ("met, its Pod is being ended", job(MET), [deleted(RUNNING)], [], Phase.DELIVERED, ""),
    ("met and complete, the other way round", job(condition("Complete"), MET), [], [], Phase.DELIVERED, ""),
    ("not met", job({**MET, "status": "False"}), [RUNNING], [], Phase.RUNNING, ""),
    ("met, and failed all the same", job(MET, FAILED), [exited(13)], [], Phase.CRASHED, "exit code 13"),
    ("about to fail, no Pod", job(TARGET), [], [event("FailedCreate", "x")], Phase.PENDING, "about to fail: Pod"),
    (
        "about to fail, Pod runs",
        job(TARGET),
        [RUNNING],
        [],
        Phase.PENDING,
        "the Job is about to fail: PodFailurePolicy",
    ),
    ("about to fail, Pod leaves", job(TARGET), [deleted(RUNNING)], [], Phase.PENDING, "about to fail"),
    ("about to fail, no image", job(TARGET), [waiting("ImagePullBackOff")], [], Phase.PENDING, "about to fail"),
    ("about to fail, disrupted", job(TARGET), [pod("Running", conditions=[DISRUPTION])], [], Phase.PENDING, "to fail"),
    ("the same, ended", job(TARGET), [exited(143, conditions=[DISRUPTION])], [], Phase.PENDING, "about to fail"),
    ("the same, Failed", job(TARGET, FAILED), [exited(143, conditions=[DISRUPTION])], [], Phase.DISRUPTED, "disrupted"),
    ("about to fail, sidecar not", job(TARGET), [beside_a_sidecar(13)], [], Phase.CRASHED, "exit code 13"),
    ("about to fail, delivered", job(TARGET), [exited(0)], [], Phase.DELIVERED, ""),
    ("about to fail, suspended", job(TARGET, suspend=True), [], [], Phase.PENDING, "about to fail"),
    ("Failed said first", job(FAILED, TARGET), [exited(13)], [], Phase.CRASHED, "exit code 13"),
    ("no longer a target", job({**TARGET, "status": "False"}), [RUNNING], [], Phase.RUNNING, ""),
    ("suspended, and said so", job(SUSPENDED, suspend=True), [], [], Phase.PENDING, "suspended"),
    ("goes on, not yet said", job(SUSPENDED), [], [], Phase.PENDING, "waits for its Pod"),
    ("goes on", job({**SUSPENDED, "status": "False"}), [RUNNING], [], Phase.RUNNING, ""),
    ("about to fail", job(condition("FailureTarget")), [exited(13)], [], Phase.PENDING, "has not yet said how"),
    ("no GPU free", job(), [pod(conditions=[UNSCHEDULABLE])], [], Stuck.UNSCHEDULABLE, "Insufficient nvidia.com/gpu"),
    ("gated", job(), [pod(conditions=[UNSCHEDULABLE | {"reason": "SchedulingGated"}])], [], Phase.PENDING, ""),
    (
        "no such image",
        job(),
        [waiting("ImagePullBackOff", "not found")],
        [],
        Stuck.IMAGE,
        "ImagePullBackOff: not found",
    ),
    ("no image at all", job(), [waiting("InvalidImageName")], [], Stuck.IMAGE, "InvalidImageName"),
    (
        "no secret",
        job(),
        [waiting("CreateContainerConfigError", 'secret "s" not found')],
        [],
        Stuck.CONFIG,
        'secret "s"',
    ),
    ("no command", job(), [waiting("RunContainerError", "exec: python")], [], Stuck.CONFIG, "exec: python"),
    ("no volume", job(), [waiting("ContainerCreating")], [event("FailedMount", "no PVC")], Stuck.CONFIG, "no PVC"),
    ("quota", job(), [], [event("FailedCreate", "pods forbidden: exceeded quota: q")], Stuck.QUOTA, "exceeded quota"),
    ("pod security", job(), [], [event("FailedCreate", "violates PodSecurity")], Stuck.ADMISSION, "violates"),
    ("unrelated event", job(), [], [event("Scheduled", "yes")], Phase.PENDING, ""),
]


@pytest.mark.parametrize(("name", "job", "pods", "events", "kind", "words"), CASES, ids=[case[0] for case in CASES])
def test_each_state(name: str, job: Any, pods: list[Any], events: list[Any], kind: Phase | Stuck, words: str) -> None:
    status = classify(job, pods, events)
    assert (status.stuck or status.phase) is kind
    assert status.stuck is None or status.phase is Phase.PENDING
    assert words in status.detail
    assert status.detail.isprintable()


def test_a_crash_names_its_node() -> None:
    assert (
        classify(job(FAILED), [exited(13)]).detail == "on node node-1, the trainer ended with exit code 13 (internal)"
    )


def test_the_newest_pod_speaks_for_the_job() -> None:
    old, new = exited(137, conditions=[DISRUPTION]), pod("Running", {"running": {}})
    new["metadata"]["creationTimestamp"] = "2026-01-01T01:00:00Z"
    assert classify(job(), [new, old]).phase is Phase.RUNNING


def test_what_may_still_have_a_pod() -> None:
    assert live(job())
    assert live(job(TARGET))
    assert live(job(MET))
    assert is_ending(job(TARGET))
    assert is_ending(job(MET))
    assert is_ending(job(TARGET, FAILED))
    assert not is_ending(job({**TARGET, "status": "False"}, SUSPENDED))
    assert live(job(condition("Complete", status="False")))
    assert not live(job(FAILED))
    assert not live(job(condition("Complete")))


def test_seconds_are_those_of_trainers_that_have_ended() -> None:
    def ended(begin: str, end: str) -> dict[str, Any]:
        return pod("Failed", {"terminated": {"exitCode": 1, "startedAt": begin, "finishedAt": end}})

    whole, odd = ended("2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z"), ended("yesterday", "")
    assert ran([whole, odd, pod("Running", {"running": {"startedAt": "2026-01-01T00:00:00Z"}}), whole]) == 180


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
WORDS = st.sampled_from(
    [
        "metadata",
        "spec",
        "status",
        "conditions",
        "type",
        "reason",
        "message",
        "name",
        "state",
        "waiting",
        "running",
        "terminated",
        "exitCode",
        "phase",
        "containerStatuses",
        "initContainerStatuses",
        "deletionTimestamp",
        "creationTimestamp",
        "suspend",
        "nodeName",
        "trainer",
        "True",
        "False",
        "Complete",
        "Failed",
        "PodFailurePolicy",
        "DisruptionTarget",
        "PodScheduled",
        "Evicted",
        "BackoffLimitExceeded",
        "Pending",
    ]
)
ANYTHING = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=10), inner, max_size=6),
    max_leaves=30,
)
OBJECTS = st.dictionaries(WORDS, ANYTHING, max_size=6)


@given(OBJECTS, st.lists(OBJECTS, max_size=3), st.lists(OBJECTS, max_size=3))
def test_whatever_the_api_says_is_some_state(job: Any, pods: list[Any], events: list[Any]) -> None:
    status = classify(job, pods, events)
    assert status.detail.isprintable()
    assert len(status.detail) <= 500
    assert ran(pods) >= 0
    live(job)


@given(st.integers(1, 255), st.text(max_size=20), st.text(max_size=1000))
def test_every_exit_code_is_an_end(code: int, reason: str, message: str) -> None:
    status = classify(job(FAILED), [exited(code, reason, message)])
    assert status.phase not in (Phase.PENDING, Phase.RUNNING, Phase.DELIVERED)
    assert status.phase is not Phase.HOPELESS or code == 11
    restarted = reason in ("ContainerStatusUnknown", "Unknown")
    assert (status.phase is Phase.DISRUPTED) == (restarted or (code == 143 and reason != "OOMKilled"))
    assert status.detail
    assert len(status.detail) <= 500


@given(st.integers(0, 255))
def test_a_disruption_is_free_whatever_the_code(code: int) -> None:
    wanted = Phase.DELIVERED if code == 0 else Phase.DISRUPTED
    assert classify(job(FAILED), [exited(code, conditions=[DISRUPTION])]).phase is wanted


def test_a_trainer_that_was_asked_to_stop_goes_on_in_its_job() -> None:
    ended = {"name": "trainer", "state": {"terminated": {"exitCode": 143}}}
    pod = {"metadata": {}, "status": {"phase": "Failed", "containerStatuses": [ended]}}
    found = classify({}, [pod])
    assert (found.phase, found.detail) == (Phase.PENDING, "the Pod was asked to stop; the cluster starts it again")
    assert "suspended" in classify({"spec": {"suspend": True}}, [pod]).detail


@pytest.mark.parametrize(("ready", "phase"), [(1, Phase.RUNNING), (0, Phase.PENDING), (None, Phase.PENDING)])
def test_a_job_whose_pods_are_in_another_cluster(ready: int | None, phase: Phase) -> None:
    job = {"spec": {"managedBy": "kueue.x-k8s.io/multikueue"}, "status": {"active": 1, "ready": ready}}
    found = classify(job, [])
    assert found.phase is phase
    assert "another cluster" in found.detail
    done = [{"type": "Complete", "status": "True"}]
    assert classify({**job, "status": {"conditions": done}}, []).phase is Phase.DELIVERED
    own = {**job, "spec": {"managedBy": "kubernetes.io/job-controller"}}
    assert classify(own, []).phase is not Phase.RUNNING


def test_what_ended_as_the_contract_says_has_its_reason_in_the_last_line() -> None:
    said = f"trial 0123456789ab: attempt 1: {'tanh 0-9; ' * 100}\nmetaqnn_trainer: made-up 0.1 is not installed\n"
    status = classify(job(FAILED), [exited(18, message=said)])
    assert status.detail.endswith("18 (unequipped): metaqnn_trainer: made-up 0.1 is not installed")
    crashed = classify(job(FAILED), [exited(1, message="Traceback\n  File x\nValueError: boom\n")])
    assert crashed.detail.endswith("Traceback | File x | ValueError: boom")
