"""A dataset made by a Job with the trainer's image: for machines, and images, that have no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metaqnn_orch.application import datasets
from metaqnn_orch.application.assembly import job_form, open_cluster
from metaqnn_orch.application.listener import Say
from metaqnn_orch.application.trainer_call import TrainerAnswer
from metaqnn_orch.errors import LauncherError, StoreError, one_line
from metaqnn_orch.launchers.kubernetes.manifest import dataset_manifest
from metaqnn_orch.launchers.kubernetes.template import CONTAINER
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import DatasetRef
from metaqnn_trainer.store.base import Store


def push_in_cluster(
    store: Store,
    name: str,
    options: Sequence[str],
    settings: KubernetesSettings,
    template: Mapping[str, Any],
    say: Say,
) -> DatasetRef:
    """Have the cluster make the dataset object, and wait for it. A second call while it is made waits for the same Job.

    Raises:
        BadInput: settings that make no Job.
        NotFound, StoreError, LauncherError: as datasets.push says.
        ClusterError: the API refuses.
    """
    keys.check_name("dataset", name)
    job = dataset_manifest(name, options, job_form(store, settings, template))
    cluster = open_cluster(settings)
    from metaqnn_orch.launchers.kubernetes.runner import create, wait

    job_name, before = job["metadata"]["name"], _there(store, name)
    done = "is made" if create(cluster, job) else "is being made already"
    say(f"dataset {name} {done} in namespace {cluster.namespace}, by job {job_name}")
    ended = wait(cluster, job_name, CONTAINER, say)
    if ended.code is None:
        new = _there(store, name) - before
        if len(new) == 1:  # another who waited for the Job saw its end, and cleared it up
            return new.pop()
        raise LauncherError(f"job {job_name} was ended before the dataset was made: {ended.detail}", "try it again")
    words = one_line((ended.log.splitlines() or [""])[-1].removeprefix("metaqnn_trainer: "))
    return datasets.made(name, TrainerAnswer(ended.code, ended.log.encode(), words))


def _there(store: Store, name: str) -> set[DatasetRef]:
    """The datasets of this name; none where this machine cannot see into the store, which it need not."""
    try:
        return {ref for ref, _ in datasets.all_refs(store, name)}
    except StoreError:
        return set()
