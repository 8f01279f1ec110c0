"""Names and labels of a run's Jobs. Pure.

A Job is named after run, trial and attempt, so that it cannot be created twice: the second time the API answers that
it exists. The run's uid says whose Job it is, when two runs of two stores share a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from metaqnn_orch.errors import BadInput
from metaqnn_trainer.contract.keys import NAME_PATTERN, TRIAL_PATTERN

MAX_NAME: Final = 63  # a Job's name is also its Pods' label and the beginning of their host names
MAX_ATTEMPT: Final = 10 ** (MAX_NAME - 40 - 12 - 2) - 1  # nine digits, beside a run's 40 characters and a trial's 12

RUN: Final = "metaqnn/run"
RUN_UID: Final = "metaqnn/run-uid"
TRIAL: Final = "metaqnn/trial"
ATTEMPT: Final = "metaqnn/attempt"
FORM: Final = "metaqnn/form"
"""Annotation: digest of everything in a Job that is the same for all trials of a session."""

STORE: Final = "metaqnn/store"
"""Annotation of Jobs that are not trials: the store for which they work."""

_COMMON: Final = {
    "app.kubernetes.io/name": "metaqnn",
    "app.kubernetes.io/component": "trainer",
    "app.kubernetes.io/managed-by": "metaqnn-orch",
}
_UID: Final = re.compile(r"[0-9a-f]{32}")


class RunRef(NamedTuple):
    """The run: its name, and the uid that distinguishes it from other runs of that name."""

    name: str
    uid: str


class Identity(NamedTuple):
    """The run, trial and attempt of a Job."""

    run: RunRef
    trial: str
    attempt: int


def job_name(identity: Identity) -> str:
    """The name of a Job: at most 63 characters, a DNS label, different for different runs, trials and attempts.

    Raises:
        BadInput: the attempt's number is out of range.
    """
    if not 1 <= identity.attempt <= MAX_ATTEMPT:
        attempt = f"attempt {identity.attempt} of trial {identity.trial}"
        raise BadInput(f"{attempt} does not fit into a Job's name: attempts from 1 to {MAX_ATTEMPT} do")
    return f"{identity.run.name}-{identity.trial}-{identity.attempt}"


def labels(identity: Identity) -> dict[str, str]:
    """Labels of the Job and of its Pods."""
    return {
        **_COMMON,
        RUN: identity.run.name,
        RUN_UID: identity.run.uid,
        TRIAL: identity.trial,
        ATTEMPT: str(identity.attempt),
    }


def dataset_labels(name: str) -> dict[str, str]:
    """Labels of the Job that makes a dataset, and of its Pod."""
    return {**_COMMON, "app.kubernetes.io/component": "dataset", "metaqnn/dataset": name}


def label(thing: Mapping[str, Any], key: str) -> str:
    """The label of a Job or a Pod as the API gave it; empty where it has none."""
    return str((thing["metadata"].get("labels") or {}).get(key, ""))


def annotation(thing: Mapping[str, Any], key: str) -> str:
    """The annotation of a Job or a Pod as the API gave it; empty where it has none."""
    return str((thing["metadata"].get("annotations") or {}).get(key, ""))


def selector(run: RunRef) -> str:
    """Selects every Job and Pod of the run's trials, and no other."""
    return f"{RUN}={run.name},{RUN_UID}={run.uid}"


TRAINERS: Final = ",".join(f"{key}={value}" for key, value in _COMMON.items())
"""Selects the Jobs and Pods of all trials, whatever their run."""


def read_identity(job: Mapping[str, Any]) -> Identity | None:
    """The run, trial and attempt of the Job, by its labels; None where the labels, or its name, are not those of a
    trial's Job.
    """
    metadata = job.get("metadata")
    found = metadata.get("labels") if isinstance(metadata, Mapping) else None
    if not isinstance(metadata, Mapping) or not isinstance(found, Mapping):
        return None
    run, uid, trial, attempt = (str(found.get(key, "")) for key in (RUN, RUN_UID, TRIAL, ATTEMPT))
    if not (re.fullmatch(NAME_PATTERN, run) and _UID.fullmatch(uid) and re.fullmatch(TRIAL_PATTERN, trial)):
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,8}", attempt):
        return None
    identity = Identity(RunRef(run, uid), trial, int(attempt))
    return identity if metadata.get("name") == job_name(identity) else None
