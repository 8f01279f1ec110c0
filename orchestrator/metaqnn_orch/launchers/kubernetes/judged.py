"""Has the server judge a Job before the first one is made: it knows its own schema, and the fields that it lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from metaqnn_orch.errors import BadInput, ClusterError
from metaqnn_orch.launchers.kubernetes.job_schema import KEYED, identifier
from metaqnn_orch.launchers.kubernetes.manifest import JobForm, bundle_manifest, manifest
from metaqnn_orch.launchers.kubernetes.names import Identity, RunRef
from metaqnn_orch.launchers.kubernetes.refusals import by_policy
from metaqnn_trainer.contract.messages import DatasetRef, TrainingRequest, TrialSpec

if TYPE_CHECKING:  # the client takes half a second to import
    from metaqnn_orch.launchers.kubernetes.cluster import Cluster

_UID: Final = "0" * 32
_UNKNOWN: Final = re.compile(r'unknown field "([^"]+)"')
_SPARED: Final = "spec.podReplacementPolicy"  # a server without it drops it, and nothing is lost but speed
_OF_SCHEMA: Final = (400, 422)
_LEAVE_OUT: Final = "leave it out, or use a server that knows it and has it switched on"
_DRY: Final = "dry run"  # a webhook that does not take part in dry runs says so; it does in the real creation


def example(form: JobForm, trials: int) -> dict[str, Any]:
    """A Job of so many trials, as a search would create it."""
    spec = TrialSpec(net="[SM(2)]", dataset=DatasetRef(name="doctor", digest="0" * 16), image_size=8)
    if trials == 1:
        return manifest(TrainingRequest(run="doctor", trial=spec.trial_id(), spec=spec), 1, _UID, form)
    return bundle_manifest([Identity(RunRef("doctor", _UID), f"{one:012x}", 1) for one in range(trials)], form)


def judged(cluster: Cluster, form: JobForm, job: dict[str, Any]) -> tuple[str, ...]:
    """Have the server judge the Job in a dry run. Returns its warnings.

    Raises:
        BadInput: the server's schema refuses it, in its own words; or the server would leave a field out.
        ClusterError: the server refuses it for another reason, as a quota or a right, or does not answer.
    """
    from metaqnn_orch.launchers.kubernetes.cluster import Resource

    try:
        made, warnings = cluster.dry_run(Resource.JOBS, job)
    except ClusterError as error:
        words = str(error).partition(": ")[2]
        if error.status not in _OF_SCHEMA or _DRY in words or by_policy(words):
            raise  # what a policy denies is told while the search waits
        raise BadInput(
            f"{_cause(form)}: {error}", hint="change it; metaqnn-orch doctor asks the server again"
        ) from None
    for warning in warnings:
        if (match := _UNKNOWN.search(warning)) and match[1] != _SPARED:
            raise BadInput(f"{_cause(form)}: the server would drop a field: {warning}", hint=_LEAVE_OUT)
    for place in dropped(job["spec"], made.get("spec", {}), "spec"):
        if place != _SPARED:
            raise BadInput(f"{_cause(form)}: the server would drop a field without a word: {place}", hint=_LEAVE_OUT)
    return warnings


def dropped(sent: Any, kept: Any, place: str) -> Iterator[str]:
    """The places of fields that are not in what the server would store. It says nothing where it knows a field whose
    feature is switched off.

    What is empty may be left out, and of lists whose items have no keys only those of the same length are compared:
    admission may add items of its own.
    """
    if isinstance(sent, Mapping) and isinstance(kept, Mapping):
        for key, value in sent.items():
            if key in kept:
                yield from dropped(value, kept[key], f"{place}.{key}")
            elif value:
                yield f"{place}.{key}"
    elif isinstance(sent, list) and isinstance(kept, list):
        if keys := KEYED.get(place.rpartition(".")[2]):
            theirs = {identifier(item, keys): item for item in kept}
            pairs = [(name, item, theirs[name]) for item in sent if (name := identifier(item, keys)) in theirs]
        else:
            same = len(sent) == len(kept)
            pairs = [(str(at), *both) for at, both in enumerate(zip(sent, kept, strict=True))] if same else []
        for name, ours, its in pairs:
            yield from dropped(ours, its, f"{place}[{name}]")


def refuse_unacceptable(cluster: Cluster, form: JobForm, trials: int) -> None:
    """Check that the server's schema has such Jobs. What quotas, rights and rules say may change while a search waits,
    and is told by the launcher.

    Raises:
        BadInput: as `judged` says.
    """
    try:
        judged(cluster, form, example(form, trials))
    except ClusterError:
        return


def _cause(form: JobForm) -> str:
    return form.template_name if form.template else "execution.kubernetes"
