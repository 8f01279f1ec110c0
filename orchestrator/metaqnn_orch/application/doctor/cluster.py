"""doctor's part about the cluster: whether everything that a search does can be done in it, and is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from metaqnn_orch.application.assembly import job_form, open_cluster
from metaqnn_orch.application.doctor.claims import examine_claims
from metaqnn_orch.application.doctor.diagnosis import Diagnosis, Mark, clock, looked_up, tried
from metaqnn_orch.application.doctor.queue import examine_queue
from metaqnn_orch.application.doctor.store import examine_as_pods
from metaqnn_orch.application.job_template import read_template
from metaqnn_orch.application.release import Release
from metaqnn_orch.errors import LauncherError
from metaqnn_orch.launchers.kubernetes.judged import example, judged
from metaqnn_orch.launchers.kubernetes.manifest import JobForm
from metaqnn_orch.launchers.kubernetes.names import TRAINERS
from metaqnn_orch.launchers.kubernetes.quantities import amount
from metaqnn_orch.launchers.kubernetes.rights import RIGHTS, Right
from metaqnn_orch.launchers.kubernetes.status import without_device
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.text import amount as in_words
from metaqnn_trainer.store.base import Store

OLDEST_SERVER: Final = (1, 26)  # podFailurePolicy works without being switched on

MOST_NAMED: Final = 5  # nodes
REPLICAS: Final = "nvidia.com/gpu.replicas"  # label of a node: into how many resources each GPU is divided

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
    version = ""

    def answered() -> str | Diagnosis:
        nonlocal version
        version = cluster.version()
        return _version(version, cluster.server)

    answers = tried("cluster: answers", answered)
    yield answers
    if answers.mark is Mark.BAD:
        return
    yield tried("cluster: clock", lambda: clock("cluster: clock", cluster.seconds_ahead()))
    rights = (*RIGHTS, Right("configmaps", "get", name=release.config_map)) if release else RIGHTS
    for right in rights:
        what = f"right: {right.verb} {right.full}{right.name and f' {right.name}'} in {cluster.namespace}"
        yield tried(what, partial(_right, cluster, what, right))
    if form is not None:
        body = example(form, settings.execution.together)
        yield from _dry_run(cluster, form, body)
        yield from examine_queue(cluster, body)
    yield from examine_claims(cluster, kubernetes, _numbers(version))
    yield from _surroundings(cluster, kubernetes)


def _dry_run(cluster: Any, form: JobForm, job: dict[str, Any]) -> Iterator[Diagnosis]:
    """Judge a Job, and its Pods apart from it: the cluster judges Pods only when they are made, by limit ranges for
    example.
    """
    from metaqnn_orch.launchers.kubernetes.cluster import Resource

    yield tried("namespace: accepts our Jobs", lambda: _judged(judged(cluster, form, job)))
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
    if _numbers(version) < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        return Diagnosis(
            "cluster: answers", Mark.BAD, f"{server} is {version or 'of an unknown version'}", f"{oldest} is needed"
        )
    return f"{server}, {version}"


def _numbers(version: str) -> tuple[int, int]:
    """The numbers of a server's version; of one that cannot be read, 0 and 0."""
    match = re.match(r"v(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _judged(warnings: Sequence[str]) -> str | Diagnosis:
    unsafe = [warning for warning in warnings if "PodSecurity" in warning]
    if unsafe:
        fix = "the namespace's Pod security refuses the Pods; perhaps the Job template asks for too much"
        return Diagnosis("namespace: accepts our Jobs", Mark.BAD, unsafe[0], fix)
    return "; ".join(warnings[:3])


def _surroundings(cluster: Any, settings: KubernetesSettings) -> Iterator[Diagnosis]:
    from metaqnn_orch.launchers.kubernetes.cluster import Lookup, Resource

    def seen(what: str, kind: Lookup, name: tuple[str, ...], judge: Judge) -> Diagnosis:
        missing = f"make it in namespace {cluster.namespace}, or name another in execution.kubernetes" if name else ""
        return looked_up(what, lambda: cluster.look_up(kind, *name), judge, missing)

    if settings.service_account:
        what = f"service account {settings.service_account}"
        yield seen(what, Lookup.SERVICE_ACCOUNT, (settings.service_account,), lambda found: "")
    if settings.store_secret:
        what = f"secret {settings.store_secret}"
        yield seen(what, Lookup.SECRET, (settings.store_secret,), lambda found: _secret(what, settings, found))
    yield seen("namespace: quotas", Lookup.QUOTAS, (), _quotas)
    if settings.gpus and not settings.resource_claims:
        what = f"nodes: {settings.gpu_resource}"
        yield seen(what, Lookup.NODES, (), lambda found: _gpus(what, settings, found))
    if settings.devices:
        what = "nodes: GPUs that trials did not find"
        yield looked_up(what, lambda: cluster.list(Resource.PODS, TRAINERS).items, partial(_not_found, what))


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
    return f"{sum(counts)} on {in_words(len(counts), 'node')}" + _shared(settings, found.get("items") or ())


def _shared(settings: KubernetesSettings, nodes: Sequence[Mapping[str, Any]]) -> str:
    """What the budget should know about GPUs that several Pods share, as NVIDIA's feature discovery labels the nodes;
    empty where nothing is shared, or the settings say how.
    """
    if settings.gpu_share is not None or settings.cards != settings.gpus:
        return ""
    labels = [
        (node.get("metadata") or {}).get("labels") or {}
        for node in nodes
        if settings.gpu_resource in ((node.get("status") or {}).get("allocatable") or {})
    ]
    replicas = {int(text) for one in labels if (text := str(one.get(REPLICAS, "1"))).isdecimal()}
    most = max(replicas, default=1)
    if most > 1:
        return f"; {most} Pods share a GPU: execution.kubernetes.gpu_share={1 / most:.3g} counts it so in the budget"
    if settings.gpu_resource.endswith(".shared"):
        return "; Pods share a GPU: execution.kubernetes.gpu_share says how much of it the budget counts"
    return ""


def _not_found(what: str, pods: Sequence[Mapping[str, Any]]) -> str | Diagnosis:
    """A diagnosis about nodes whose GPU a trainer did not find, by the Pods that still exist."""
    nodes = without_device(pods)
    if nodes:
        some = sorted(nodes)[:MOST_NAMED]
        fix = (
            f"kubectl cordon {' '.join(some)}, then check the driver and the device plugin there. When they are "
            "repaired, `metaqnn-orch gc RUN --launcher kubernetes --delete` deletes the Jobs that show this"
        )
        more = f"; and {in_words(len(nodes) - len(some), 'more node')}" if len(nodes) > len(some) else ""
        return Diagnosis(what, Mark.BAD, "; ".join(f"node {node}, {nodes[node]}" for node in some) + more, fix)
    return "none"
