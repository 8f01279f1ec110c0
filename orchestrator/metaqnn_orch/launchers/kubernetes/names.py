"""Names and labels of a run's Jobs. Pure.

A Job is named after run, trial and attempt, so that it cannot be created twice: the second time the API answers that
it exists. A Job with a bundle of trials is named after their digest, and an annotation lists them. The run's uid says
whose Job it is, when two runs of two stores share a name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from metaqnn_orch.errors import BadInput
from metaqnn_trainer.contract.codec import canonical_json
from metaqnn_trainer.contract.keys import BUNDLE_PATTERN, NAME_PATTERN, TRIAL_PATTERN
from metaqnn_trainer.contract.work import MAX_BUNDLE

MAX_NAME: Final = 63  # a Job's name is also its Pods' label and the beginning of their host names
MAX_ATTEMPT: Final = 10 ** (MAX_NAME - 40 - 12 - 2) - 1  # nine digits, beside a run's 40 characters and a trial's 12

RUN: Final = "metaqnn/run"
RUN_UID: Final = "metaqnn/run-uid"
TRIAL: Final = "metaqnn/trial"
ATTEMPT: Final = "metaqnn/attempt"
BUNDLE: Final = "metaqnn/bundle"
"""Label of Jobs with several trials, and of their Pods: the bundle's id."""

TRIALS: Final = "metaqnn/trials"
"""Annotation of the same: the trials in their order, each as TRIAL/ATTEMPT, with blanks between them."""

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
_ATTEMPT: Final = re.compile(r"[1-9][0-9]{0,8}")


class RunRef(NamedTuple):
    """The run: its name, and the uid that distinguishes it from other runs of that name."""

    name: str
    uid: str


class Identity(NamedTuple):
    """The run, trial and attempt of an order."""

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


def bundle_id(trials: Sequence[Identity]) -> str:
    """The id of a bundle: it depends on its trials, their attempts and their order."""
    return hashlib.sha256(canonical_json([[one.trial, one.attempt] for one in trials])).hexdigest()[:12]


def bundle_name(run: str, bundle: str) -> str:
    """The name of a bundle's Job: a DNS label of at most 60 characters. No trial's Job can have it, because theirs end
    in a number of at most nine digits.
    """
    return f"{run}-bundle-{bundle}"


def bundle_labels(run: RunRef, bundle: str) -> dict[str, str]:
    """Labels of a bundle's Job and of its Pods."""
    return {**_COMMON, RUN: run.name, RUN_UID: run.uid, BUNDLE: bundle}


def listed(trials: Sequence[Identity]) -> str:
    """The annotation that lists the trials of a bundle."""
    return " ".join(f"{one.trial}/{one.attempt}" for one in trials)


def dataset_labels(name: str) -> dict[str, str]:
    """Labels of the Job that makes a dataset, and of its Pod."""
    return {**_COMMON, "app.kubernetes.io/component": "dataset", "metaqnn/dataset": name}


def label(thing: Mapping[str, Any], key: str) -> str:
    """The label of a Job or a Pod as the API gave it; empty where it has none."""
    return str((thing["metadata"].get("labels") or {}).get(key, ""))


def annotation(thing: Mapping[str, Any], key: str) -> str:
    """The annotation of a Job or a Pod as the API gave it; empty where it has none."""
    return str((thing["metadata"].get("annotations") or {}).get(key, ""))


def controller_of(pod: Mapping[str, Any]) -> str:
    """The uid of the object that controls a Pod; empty where none does, as when its Job was deleted without it."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((str(owner.get("uid")) for owner in owners if owner.get("controller")), "")


def selector(run: RunRef) -> str:
    """Selects every Job and Pod of the run's trials, and no other."""
    return f"{RUN}={run.name},{RUN_UID}={run.uid}"


TRAINERS: Final = ",".join(f"{key}={value}" for key, value in _COMMON.items())
"""Selects the Jobs and Pods of all trials, whatever their run."""


class Carried(NamedTuple):
    """What a Job carries."""

    trials: tuple[Identity, ...] = ()
    """The trials in their order; none where somebody edited the labels, so that it is nobody's Job."""
    bundle: str = ""
    """The id of their bundle; empty for the Job of one trial."""

    @property
    def job_name(self) -> str:
        """The name of their Job."""
        first = self.trials[0]
        return bundle_name(first.run.name, self.bundle) if self.bundle else job_name(first)


_NOTHING: Final = Carried()


def read_carried(job: Mapping[str, Any]) -> Carried:
    """The trials of the Job, by its labels and annotations; none where these, or its name, are not those of a Job of
    ours.
    """
    carried = read_carried_by_pod(job)
    return carried if carried.trials and job["metadata"].get("name") == carried.job_name else _NOTHING


def read_carried_by_pod(thing: Mapping[str, Any]) -> Carried:
    """The trials of a Job or Pod, by its labels and annotations alone: a Pod has a name of its own. None where these
    are not ours.
    """
    metadata = thing.get("metadata")
    found = metadata.get("labels") if isinstance(metadata, Mapping) else None
    if not isinstance(metadata, Mapping) or not isinstance(found, Mapping):
        return _NOTHING
    run = RunRef(str(found.get(RUN, "")), str(found.get(RUN_UID, "")))
    if not (re.fullmatch(NAME_PATTERN, run.name) and _UID.fullmatch(run.uid)):
        return _NOTHING
    if BUNDLE in found:
        bundle, trials = str(found[BUNDLE]), read_trials(thing, run)
        ours = re.fullmatch(BUNDLE_PATTERN, bundle) and trials and bundle == bundle_id(trials)
        return Carried(trials, bundle) if ours else _NOTHING
    identity = _read_identity(run, str(found.get(TRIAL, "")), str(found.get(ATTEMPT, "")))
    return Carried((identity,)) if identity is not None else _NOTHING


def read_trials(thing: Mapping[str, Any], run: RunRef) -> tuple[Identity, ...]:
    """The trials that the annotation of a bundle's Job or Pod lists; none where it lists anything else."""
    annotations = thing.get("metadata", {}).get("annotations")
    text = annotations.get(TRIALS) if isinstance(annotations, Mapping) else None
    words = text.split(" ") if isinstance(text, str) else []
    read = [_read_identity(run, *word.partition("/")[::2]) for word in words[: MAX_BUNDLE + 1]]
    trials = tuple(one for one in read if one is not None)
    whole = len(trials) == len(words) and len({one.trial for one in trials}) == len(trials) <= MAX_BUNDLE
    return trials if whole else ()


def _read_identity(run: RunRef, trial: str, attempt: str) -> Identity | None:
    if not (re.fullmatch(TRIAL_PATTERN, trial) and _ATTEMPT.fullmatch(attempt)):
        return None
    return Identity(run, trial, int(attempt))
