"""Every way in which a Job can stand or end, in the words of the API, and whatever else it may say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.kubernetes.status import STUCK, Kind, Status, classify, live


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
OWN_STORAGE = 'Container trainer exceeded its local ephemeral storage limit "4Gi".'

CASES: list[tuple[str, Any, list[Any], list[Any], Kind, str]] = [
    ("complete", job(condition("Complete")), [], [], Kind.DELIVERED, ""),
    ("pod succeeded, Job not yet", job(), [pod("Succeeded")], [], Kind.DELIVERED, ""),
    ("trainer done, sidecar not", job(), [pod("Running", {"terminated": {"exitCode": 0}})], [], Kind.DELIVERED, ""),
    ("complete in the interim", job(condition("SuccessCriteriaMet")), [pod("Succeeded")], [], Kind.DELIVERED, ""),
    ("unknown code", job(FAILED), [exited(77, message="boo\x1b[31m\n")], [], Kind.CRASHED, "exit code 77: boo"),
    ("store", job(FAILED), [exited(15, message="no route")], [], Kind.STORE, "15 (store): no route"),
    ("no entry point", job(FAILED), [exited(128, "StartError", "exec: x")], [], Kind.FALSE_START, "exec: x"),
    ("segmentation fault", job(FAILED), [exited(139)], [], Kind.CRASHED, "139"),
    ("host memory", job(FAILED), [exited(137, "OOMKilled")], [], Kind.CRASHED, "execution.kubernetes.memory"),
    ("killed, nobody says why", job(FAILED), [exited(137)], [], Kind.CRASHED, "out of memory?"),
    ("killed while it was deleted", job(FAILED), [deleted(exited(137))], [], Kind.DISRUPTED, "asked to stop"),
    ("SIGTERM", job(FAILED), [exited(143)], [], Kind.DISRUPTED, "asked to stop"),
    ("too long", job(FAILED), [pod("Failed", reason="DeadlineExceeded")], [], Kind.CRASHED, "time_limit_seconds"),
    ("preempted", job(FAILED), [exited(137, conditions=[DISRUPTION])], [], Kind.DISRUPTED, "PreemptionByScheduler"),
    ("preempted with a code of ours", job(FAILED), [exited(13, conditions=[DISRUPTION])], [], Kind.DISRUPTED, ""),
    (
        "node pressure",
        job(FAILED),
        [pod("Failed", reason="Evicted", message="low")],
        [],
        Kind.DISRUPTED,
        "low",
    ),
    (
        "own disk limit",
        job(FAILED),
        [pod("Failed", reason="Evicted", message=OWN_STORAGE)],
        [],
        Kind.CRASHED,
        "storage",
    ),
    ("node lost", job(FAILED), [pod("Failed", reason="NodeLost")], [], Kind.DISRUPTED, "NodeLost"),
    ("no device", job(FAILED), [pod("Failed", reason="UnexpectedAdmissionError")], [], Kind.DISRUPTED, "Unexpected"),
    ("failed, no container", job(FAILED), [pod("Failed")], [], Kind.DISRUPTED, "before its trainer ended"),
    (
        "the watch of the pods is behind",
        job(FAILED),
        [pod("Running", {"running": {}})],
        [],
        Kind.WAITING,
        "about to say",
    ),
    (
        "deleted under way",
        job(FAILED),
        [deleted(pod("Running", {"running": {}}))],
        [],
        Kind.DISRUPTED,
        "its Pod is gone",
    ),
    ("pod deleted by hand", job(FAILED), [], [], Kind.DISRUPTED, "its Pod is gone"),
    ("policy speaks for a pod that is gone", job(POLICY), [], [], Kind.HOPELESS, "12 (dataset)"),
    ("bad request", job(FAILED), [exited(11, message="no field x")], [], Kind.HOPELESS, "11 (bad request): no field x"),
    ("dataset", job(FAILED), [exited(12)], [], Kind.HOPELESS, "12 (dataset)"),
    ("the same of the store", job(STORE_POLICY), [], [], Kind.STORE, "15 (store)"),
    ("Job deadline", job(condition("Failed", "DeadlineExceeded")), [], [], Kind.CRASHED, "deadline"),
    ("new", job(), [], [], Kind.WAITING, "waits for its Pod"),
    ("suspended", job(suspend=True), [], [], Kind.SUSPENDED, "suspended"),
    ("suspended under way", job(suspend=True), [deleted(pod("Running"))], [], Kind.SUSPENDED, ""),
    ("being deleted", deleted(job()), [], [], Kind.WAITING, "being deleted"),
    ("running", job(), [pod("Running", {"running": {}})], [], Kind.RUNNING, "node-1"),
    ("starting", job(), [waiting("ContainerCreating")], [], Kind.WAITING, "starting"),
    ("pod being ended", job(), [deleted(pod("Running", {"running": {}}))], [], Kind.WAITING, "being ended"),
    ("to be replaced", job(), [exited(137, conditions=[DISRUPTION])], [], Kind.WAITING, "starts it again"),
    ("about to fail", job(condition("FailureTarget")), [exited(13)], [], Kind.WAITING, "about to say"),
    ("no GPU free", job(), [pod(conditions=[UNSCHEDULABLE])], [], Kind.UNSCHEDULABLE, "Insufficient nvidia.com/gpu"),
    ("gated", job(), [pod(conditions=[UNSCHEDULABLE | {"reason": "SchedulingGated"}])], [], Kind.WAITING, ""),
    ("no such image", job(), [waiting("ImagePullBackOff", "not found")], [], Kind.IMAGE, "ImagePullBackOff: not found"),
    ("no image at all", job(), [waiting("InvalidImageName")], [], Kind.IMAGE, "InvalidImageName"),
    (
        "no secret",
        job(),
        [waiting("CreateContainerConfigError", 'secret "s" not found')],
        [],
        Kind.CONFIG,
        'secret "s"',
    ),
    ("no command", job(), [waiting("RunContainerError", "exec: python")], [], Kind.CONFIG, "exec: python"),
    ("no volume", job(), [waiting("ContainerCreating")], [event("FailedMount", "no PVC")], Kind.CONFIG, "no PVC"),
    ("quota", job(), [], [event("FailedCreate", "pods forbidden: exceeded quota: q")], Kind.QUOTA, "exceeded quota"),
    ("pod security", job(), [], [event("FailedCreate", "violates PodSecurity")], Kind.ADMISSION, "violates"),
    ("unrelated event", job(), [], [event("Scheduled", "yes")], Kind.WAITING, ""),
]


@pytest.mark.parametrize(("name", "job", "pods", "events", "kind", "words"), CASES, ids=[case[0] for case in CASES])
def test_each_state(name: str, job: Any, pods: list[Any], events: list[Any], kind: Kind, words: str) -> None:
    status = classify(job, pods, events)
    assert status.kind is kind
    assert words in status.detail
    assert status.detail.isprintable()


def test_a_crash_names_its_node() -> None:
    assert classify(job(FAILED), [exited(14)]).detail == "on node node-1, the trainer ended with exit code 14 (device)"


def test_the_newest_pod_speaks_for_the_job() -> None:
    old, new = exited(137, conditions=[DISRUPTION]), pod("Running", {"running": {}})
    new["metadata"]["creationTimestamp"] = "2026-01-01T01:00:00Z"
    assert classify(job(), [new, old]).kind is Kind.RUNNING


def test_kinds_and_phases() -> None:
    assert {kind: Status(kind).phase for kind in Kind} == {
        Kind.DELIVERED: Phase.DELIVERED,
        Kind.CRASHED: Phase.CRASHED,
        Kind.STORE: Phase.CUT_OFF,
        Kind.HOPELESS: Phase.HOPELESS,
        Kind.DISRUPTED: Phase.DISRUPTED,
        Kind.FALSE_START: Phase.DISRUPTED,
        Kind.RUNNING: Phase.RUNNING,
        **dict.fromkeys([Kind.WAITING, Kind.SUSPENDED, *STUCK], Phase.PENDING),
    }


def test_what_may_still_have_a_pod() -> None:
    assert live(job())
    assert live(job(condition("FailureTarget")))
    assert live(job(condition("Complete", status="False")))
    assert not live(job(FAILED))
    assert not live(job(condition("Complete")))


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
    live(job)


@given(st.integers(1, 255), st.text(max_size=20), st.text(max_size=1000))
def test_every_exit_code_is_an_end(code: int, reason: str, message: str) -> None:
    status = classify(job(FAILED), [exited(code, reason, message)])
    assert status.phase in (Phase.CRASHED, Phase.CUT_OFF, Phase.DISRUPTED, Phase.HOPELESS)
    assert status.phase is not Phase.HOPELESS or code in (11, 12)
    assert (status.phase is Phase.DISRUPTED) == (code == 143 and reason != "OOMKilled")
    assert status.detail
    assert len(status.detail) <= 500


@given(st.integers(0, 255))
def test_a_disruption_is_free_whatever_the_code(code: int) -> None:
    wanted = Phase.DELIVERED if code == 0 else Phase.DISRUPTED
    assert classify(job(FAILED), [exited(code, conditions=[DISRUPTION])]).phase is wanted
