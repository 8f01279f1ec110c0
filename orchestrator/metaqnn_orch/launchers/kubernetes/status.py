"""What the state of a Job, its Pods and their containers means for a trial. Pure and total: every answer of the API,
now or in a later version, gives some state, and no exception.

The exit code says only whether a result was delivered. 137 alone proves nothing, and a Pod that was deleted by hand
leaves no evidence at all; so an end without evidence against the trial is a disruption.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from metaqnn_orch.errors import one_line
from metaqnn_orch.launchers.base import BY_EXIT_CODE, Phase
from metaqnn_orch.launchers.kubernetes.template import CONTAINER
from metaqnn_orch.numbers import seconds_between
from metaqnn_trainer.contract.result import ExitCode


class Stuck(StrEnum):
    """Why a Pod does not begin. The cause concerns the whole run rather than the trial, until somebody repairs it, or
    there is room.
    """

    UNSCHEDULABLE = "unschedulable"
    IMAGE = "image"
    CONFIG = "config"  # a secret, a volume, or the container itself
    QUOTA = "quota"
    ADMISSION = "admission"


class Status(NamedTuple):
    """What a Job's state means, and why, in one line."""

    phase: Phase
    detail: str = ""
    stuck: Stuck | None = None


_IMAGE_REASONS: Final = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
)
_CONFIG_REASONS: Final = (
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
)
# the node or its runtime was the cause, and nobody saw the end
_RESTARTED: Final = ("ContainerStatusUnknown", "Unknown")
_NEVER_RAN: Final = ("StartError", "ContainerCannotRun")
_MOUNT_EVENTS: Final = ("FailedMount", "FailedAttachVolume", "FailedMapVolume")
# and the node is not the cause
_OWN_LIMIT: Final = re.compile(r"ephemeral[ -](local )?storage|EmptyDir volume", re.IGNORECASE)
_ABOUT_TO_SAY: Final = "its Pod has ended; the cluster has not yet said how"
_KILLED: Final = 137
_POLICY: Final = re.compile(r"exit code (\d+)")

Object = Mapping[str, Any]


def classify(job: Object, pods: Sequence[Object], events: Sequence[Object] = ()) -> Status:
    """The status of a Job. `pods` are its own, in any order; `events` are the warnings about it and its Pods, the
    latest last.
    """
    failed, failing = _condition(job, "status", "Failed"), _condition(job, "status", "FailureTarget")
    complete = _condition(job, "status", "Complete")
    if failed is None and failing is None:  # newer servers say this first, and never take it back
        complete = complete or _condition(job, "status", "SuccessCriteriaMet")
    ordered = sorted(pods, key=lambda pod: _text(pod, "metadata", "creationTimestamp"))
    last = ordered[-1] if ordered else {}
    if complete is not None or _exit_code(last) == 0 or _text(last, "status", "phase") == "Succeeded":
        return Status(Phase.DELIVERED)
    if failed is not None:
        return _at(last, _ended(failed, last))
    if failing is not None and (_exit_code(last) is None or _condition(last, "status", "DisruptionTarget")):
        # It gets no Pod any more, and is Failed as soon as the last one has ended.
        why = f"{_text(failing, 'reason')}: {_text(failing, 'message')}".strip(": ")
        return _waiting(_sentence("the Job is about to fail", why))
    if _get(job, "spec", "suspend") is True:
        # it is shown, and nothing is done against it
        return _waiting("the Job is suspended, by its queue or by a person")
    if _get(job, "metadata", "deletionTimestamp"):
        return _waiting("the Job is being deleted")
    if last:
        return _under_way(last, events)
    return _elsewhere(job) if _managed_elsewhere(job) else _without_pod(events)


def _at(pod: Object, status: Status) -> Status:
    """The status with the Pod's node: if several crashes are on one node, and none elsewhere, the node is the cause."""
    node = one_line(node_of(pod), 80)
    named = node and status.phase in (Phase.CRASHED, Phase.NO_DEVICE, Phase.FALSE_START, Phase.UNEQUIPPED)
    return status._replace(detail=f"on node {node}, {status.detail}") if named else status


def node_of(pod: Object) -> str:
    """The node of the Pod; empty while it has none."""
    return _text(pod, "spec", "nodeName")


def _waiting(detail: str) -> Status:
    return Status(Phase.PENDING, detail)


def ran(pods: Sequence[Object]) -> float:
    """Seconds for which the trainers of these Pods ran, of those that have ended."""
    ended = (_mapping(_get(_trainer(pod), "state", "terminated")) for pod in pods)
    return sum(seconds_between(_text(end, "startedAt"), _text(end, "finishedAt")) for end in ended)


def without_device(pods: Iterable[Object]) -> dict[str, str]:
    """The nodes on which a trainer was given a GPU and found none that works, each with the last message from there."""
    found: dict[str, str] = {}
    for pod in sorted(pods, key=lambda pod: _text(pod, "metadata", "creationTimestamp")):
        if _exit_code(pod) == ExitCode.DEVICE:
            said = _text(_trainer(pod), "state", "terminated", "message")
            found[one_line(_text(pod, "spec", "nodeName"), 80)] = _sentence(_named(int(ExitCode.DEVICE)), said)
    return found


def exit_code(pods: Sequence[Object]) -> int | None:
    """Exit code of the trainer in the newest of a Job's Pods; None where it has not ended, or nobody knows."""
    newest = max(pods, key=lambda pod: _text(pod, "metadata", "creationTimestamp"), default={})
    return _exit_code(newest)


def has_ended(pod: Object) -> bool:
    """Whether the Pod's trainer has ended, whatever else runs on in the Pod."""
    return _text(pod, "status", "phase") in ("Failed", "Succeeded") or _exit_code(pod) is not None


def live(job: Object) -> bool:
    """Whether the Job may have a Pod now or later. One that is about to end may have one now."""
    return _condition(job, "status", "Complete") is None and _condition(job, "status", "Failed") is None


def is_ending(job: Object) -> bool:
    """Whether the cluster has decided how the Job ends, and makes no Pod for it any more. Newer servers say so first,
    and that it has ended when the last Pod has.
    """
    return any(_condition(job, "status", kind) is not None for kind in ("FailureTarget", "SuccessCriteriaMet"))


def _ended(failed: Object, pod: Object) -> Status:
    """The status of a Job that failed, by its last Pod, or by its own condition where no Pod is left."""
    cause, message = _text(pod, "status", "reason"), _text(pod, "status", "message")
    code = _exit_code(pod)
    if not pod:
        return _ended_without_pod(failed)
    if _condition(pod, "status", "DisruptionTarget") is not None:
        return Status(Phase.DISRUPTED, _sentence("the Pod was disrupted", _disruption(pod)))
    if cause == "DeadlineExceeded":
        return Status(Phase.CRASHED, "it ran for longer than execution.kubernetes.time_limit_seconds")
    if cause == "Evicted" and _OWN_LIMIT.search(message):
        return Status(Phase.CRASHED, _sentence("the Pod was evicted", message))
    if cause:
        return Status(Phase.DISRUPTED, _sentence(f"the Pod was ended by its node ({one_line(cause, 60)})", message))
    if code is None and _text(pod, "status", "phase") not in ("Failed", "Succeeded"):
        if _get(pod, "metadata", "deletionTimestamp") or _text(failed, "reason") == "DeadlineExceeded":
            return _ended_without_pod(failed)
        return _waiting(_ABOUT_TO_SAY)  # Pods and Jobs are watched separately, and one watch may be behind
    if code is None and (failing := _failed_before(pod)):
        return Status(Phase.CRASHED, failing)
    if code is None:
        return Status(Phase.DISRUPTED, _sentence("the Pod failed before its trainer ended", message))
    return _exited(code, pod)


def _exited(code: int, pod: Object) -> Status:
    terminated = _mapping(_get(_trainer(pod), "state", "terminated"))
    said = _text(terminated, "message")
    if _text(terminated, "reason") in _RESTARTED:
        return Status(
            Phase.DISRUPTED, _sentence(f"its node or the container runtime was restarted (code {code})", said)
        )
    if _text(terminated, "reason") in _NEVER_RAN:
        return Status(Phase.FALSE_START, _sentence("the container cannot be started", said))
    if _text(terminated, "reason") == "OOMKilled":
        hint = "the trainer needs more memory than execution.kubernetes.memory"
        return Status(Phase.CRASHED, _sentence(hint, said))
    if code == ExitCode.PREEMPTED or (code == _KILLED and _get(pod, "metadata", "deletionTimestamp")):
        return Status(Phase.DISRUPTED, "the Pod was asked to stop")
    if code == _KILLED:
        return Status(Phase.CRASHED, _sentence("the trainer was killed (out of memory?)", said))
    return Status(BY_EXIT_CODE.get(code, Phase.CRASHED), in_words(code, said))


def in_words(code: int, said: str) -> str:
    """How a trainer ended: its exit code, and its last words. By the contract the last line is the reason."""
    lines = [line for line in said.splitlines() if line.strip()]
    meant = code in [*ExitCode] and code != ExitCode.INTERNAL
    return _sentence(_named(code), " | ".join(lines[-1:] if meant else lines))


def _ended_without_pod(failed: Object) -> Status:
    reason, message = _text(failed, "reason"), _text(failed, "message")
    if reason == "PodFailurePolicy" and (match := _POLICY.search(message)):
        code = int(match[1][:9])
        if code == _KILLED:  # a reason set by whoever deleted the Pod: an exceeded memory limit leaves it in place
            return Status(Phase.DISRUPTED, "the trainer was killed, and its Pod is gone")
        return Status(BY_EXIT_CODE.get(code, Phase.CRASHED), _named(code))
    if reason == "DeadlineExceeded":
        return Status(Phase.CRASHED, _sentence("the Job ran for longer than its deadline", message))
    # There is no exit code of the trainer and no Pod: the Pod was deleted, or its node was.
    return Status(Phase.DISRUPTED, _sentence("the Job failed, and its Pod is gone", message))


def _under_way(pod: Object, events: Sequence[Object]) -> Status:
    """The status of the newest Pod of a Job that has not ended."""
    node = one_line(node_of(pod), 80)
    disrupted = _condition(pod, "status", "DisruptionTarget")
    if disrupted is not None:
        return _waiting(_sentence("disrupted; the cluster starts it again", _disruption(pod)))
    if _get(pod, "metadata", "deletionTimestamp"):
        return _waiting(f"its Pod is being ended on node {node or '(none)'}")
    code, phase = _exit_code(pod), _text(pod, "status", "phase")
    if (
        code is not None and phase == "Running" and _others_run(pod)
    ):  # a sidecar may run on for ever: only the trainer's container counts
        return _at(pod, _exited(code, pod))
    if code == ExitCode.PREEMPTED:
        return _waiting("the Pod was asked to stop; the cluster starts it again")
    if phase == "Failed" or code is not None:
        return _waiting(_ABOUT_TO_SAY)
    if _get(_trainer(pod), "state", "running") is not None:
        return Status(Phase.RUNNING, f"on node {node}" if node else "")
    scheduled = _condition(pod, "status", "PodScheduled", "False")
    if scheduled is not None and _text(scheduled, "reason") != "SchedulingGated":
        return Status(Phase.PENDING, _sentence("no node accepts it", _text(scheduled, "message")), Stuck.UNSCHEDULABLE)
    for stuck, reasons in ((Stuck.IMAGE, _IMAGE_REASONS), (Stuck.CONFIG, _CONFIG_REASONS)):
        for container in _containers(pod):
            waiting = _mapping(_get(container, "state", "waiting"))
            if (reason := _text(waiting, "reason")) in reasons:
                who = one_line(_text(container, "name"), 63)
                said = _sentence(f"container {who}: {reason}", _text(waiting, "message"))
                return Status(Phase.PENDING, said, stuck)
    for event in reversed(events):
        if _text(event, "reason") in _MOUNT_EVENTS:
            said = _sentence(_text(event, "reason"), _text(event, "message"))
            return Status(Phase.PENDING, said, Stuck.CONFIG)
    return _waiting("its Pod is starting" if node else "its Pod waits for a node")


def _managed_elsewhere(job: Object) -> bool:
    """Whether a controller other than the cluster's own runs the Job. Its Pods are elsewhere then."""
    return _text(job, "spec", "managedBy") not in ("", "kubernetes.io/job-controller")


def _elsewhere(job: Object) -> Status:
    """The status of a Job whose Pods are not here, by the counts that its controller copies."""
    who, ready = one_line(_text(job, "spec", "managedBy"), 63), _get(job, "status", "ready")
    if isinstance(ready, int) and ready > 0:
        return Status(Phase.RUNNING, f"in another cluster, by {who}")
    return _waiting(f"waits for its Pod in another cluster, by {who}")


def _without_pod(events: Sequence[Object]) -> Status:
    for event in reversed(events):
        if _text(event, "reason") == "FailedCreate":
            message = _text(event, "message")
            stuck = Stuck.QUOTA if "exceeded quota" in message else Stuck.ADMISSION
            return Status(Phase.PENDING, _sentence("no Pod can be created", message), stuck)
    return _waiting("waits for its Pod")


def _disruption(pod: Object) -> str:
    condition = _condition(pod, "status", "DisruptionTarget") or {}
    return f"{_text(condition, 'reason')}: {_text(condition, 'message')}".strip(": ")


def _named(code: int) -> str:
    meaning = next((f" ({known.name.lower().replace('_', ' ')})" for known in ExitCode if known == code), "")
    return f"the trainer ended with exit code {code}{meaning}"


def _sentence(what: str, message: str) -> str:
    said = one_line(message)
    return f"{what}: {said}" if said else what


# The code below reads foreign data, and does not trust its shape.


def _get(value: Any, *path: str) -> Any:
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _text(value: Any, *path: str) -> str:
    found = _get(value, *path)
    return found if isinstance(found, str) else ""


def _mapping(value: Any) -> Object:
    return value if isinstance(value, Mapping) else {}


def _items(value: Any, *path: str) -> Iterator[Object]:
    found = _get(value, *path)
    return (item for item in found if isinstance(item, Mapping)) if isinstance(found, list | tuple) else iter(())


def _condition(value: Any, place: str, kind: str, status: str = "True") -> Object | None:
    conditions: Iterable[Object] = _items(value, place, "conditions")
    return next((c for c in conditions if c.get("type") == kind and c.get("status") == status), None)


def _containers(pod: Object) -> Iterator[Object]:
    yield from _items(pod, "status", "initContainerStatuses")
    yield from _items(pod, "status", "containerStatuses")


def _failed_before(pod: Object) -> str:
    """The init container that failed, and how; empty if none did."""
    for container in _items(pod, "status", "initContainerStatuses"):
        terminated = _mapping(_get(container, "state", "terminated"))
        code = terminated.get("exitCode")
        if isinstance(code, int) and code and _text(terminated, "reason") not in _RESTARTED:
            who = one_line(_text(container, "name"), 63)
            return _sentence(f"init container {who} ended with exit code {code}", _text(terminated, "message"))
    return ""


def _others_run(pod: Object) -> bool:
    """Whether a container other than the trainer's runs."""
    others = (c for c in _items(pod, "status", "containerStatuses") if c.get("name") != CONTAINER)
    return any(_get(container, "state", "running") is not None for container in others)


def _trainer(pod: Object) -> Object:
    """The trainer's container, found by its name: a template may add others."""
    return next((c for c in _items(pod, "status", "containerStatuses") if c.get("name") == CONTAINER), {})


def _exit_code(pod: Object) -> int | None:
    code = _get(_trainer(pod), "state", "terminated", "exitCode")
    return code if isinstance(code, int) and not isinstance(code, bool) else None
