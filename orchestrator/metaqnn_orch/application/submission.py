"""A search that itself runs in the cluster: its Job, with everything that this machine knows of its settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

import yaml

from metaqnn_orch.application.assembly import job_form, open_cluster
from metaqnn_orch.application.equipment import prove_elsewhere
from metaqnn_orch.application.job_template import overruled, read_template
from metaqnn_orch.application.listener import Say, Tone
from metaqnn_orch.application.opening import open_store
from metaqnn_orch.application.release import ORCHESTRATOR, Release
from metaqnn_orch.control.holder import read_holder
from metaqnn_orch.errors import BadInput, StoreError, redacted
from metaqnn_orch.launchers.kubernetes import errand
from metaqnn_orch.launchers.kubernetes.manifest import JobForm
from metaqnn_orch.launchers.kubernetes.restricted import each_container
from metaqnn_orch.launchers.kubernetes.template import pod_of
from metaqnn_orch.next_command import next_command
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.values import flatten
from metaqnn_trainer.store.base import Store

_OF_A_SECRET: Final = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|(API|ACCESS|PRIVATE)_?KEY)$", re.IGNORECASE
)
"""Matches the name of a variable that may hold a secret."""

_LOST_WITH_THE_POD: Final = {"emptyDir", "ephemeral"}
_NOT_WRITABLE: Final = {"configMap", "downwardAPI", "projected", "secret"}


class Submitted(NamedTuple):
    """The Job that runs a search in the cluster."""

    job: str
    namespace: str
    is_new: bool
    """Whether the Job was created now; otherwise it was there, and nothing was changed."""


def submit(
    run: str,
    store: str,
    settings: Settings,
    values: dict[str, Any],
    release: Release,
    say: Say,
    *,
    unsafe_single_writer: bool = False,
) -> Submitted:
    """Create the Job that searches in a store, by its URI, unless one is at work. `settings` are those in force here,
    and `values` the part of them that comes from this machine: the Pod finds the release's part itself.

    Raises:
        BadInput: no Job can be made of it, or a secret would stand in it.
        ClusterError: the API refuses.
    """
    template = read_template(settings, release)
    opened = open_store(store, say)
    form = job_form(opened, settings.execution.kubernetes, template)  # errors in the settings are found here
    prove_elsewhere(settings)
    for line in overruled(settings, store, template) if template else ():
        say(line, Tone.CAUTION)
    _refuse_secrets(values, release)
    if settings.execution.kubernetes.template:
        _refuse_secrets_of(form)
    files = _files(values, form.layer)
    arguments = ["start", f"{errand.FILES}/{errand.SETTINGS}", "--run", run]
    arguments += ["--store", store] if store != release.data.get("store") else []
    arguments += ["--unsafe-single-writer"] if unsafe_single_writer else []
    place = release.place(settings.execution.kubernetes)
    job = errand.search_job(release.document(ORCHESTRATOR), place, run, store, arguments, files)
    check_folder(settings.tracking.tensorboard, pod_of(job), store)
    cluster = open_cluster(settings.execution.kubernetes.model_copy(update=_home(release)))
    from metaqnn_orch.launchers.kubernetes.runner import create, left_alone

    orphans = left_alone(cluster, job)
    if orphans and searches(opened, run, orphans):
        name = errand.latest(orphans)["metadata"]["name"]
        say(f"pod {name} searches for run {run}, though its Job was deleted; to end it: cancel {run}", Tone.CAUTION)
        return Submitted(job["metadata"]["name"], cluster.namespace, is_new=False)
    is_new = create(cluster, job, is_at_work=lambda pods: searches(opened, run, pods))
    return Submitted(job["metadata"]["name"], cluster.namespace, is_new)


def _refuse_secrets(values: Mapping[str, Any], release: Release) -> None:
    """Check that no setting holds a secret.

    Raises:
        BadInput: one does; whoever may look at Pods would see it.
    """
    for key, value in flatten(values):
        if isinstance(value, str) and redacted(value) != value:
            by_name = "a URL without user and password, and MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            known = by_name if key == "tracking.mlflow" else "what it holds as a variable of a Secret"
            raise BadInput(
                f"{key} is {redacted(value)}: it contains a secret, which would be visible in the Pod's annotations",
                hint=f"set it in {release.orchestrator_env} instead: {known}",
            )


def check_folder(folder: str | None, pod: Mapping[str, Any], store: str) -> None:
    """Check that TensorBoard's folder lies on a volume of the orchestrator that outlives its Pod.

    Raises:
        BadInput: it does not; the curves would be gone with the Pod, or could never be written.
    """
    if folder is None:
        return
    place = PurePosixPath("/tmp", folder)  # its working folder and home
    (own,) = [container for container in pod["containers"] if container["name"] == errand.ORCHESTRATOR]
    volumes = {volume["name"]: volume.keys() for volume in pod.get("volumes") or ()}
    mounts = [mount for mount in own.get("volumeMounts") or () if place.is_relative_to(mount["mountPath"])]
    nearest = max(mounts, key=lambda mount: len(PurePosixPath(mount["mountPath"]).parts), default=None)
    if (
        nearest is None
        or nearest.get("readOnly")
        or volumes.get(nearest["name"], set()) & (_LOST_WITH_THE_POD | _NOT_WRITABLE)
    ):
        copies = next_command("track RUN", store, "--tensorboard DIR")
        raise BadInput(
            f"tracking.tensorboard is {folder}: no folder of the search's Pod that outlives it",
            hint=f"leave it out, and copy the run to a folder of this machine, now or later: {copies}",
        )


def _refuse_secrets_of(form: JobForm) -> None:
    """Check that the Job template holds no secret.

    Raises:
        BadInput: it holds one; the template becomes an annotation of the Job.
    """
    for place, container in each_container(pod_of(form.layer)):
        named = [(entry["name"], entry.get("value", "")) for entry in container.get("env", ())]
        texts = [(key, text) for key in ("command", "args") for text in container.get(key, ())]
        for name, text in [*named, *texts]:
            # A variable may also say in which file the secret is, which is none.
            if redacted(text) != text or (text and _OF_A_SECRET.search(name) and not text.startswith("/")):
                raise BadInput(
                    f"{form.template_name}: {place}: {name}: it contains a secret, which would be visible in the "
                    "Pod's annotations",
                    hint="take it from a Secret of the cluster: valueFrom: {secretKeyRef: {name: NAME, key: KEY}}",
                )


def searches(store: Store, run: str, pods: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the latest of these Pods works on the run, or is about to. A Pod that has ended does not, nor one that
    lost the run and will end in a moment: the cluster then says whether there will be another.
    """
    if not pods or errand.exit_code(pods) is not None:
        return not pods
    pod = errand.latest(pods)
    if (pod.get("status") or {}).get("phase") != "Running":
        return True
    try:
        holder = read_holder(store, run)
    except StoreError:  # this machine need not have the store's keys
        return True
    return holder is None or (holder.host == pod["metadata"]["name"] and not holder.released)


def _home(release: Release) -> dict[str, str | None]:
    return {"namespace": release.namespace, "context": release.context}


def _files(values: dict[str, Any], template: Mapping[str, Any]) -> dict[str, str]:
    """The files that the Pod needs from this machine: the settings, without those of how this machine finds the
    cluster; and the fields in force of a Job template that is a file here. The Pod finds the release's settings
    itself.
    """
    kubernetes = values.get("execution", {}).get("kubernetes", {})
    for key in ("context", "namespace"):
        kubernetes.pop(key, None)
    files = {}
    if kubernetes.get("template"):
        files[errand.JOB_TEMPLATE] = yaml.safe_dump(dict(template), sort_keys=False)
        kubernetes["template"] = f"{errand.FILES}/{errand.JOB_TEMPLATE}"
    return {errand.SETTINGS: yaml.safe_dump(values, sort_keys=False), **files}
