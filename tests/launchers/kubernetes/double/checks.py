"""Which updates of a Job's status the API server refuses, as servers have done since 1.31. Pure.

Each check looks only at what the update changes, so that a Job that breaks one already can still be updated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.launchers.kubernetes.double.objects import Object

ENDS = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}
"""Conditions that end a Job, each with the one that announces it."""


def is_true(job: Object, kind: str) -> bool:
    conditions = job.get("status", {}).get("conditions") or ()
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)


def has_ended(job: Object) -> bool:
    return any(is_true(job, kind) for kind in ENDS)


def refusals(old: Object, new: Object) -> Iterator[str]:
    """What is wrong with the status of `new`, which is to replace that of `old`."""
    before, after = old.get("status", {}), new.get("status", {})
    counts = {key: _count(after, key) for key in ("active", "ready", "terminating", "failed", "succeeded")}
    ended = has_ended(new)
    ends = ended != has_ended(old)
    complete, completes = is_true(new, "Complete"), is_true(new, "Complete") != is_true(old, "Complete")
    start, completion = after.get("startTime"), after.get("completionTime")
    changed = {key for key in (*before, *after) if before.get(key) != after.get(key)}

    for end, first in ENDS.items():
        if is_true(new, end) and not is_true(new, first) and not is_true(old, end):
            yield f"cannot set {end}=True condition without the {first}=true condition"
    for kind in ("Failed", "Complete", "FailureTarget", "SuccessCriteriaMet"):
        if is_true(old, kind) and not is_true(new, kind):
            yield f"cannot disable the {'' if kind.endswith('Met') else 'terminal '}{kind}=True condition"
    for one, other in (("SuccessCriteriaMet", "Failed"), ("SuccessCriteriaMet", "FailureTarget")):
        if is_true(new, one) and is_true(new, other):
            spelled = "Failed=true" if other == "Failed" else "FailureTarget=true"
            yield f"cannot set {one}=True and {spelled} conditions"
    if completes or "completionTime" in changed:
        if completion is None and complete:
            yield "completionTime is required for Complete jobs"
        if completion is not None and not complete:
            yield "cannot set completionTime when there is no Complete=True condition"
    if before.get("completionTime") and completion and "completionTime" in changed:
        yield "completionTime: field is immutable"
    if ended and start is None and (ends or "startTime" in changed):
        yield "startTime is required for finished job"
    if before.get("startTime") and "startTime" in changed and not new["spec"].get("suspend"):
        yield "field is immutable for unsuspended job once set"
    if start and completion and completion < start and {"startTime", "completionTime"} & changed:
        yield "must be equal to or after `startTime`"
    for key in ("active", "terminating"):
        if ended and counts[key] and (ends or key in changed):
            yield f"{key}>0 is invalid for finished job"
    uncounted = after.get("uncountedTerminatedPods") or {}
    if ended and any(uncounted.values()) and (ends or "uncountedTerminatedPods" in changed):
        yield "must be empty for finished job"
    if counts["ready"] > counts["active"] and {"ready", "active"} & changed:
        yield "cannot set more ready pods than active"
    for key in ("failed", "succeeded"):
        if counts[key] < _count(before, key):
            yield f"cannot decrease the {key} counter"


def _count(status: dict[str, Any], key: str) -> int:
    return int(status.get(key) or 0)
