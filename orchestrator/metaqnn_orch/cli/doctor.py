"""metaqnn-orch doctor PRESET_OR_FILE: is everything there that a search needs?"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import Any, Final, NamedTuple

import typer

from metaqnn_orch.assembly import LauncherName, job_form, open_cluster, store_of_pods
from metaqnn_orch.cli import options
from metaqnn_orch.cli.manifest import NO_UID, read_template
from metaqnn_orch.cli.output import Format, print_json, print_lines
from metaqnn_orch.cli.release import Release
from metaqnn_orch.cli.sources import load_settings
from metaqnn_orch.errors import KNOWN, ClusterError, LauncherError, ObjectMissing, StoreError, one_line, redacted
from metaqnn_orch.launchers.kubernetes.manifest import JobForm, manifest
from metaqnn_orch.launchers.kubernetes.rights import RIGHTS, Right
from metaqnn_orch.settings import KubernetesSettings, Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import DatasetRef, TrainingRequest, TrialSpec
from metaqnn_trainer.store.base import Store, honours_put_if_absent, lists_what_is_there, removed
from metaqnn_trainer.store.opening import open_store

LARGE_BYTES: Final = 8 << 20  # beyond what gateways take by default; the weights of a small net
MOST_SECONDS_APART: Final = 60.0  # S3 refuses requests whose clock is off by a quarter of an hour
OLDEST_SERVER: Final = (1, 26)  # podFailurePolicy works without being switched on

_ROLE_HINT: Final = "the orchestrator's Role needs it; the search cannot work without"


class Mark(StrEnum):
    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"  # cannot be seen with these credentials, which may be as it should be


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    mark: Mark
    detail: str = ""
    fix: str = ""


Judge = Callable[[Mapping[str, Any]], str | Finding]

_SIGNS: Final = {Mark.GOOD: "✓", Mark.BAD: "✗", Mark.UNKNOWN: "?"}


def doctor(
    preset_or_file: options.PresetOrFile,
    store: options.Store,
    launcher: options.Launcher = LauncherName.LOCAL,
    output: options.Output = Format.TABLE,
    assignments: options.Set = None,
    release: Release | None = None,
) -> None:
    """Check everything that a search needs.

    The store: reading, listing, writing, conditional writes, its clock. With --launcher kubernetes the cluster, too:
    credentials, every right that is needed, the namespace's rules and quotas, GPUs, service account, secret. Each gets
    a tick, or a cross and what to do about it, or a question mark for what these credentials cannot see. Leaves nothing
    behind. The exit code is 1 if there is a cross.
    """
    settings = load_settings(preset_or_file, os.environ, assignments or [], {}, release and release.layer()).settings
    findings: list[Finding] = []
    opened = open_store(store)
    findings += _store(opened)
    if launcher is LauncherName.KUBERNETES:
        findings += _kubernetes(opened, settings, release)
    if output is Format.JSON:
        print_json([finding._asdict() for finding in findings])
    else:
        print_lines(_line(finding) for finding in findings)
    if any(finding.mark is Mark.BAD for finding in findings):
        raise typer.Exit(1)


def _line(finding: Finding) -> str:
    fix = f"\n    {finding.fix}" if finding.fix and finding.mark is not Mark.GOOD else ""
    return f"{_SIGNS[finding.mark]} {finding.what}" + (f": {finding.detail}" if finding.detail else "") + fix


def _tried(what: str, look: Callable[[], str | Finding]) -> Finding:
    """What looking says, or how it failed."""
    try:
        seen = look()
    except KNOWN as error:
        return Finding(what, Mark.BAD, redacted(str(error)), getattr(error, "hint", ""))
    return seen if isinstance(seen, Finding) else Finding(what, Mark.GOOD, seen)


def _store(store: Store) -> Iterator[Finding]:
    away = False

    def listing() -> str:
        nonlocal away
        try:
            return f"{store.uri}, {sum(1 for _ in store.list(keys.datasets()))} datasets"
        except StoreError as error:
            away = error.transient
            raise

    yield _tried("store: can be listed", listing)
    if away:  # so would be everything else
        return
    yield _tried("store: what is missing is said to be missing", lambda: _missing(store))
    yield _tried("store: what is written is listed", lambda: _listed(store))
    yield _tried("store: takes large objects", lambda: _large(store))
    yield _tried("store: conditional writes", lambda: _conditional(store))
    ahead = getattr(store, "seconds_ahead", None)
    if ahead is not None:
        yield _tried("store: clock", lambda: _clock("store: clock", ahead()))


def _missing(store: Store) -> str | Finding:
    what, key = "store: what is missing is said to be missing", keys.probes() + "no-such-object"
    for look in (store.get, store.stat):
        with suppress(ObjectMissing):
            look(key)
            return Finding(what, Mark.BAD, f"{store.uri}/{key} is there", "is the address that of a store?")
    return ""


def _listed(store: Store) -> str | Finding:
    by_pages = getattr(store, "by_pages_of", None)
    if lists_what_is_there(store if by_pages is None else by_pages(1), keys.probes()):
        return ""
    fix = "its listings are not whole: take another store, or a newer release of it"
    return Finding("store: what is written is listed", Mark.BAD, "not all of it was", fix)


def _large(store: Store) -> str:
    key = keys.probes() + "large"
    with removed(store, key):
        store.put(key, bytes(LARGE_BYTES))
    return f"{LARGE_BYTES >> 20} MiB"


def _conditional(store: Store) -> str | Finding:
    if honours_put_if_absent(store, keys.probes()):
        return "the second of two was refused, as it must be"
    fix = "use another store, or --unsafe-single-writer if no second orchestrator will ever touch the run"
    return Finding("store: conditional writes", Mark.BAD, "ignored: the second of two was accepted", fix)


def _as_pods(store: Store, settings: KubernetesSettings) -> Iterator[Finding]:
    """The store once more, but spoken to as the trainers are told to. From here it may be out of reach, though."""
    what = "store: as Pods speak to it"
    told = store_of_pods(store, settings)
    if told is None:
        return

    def ask() -> str | Finding:
        try:
            conditional = _conditional(told)
        except StoreError as error:
            if error.status:
                raise
            seen = f"{error.hint}; if only Pods can reach it, `helm test` asks from inside the cluster"
            return Finding(what, Mark.UNKNOWN, f"no answer from here: {error}", seen)
        where = f"{settings.store_endpoint or 'AWS'}, region {settings.store_region or 'by default'}"
        return where if isinstance(conditional, str) else conditional._replace(what=what)

    yield _tried(what, ask)


def _clock(what: str, ahead: float) -> str | Finding:
    if abs(ahead) <= MOST_SECONDS_APART:
        return "agrees with ours"
    apart = f"{abs(ahead):.0f} seconds {'ahead of' if ahead > 0 else 'behind'} ours"
    return Finding(what, Mark.BAD, apart, "set the clock of this machine, or of that one: NTP does it")


def _kubernetes(store: Store, settings: Settings, release: Release | None) -> Iterator[Finding]:
    kubernetes = settings.execution.kubernetes
    form: JobForm | None = None

    def the_form() -> str:
        nonlocal form
        form = job_form(store, kubernetes, read_template(settings, release))
        return str(kubernetes.image)

    yield _tried("settings: make a Job", the_form)
    yield from _as_pods(store, kubernetes)
    try:
        cluster = open_cluster(kubernetes)
    except LauncherError as error:
        yield Finding("cluster: credentials", Mark.BAD, str(error), error.hint)
        return
    answers = _tried("cluster: answers", lambda: _version(cluster.version(), cluster.server))
    yield answers
    if answers.mark is Mark.BAD:
        return
    yield _tried("cluster: clock", lambda: _clock("cluster: clock", cluster.seconds_ahead()))
    for right in RIGHTS:
        what = f"right: {right.verb} {right.full} in {cluster.namespace}"
        yield _tried(what, partial(_right, cluster, what, right))
    if form is not None:
        body = manifest(_example(), 1, NO_UID, form)
        yield from _rehearsed(cluster, body)
        if queue := body["metadata"]["labels"].get("kueue.x-k8s.io/queue-name"):
            what = f"queue {queue}"
            yield _seen(what, lambda: cluster.look_up_queue(queue), lambda found: _queue(what, found))
    yield from _surroundings(cluster, kubernetes)


def _rehearsed(cluster: Any, job: Mapping[str, Any]) -> Iterator[Finding]:
    """A Job's Pods are judged only when they are made: by ranges of limits, for one."""
    from metaqnn_orch.launchers.kubernetes.cluster import Resource

    yield _tried("namespace: takes our Jobs", lambda: _judged(cluster.rehearse(Resource.JOBS, job)))
    what = "namespace: takes their Pods"
    template = job["spec"]["template"]
    metadata = {**template["metadata"], "name": job["metadata"]["name"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}

    def judge() -> str | Finding:
        if not cluster.may("create", "pods"):
            return Finding(what, Mark.UNKNOWN, "these credentials may not make any")
        cluster.rehearse(Resource.PODS, pod)
        return ""

    yield _tried(what, judge)


def _right(cluster: Any, what: str, right: Right) -> str | Finding:
    allowed = cluster.may(right.verb, right.resource, right.group, right.subresource)
    return "" if allowed else Finding(what, Mark.BAD, "missing", _ROLE_HINT)


def _version(version: str, server: str) -> str | Finding:
    match = re.match(r"v(\d+)\.(\d+)", version)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        return Finding("cluster: answers", Mark.BAD, f"{server} is {version or 'of no version'}", f"{oldest} is needed")
    return f"{server}, {version}"


def _judged(warnings: Sequence[str]) -> str | Finding:
    unsafe = [warning for warning in warnings if "PodSecurity" in warning]
    if unsafe:
        fix = "the namespace's Pod security refuses the Pods; the Job template perhaps asks for too much"
        return Finding("namespace: takes our Jobs", Mark.BAD, unsafe[0], fix)
    return "; ".join(warnings[:3])


def _example() -> TrainingRequest:
    spec = TrialSpec(net="[SM(2)]", dataset=DatasetRef(name="doctor", digest="0" * 16), image_size=8)
    return TrainingRequest(run="doctor", trial=spec.trial_id(), spec=spec)


def _surroundings(cluster: Any, settings: KubernetesSettings) -> Iterator[Finding]:
    from metaqnn_orch.launchers.kubernetes.cluster import Lookup

    def seen(what: str, kind: Lookup, name: tuple[str, ...], judge: Judge) -> Finding:
        return _seen(what, lambda: cluster.look_up(kind, *name), judge)

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


def _seen(what: str, look: Callable[[], Mapping[str, Any]], judge: Judge) -> Finding:
    """Not being allowed to look is no fault: an orchestrator needs no more than its rights."""
    try:
        found = look()
    except ClusterError as error:
        if error.status == 403:
            return Finding(what, Mark.UNKNOWN, "these credentials may not look")
        return Finding(what, Mark.BAD, str(error), error.hint)
    return _tried(what, lambda: judge(found))


def _queue(what: str, found: Mapping[str, Any]) -> str | Finding:
    for condition in (found.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Active" and condition.get("status") == "False":
            said = one_line(str(condition.get("message", "")))
            return Finding(what, Mark.BAD, f"not active: {said}", "its ClusterQueue is the administrator's to mend")
    return ""


def _secret(what: str, settings: KubernetesSettings, found: Mapping[str, Any]) -> str | Finding:
    keys = settings.store_secret_keys
    missing = {keys.access_key_id, keys.secret_access_key} - set(found.get("data") or {})
    if missing:
        return Finding(what, Mark.BAD, f"has no {' and no '.join(sorted(missing))}", "the trainers read these keys")
    return ""


def _quotas(found: Mapping[str, Any]) -> str | Finding:
    from metaqnn_orch.launchers.kubernetes.cluster import parse_quantity

    used_up = [
        f"{quota['metadata']['name']}: {resource} {status.get('used', {}).get(resource)} of {hard}"
        for quota in found.get("items") or ()
        for status in (quota.get("status") or {},)
        for resource, hard in (status.get("hard") or {}).items()
        if parse_quantity(status.get("used", {}).get(resource, "0")) >= parse_quantity(hard)
    ]
    if used_up:
        return Finding("namespace: quotas", Mark.BAD, "; ".join(used_up[:5]), "trials wait until there is room")
    return f"{len(found.get('items') or ())}, none used up"


def _gpus(what: str, settings: KubernetesSettings, found: Mapping[str, Any]) -> str | Finding:
    counts = [
        int(count)
        for node in found.get("items") or ()
        if (count := str((node.get("status", {}).get("allocatable") or {}).get(settings.gpu_resource, ""))).isdecimal()
    ]
    if max(counts, default=0) < settings.gpus:
        fix = "is the device plugin installed? execution.kubernetes.gpu_resource says what the cluster calls a GPU"
        return Finding(what, Mark.BAD, f"no node has {settings.gpus}", f"{fix}; gpus=0 trains on processors")
    return f"{sum(counts)} on {len(counts)} nodes"
