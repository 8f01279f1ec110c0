"""Builds launchers and stores from settings: the one place that knows every kind of launcher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from metaqnn_orch.application.equipment import prove_elsewhere, prove_equipment
from metaqnn_orch.application.opening import plain
from metaqnn_orch.application.rehearsal import Rehearsal
from metaqnn_orch.application.silence import WatchedStore, silence_of
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.errors import BadInput, StoreError
from metaqnn_orch.launchers.base import Launcher
from metaqnn_orch.launchers.kubernetes.manifest import JobForm
from metaqnn_orch.launchers.kubernetes.names import RunRef
from metaqnn_orch.launchers.local import LocalLauncher
from metaqnn_orch.launchers.table import TableLauncher
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_orch.settings.model import ExecutionSettings, Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import TrainerOptions
from metaqnn_trainer.store.base import Store, honours_put_if_absent
from metaqnn_trainer.store.directory import DirectoryStore

if TYPE_CHECKING:
    from metaqnn_orch.launchers.kubernetes.cluster import Cluster

FETCHING_SECONDS: Final = 600.0  # seconds that a node may take for the image, at most a tenth of the limit
MAX_WORKERS: Final = 256  # on one machine; its memory is a lower limit: about half a GiB for each


class LauncherName(StrEnum):
    """The launchers: where trials can run."""

    LOCAL = "local"
    TABLE = "table"
    KUBERNETES = "kubernetes"


class Launching(NamedTuple):
    """How the trials of a run will be launched."""

    of: Callable[[RunRecord], Launcher]
    """Returns the launcher of a run; it has started nothing yet."""
    ask: Callable[[], object] = lambda: None
    """Asks a trainer, where there is one here, whether it can train what the settings ask for. It raises BadInput where
    it cannot, and is asked once.
    """
    prove: Callable[[], object] = lambda: None
    """Checks that trials can begin at this place, before there is a run; it asks as well. It raises LauncherError where
    they cannot.
    """
    close: Callable[[], None] = lambda: None
    """Ends what `prove` has started."""


def make_launcher(
    name: LauncherName,
    store: Store,
    settings: Settings,
    rehearsal: Rehearsal | None = None,
    template: Mapping[str, Any] = MappingProxyType({}),
    lines: Path | None = None,
) -> Launching:
    """The launcher of that name for a run with these settings. Whatever can be wrong with the settings is found now.
    `template` is an administrator's template of Kubernetes Jobs. `lines` is the folder that keeps what trainers on this
    machine say.

    Raises:
        BadInput: more trials at a time than can run there, no table for the launcher that needs one, or settings that
            make no Job.
        LauncherError: there is no cluster, or it does not let us in.
    """
    parallel = settings.execution.parallel
    match name:
        case LauncherName.LOCAL:
            if parallel > MAX_WORKERS:
                raise BadInput(
                    f"execution.parallel is {parallel}, but one machine runs at most {MAX_WORKERS} worker processes,"
                    " because each loads torch",
                    hint="use about as many as the machine has CPUs or GPUs, for example --parallel 2",
                )
            local = LocalLauncher(store.uri, parallel, options=options_on_this_machine(settings.execution), lines=lines)

            ask = cache(lambda: prove_equipment(settings))

            def prove() -> None:
                ask()
                local.prove()

            return Launching(lambda record: local, ask, prove, local.close)
        case LauncherName.TABLE:
            if rehearsal is None:
                raise BadInput("the table launcher needs a table", hint="--launcher table --table FILE.csv")
            answer, delay = rehearsal.answer, rehearsal.delay
            # A table gives the same answers again: unlike the journal, its results may be lost when the power fails.
            answers = DirectoryStore(store.uri, durable=False) if isinstance(plain(store), DirectoryStore) else store
            return Launching(
                lambda record: TableLauncher(answers.put_if_absent, answer, parallel, duration=lambda request: delay)
            )
        case LauncherName.KUBERNETES:
            form = job_form(store, settings.execution.kubernetes, template)
            # The client takes half a second to import: who trains elsewhere does not wait for it.
            from metaqnn_orch.launchers.kubernetes.cluster import refuse_unreachable
            from metaqnn_orch.launchers.kubernetes.judged import refuse_unacceptable
            from metaqnn_orch.launchers.kubernetes.launcher import KubernetesLauncher

            cluster = open_cluster(settings.execution.kubernetes)
            refuse_unreachable(cluster)
            refuse_unacceptable(cluster, form, settings.execution.together)
            options = options_in_a_pod(settings.execution)
            ask = cache(lambda: prove_elsewhere(settings))
            return Launching(
                lambda record: KubernetesLauncher(
                    cluster, RunRef(record.run, record.uid), form, store, parallel, options
                ),
                ask,
                ask,
            )


def options_on_this_machine(settings: ExecutionSettings) -> TrainerOptions:
    """The options of trials on this machine."""
    return TrainerOptions(
        checkpoint_seconds=settings.checkpoint_seconds, time_limit_seconds=settings.time_limit_seconds
    )


def options_in_a_pod(settings: ExecutionSettings) -> TrainerOptions:
    """The options of trials in a Pod. The trainer stops before its Pod is ended, because delivering a result takes a
    moment, and because the Pod's time limit began when its node took it, before the image was pulled.
    """
    most = settings.kubernetes.time_limit_seconds
    spared = settings.kubernetes.grace_seconds + min(FETCHING_SECONDS, most / 10)
    update = {"devices": settings.kubernetes.devices, "time_limit_seconds": max(most - spared, most / 2)}
    return options_on_this_machine(settings).model_copy(update=update)


def open_cluster(settings: KubernetesSettings) -> Cluster:
    """The cluster that the settings name, or else the kubeconfig or the Pod that this process runs in.

    Raises:
        LauncherError: there is none.
    """
    from metaqnn_orch.launchers.kubernetes.cluster import Cluster
    from metaqnn_orch.launchers.kubernetes.credentials import connect

    return Cluster(connect, settings.namespace, context=settings.context)


def job_form(store: Store, settings: KubernetesSettings, template: Mapping[str, Any]) -> JobForm:
    """The settings of the Jobs for this store.

    Raises:
        BadInput: the settings make no Job, or Pods could not reach the store.
    """
    form = JobForm(store.uri, settings, template)
    if isinstance(plain(store), DirectoryStore):
        if not any(Path(store.uri).is_relative_to(place) for place in form.mounts()):
            raise BadInput(
                f"{store.uri} is a directory on this machine, and Pods cannot see it",
                hint="--store s3://bucket/prefix, or a Job template that mounts a volume there",
            )
    elif (endpoint := getattr(plain(store), "endpoint", "")) and not settings.store_endpoint:
        raise BadInput(
            f"the store is at {endpoint}: set execution.kubernetes.store_endpoint to the address at which Pods reach"
            " it",
            hint=f"--set execution.kubernetes.store_endpoint={endpoint}, if that address is the same for them",
        )
    return form


def store_of_pods(store: Store, settings: KubernetesSettings) -> Store | None:
    """The store, opened by a client with the options of Pods; None where the store has no client, as a directory has
    none.

    Raises:
        StoreError: the client cannot be made.
    """
    bucket = plain(store)
    if isinstance(bucket, DirectoryStore):
        return None
    from metaqnn_trainer.store.s3 import S3Store
    from metaqnn_trainer.store.s3_client import ClientOptions

    assert isinstance(bucket, S3Store)
    endpoint, region = settings.store_endpoint or "", settings.store_region or ""
    options = ClientOptions(endpoint, region, settings.store_addressing_style, settings.store_checksums)
    return WatchedStore(bucket.with_options(options), silence_of(store))


def refuse_unsafe_store(store: Store) -> None:
    """Check that the store honours conditional writes.

    Raises:
        StoreError: it does not, so that a run there could have two writers.
    """
    if not honours_put_if_absent(store, keys.probes()):
        raise StoreError(
            f"{store.uri} ignores conditional writes: two orchestrators at the same time could damage a run",
            hint="use another store, or --unsafe-single-writer if no second one will ever touch the run",
        )
