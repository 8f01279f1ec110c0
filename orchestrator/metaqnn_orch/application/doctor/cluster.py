"""doctor's part about the cluster: whether everything that a search does can be done in it, and is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from metaqnn_orch.application.assembly import job_form, open_cluster
from metaqnn_orch.application.doctor.diagnosis import Diagnosis, Mark, clock, tried
from metaqnn_orch.application.doctor.store import examine_as_pods
from metaqnn_orch.application.job_template import read_template
from metaqnn_orch.application.preview import NO_UID
from metaqnn_orch.application.release import Release
from metaqnn_orch.errors import ClusterError, LauncherError, one_line
from metaqnn_orch.launchers.kubernetes.manifest import JobForm, bundle_manifest, manifest
from metaqnn_orch.launchers.kubernetes.names import TRAINERS, Identity, RunRef
from metaqnn_orch.launchers.kubernetes.quantities import amount
from metaqnn_orch.launchers.kubernetes.rights import RIGHTS, Right
from metaqnn_orch.launchers.kubernetes.status import without_device
from metaqnn_orch.settings.model import KubernetesSettings, Settings
from metaqnn_trainer.contract.messages import DatasetRef, TrainingRequest, TrialSpec
from metaqnn_trainer.store.base import Store

OLDEST_SERVER: Final = (1, 26)  # podFailurePolicy works without being switched on

MOST_NAMED: Final = 5  # nodes

_ROLE_HINT: Final = "add this permission to the orchestrator's Role; a search needs it"

Judge = Callable[[Mapping[str, Any]], str | Diagnosis]


def examine_cluster(store: Store, settings: Settings, release: Release | None) -> Iterator[Diagnosis]:
    kubernetes = settings.execution.kubernetes
    form: JobForm | None = None

    def the_form() -> str:
        nonlocal form
        form = job_form(store, kubernetes, read_template(settings, release))
        return "; ".join(map(str, (kubernetes.image, *form.overruled)))

    yield tried("settings: a Job can be made from them", the_form)
    yield from examine_as_pods(store, kubernetes, release.asked_inside if release else "a search in a Pod asks")
    try:
        cluster = open_cluster(kubernetes)
    except LauncherError as error:
        yield Diagnosis("cluster: credentials", Mark.BAD, str(error), error.hint)
        return
    answers = tried("cluster: answers", lambda: _version(cluster.version(), cluster.server))
    yield answers
    if answers.mark is Mark.BAD:
        return
    yield tried("cluster: clock", lambda: clock("cluster: clock", cluster.seconds_ahead()))
    rights = (*RIGHTS, Right("configmaps", "get", name=release.config_map)) if release else RIGHTS
    for right in rights:
        what = f"right: {right.verb} {right.full}{right.name and f' {right.name}'} in {cluster.namespace}"
        yield tried(what, partial(_right, cluster, what, right))
    if form is not None:
        body = _job(form, settings.execution.together)
        yield from _dry_run(cluster, body)
        if queue := body["metadata"]["labels"].get("kueue.x-k8s.io/queue-name"):
            what = f"queue {queue}"
            yield _seen(what, lambda: cluster.look_up_queue(queue), lambda found: _queue(what, found))
    yield from _surroundings(cluster, kubernetes)


def _dry_run(cluster: Any, job: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """Judge a Job, and its Pods apart from it: the cluster judges Pods only when they are made, by limit ranges for
    example.
    """
    from metaqnn_orch.launchers.kubernetes.cluster import Resource

    yield tried("namespace: accepts our Jobs", lambda: _judged(cluster.dry_run(Resource.JOBS, job)))
    what = "namespace: accepts their Pods"
    template = job["spec"]["template"]
    metadata = {**template["metadata"], "name": job["metadata"]["name"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}

    def judge() -> str | Diagnosis:
        if not cluster.may("create", "pods"):
            return Diagnosis(what, Mark.UNKNOWN, "these credentials may not make any")
        cluster.dry_run(Resource.PODS, pod)
        return ""

    yield tried(what, judge)


def _right(cluster: Any, what: str, right: Right) -> str | Diagnosis:
    allowed = cluster.may(right.verb, right.resource, right.group, right.subresource, right.name)
    return "" if allowed else Diagnosis(what, Mark.BAD, "missing", _ROLE_HINT)


def _version(version: str, server: str) -> str | Diagnosis:
    match = re.match(r"v(\d+)\.(\d+)", version)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        return Diagnosis(
            "cluster: answers", Mark.BAD, f"{server} is {version or 'of an unknown version'}", f"{oldest} is needed"
        )
    return f"{server}, {version}"


def _judged(warnings: Sequence[str]) -> str | Diagnosis:
    unsafe = [warning for warning in warnings if "PodSecurity" in warning]
    if unsafe:
        fix = "the namespace's Pod security refuses the Pods; perhaps the Job template asks for too much"
        return Diagnosis("namespace: accepts our Jobs", Mark.BAD, unsafe[0], fix)
    return "; ".join(warnings[:3])


def _job(form: JobForm, trials: int) -> dict[str, Any]:
    """A Job of so many trials, as a search would create it."""
    spec = TrialSpec(net="[SM(2)]", dataset=DatasetRef(name="doctor", digest="0" * 16), image_size=8)
    if trials == 1:
        return manifest(TrainingRequest(run="doctor", trial=spec.trial_id(), spec=spec), 1, NO_UID, form)
    return bundle_manifest([Identity(RunRef("doctor", NO_UID), f"{one:012x}", 1) for one in range(trials)], form)


def _surroundings(cluster: Any, settings: KubernetesSettings) -> Iterator[Diagnosis]:
    from metaqnn_orch.launchers.kubernetes.cluster import Lookup, Resource

    def seen(what: str, kind: Lookup, name: tuple[str, ...], judge: Judge) -> Diagnosis:
        missing = f"make it in namespace {cluster.namespace}, or name another in execution.kubernetes" if name else ""
        return _seen(what, lambda: cluster.look_up(kind, *name), judge, missing)

    if settings.service_account:
        what = f"service account {settings.service_account}"
        yield seen(what, Lookup.SERVICE_ACCOUNT, (settings.service_account,), lambda found: "")
    if settings.store_secret:
        what = f"secret {settings.store_secret}"
        yield seen(what, Lookup.SECRET, (settings.store_secret,), lambda found: _secret(what, settings, found))
    yield seen("namespace: quotas", Lookup.QUOTAS, (), _quotas)
    if settings.gpus:
        what = f"nodes: {settings.gpu_resource}"
        yield seen(what, Lookup.NODES, (), lambda found: _gpus(what, settings, found))
        what = "nodes: GPUs that trials did not find"
        yield _seen(what, lambda: cluster.list(Resource.PODS, TRAINERS).items, partial(_not_found, what))


def _seen(what: str, look: Callable[[], Any], judge: Callable[[Any], str | Diagnosis], missing: str = "") -> Diagnosis:
    """A diagnosis from a look that may be forbidden. That is no fault: an orchestrator needs no more than its rights.
    `missing` is what to do about an object that does not exist.
    """
    try:
        found = look()
    except ClusterError as error:
        if error.status == 403:
            return Diagnosis(what, Mark.UNKNOWN, "these credentials may not look")
        return Diagnosis(what, Mark.BAD, str(error), (error.status == 404 and missing) or error.hint)
    return tried(what, lambda: judge(found))


def _queue(what: str, found: Mapping[str, Any]) -> str | Diagnosis:
    for condition in (found.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Active" and condition.get("status") == "False":
            said = one_line(str(condition.get("message", "")))
            return Diagnosis(what, Mark.BAD, f"not active: {said}", "ask the administrator to repair its ClusterQueue")
    return ""


def _secret(what: str, settings: KubernetesSettings, found: Mapping[str, Any]) -> str | Diagnosis:
    keys = settings.store_secret_keys
    missing = {keys.access_key_id, keys.secret_access_key} - set(found.get("data") or {})
    if missing:
        return Diagnosis(
            what, Mark.BAD, f"has no {' and no '.join(sorted(missing))}", "the trainers need these entries"
        )
    return ""


def _quotas(found: Mapping[str, Any]) -> str | Diagnosis:
    used_up = [
        f"{quota['metadata']['name']}: {resource} {status.get('used', {}).get(resource)} of {hard}"
        for quota in found.get("items") or ()
        for status in (quota.get("status") or {},)
        for resource, hard in (status.get("hard") or {}).items()
        if amount(status.get("used", {}).get(resource, "0")) >= amount(hard)
    ]
    if used_up:
        return Diagnosis("namespace: quotas", Mark.BAD, "; ".join(used_up[:5]), "trials wait until there is room")
    return f"{len(found.get('items') or ())}, none exhausted"


def _gpus(what: str, settings: KubernetesSettings, found: Mapping[str, Any]) -> str | Diagnosis:
    counts = [
        int(count)
        for node in found.get("items") or ()
        if (count := str((node.get("status", {}).get("allocatable") or {}).get(settings.gpu_resource, ""))).isdecimal()
    ]
    if max(counts, default=0) < settings.gpus:
        fix = "is the device plugin installed? Is execution.kubernetes.gpu_resource the cluster's name for a GPU?"
        return Diagnosis(what, Mark.BAD, f"no node has {settings.gpus} of them", f"{fix}; gpus=0 trains on CPUs")
    return f"{sum(counts)} on {len(counts)} nodes"


def _not_found(what: str, pods: Sequence[Mapping[str, Any]]) -> str | Diagnosis:
    """A diagnosis about nodes whose GPU a trainer did not find, by the Pods that still exist."""
    nodes = without_device(pods)
    if nodes:
        some = sorted(nodes)[:MOST_NAMED]
        fix = (
            f"kubectl cordon {' '.join(some)}, then check the driver and the device plugin there. When they are "
            "repaired, `metaqnn-orch gc RUN --launcher kubernetes --delete` deletes the Jobs that show this"
        )
        more = f"; and {len(nodes) - len(some)} nodes more" if len(nodes) > len(some) else ""
        return Diagnosis(what, Mark.BAD, "; ".join(f"node {node}, {nodes[node]}" for node in some) + more, fix)
    return "none"
