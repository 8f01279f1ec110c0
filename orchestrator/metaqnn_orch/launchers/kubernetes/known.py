"""What is known of a Job: worked out when something of it changes, and not at every look."""

from __future__ import annotations

from typing import Any, NamedTuple

from metaqnn_orch.launchers.kubernetes.status import Status, classify, ran

Object = dict[str, Any]
Evidence = tuple[Object, list[Object], list[Object]]
"""A Job, its Pods, and the warnings about them."""


class KnownJob(NamedTuple):
    """What was last seen of a Job, and what follows from it."""

    evidence: Evidence
    status: Status
    ran: float
    """Seconds for which its trainers ran that have ended."""


def known_from(evidence: Evidence, before: KnownJob | None) -> KnownJob:
    """What follows from the evidence: what was known before, where it has not changed."""
    if before is not None and before.evidence == evidence:
        return before
    job, pods, warnings = evidence
    return KnownJob(evidence, classify(job, pods, warnings), ran(pods))
