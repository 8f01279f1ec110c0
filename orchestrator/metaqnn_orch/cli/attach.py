"""metaqnn-orch attach RUN: a search inside the cluster, seen from here."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import typer

from metaqnn_orch.application.assembly import open_cluster
from metaqnn_orch.application.release import Release
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Progress, say
from metaqnn_orch.cli.watch import watch
from metaqnn_orch.control.holder import is_dead, read_holder
from metaqnn_orch.errors import BadInput, ClusterError, LauncherError, NotFound, StoreError
from metaqnn_orch.launchers.kubernetes.errand import in_words, search_job_name
from metaqnn_orch.launchers.kubernetes.status import live
from metaqnn_orch.reporting.summary import read_run
from metaqnn_orch.settings.model import KubernetesSettings
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.opening import open_store

LOOK: Final = 2.0  # seconds between two looks at what has not begun yet
VIGIL: Final = 10.0  # seconds between two looks at whether it still works


def attach(run: options.Run, store: options.Store, release: Release | None = None) -> None:
    """Show a run that was submitted.

    Waits for its Pod to begin, and says what that waits for; then shows what status --watch shows. Ctrl-C ends the
    watching, and the run goes on.
    """
    if release is None:
        raise BadInput("attach needs a release of the chart", hint=f"metaqnn-orch status {run} --watch --store {store}")
    opened = open_store(store)
    settings = KubernetesSettings(namespace=release.namespace, context=release.context)
    try:
        cluster = open_cluster(settings)
        wait_for_start(lambda: _has_ended(opened, run), cluster, run, time.sleep)
        watch(opened, run, Progress(), Vigil(lambda: _is_idle(opened, run), cluster, run).sleep)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _has_ended(store: Store, run: str) -> bool:
    return read_run(store, run).state.finished is not None


def wait_for_start(has_ended: Callable[[], bool], cluster: Any, run: str, sleep: Callable[[float], None]) -> None:
    """Return when the run is under way, or has ended and no Job is about to go on with it.

    Raises:
        NotFound: there is no such run, and nothing that will begin it.
        LauncherError: the Job that should have begun it has ended.
    """
    from metaqnn_orch.launchers.kubernetes.runner import find

    name, said = search_job_name(run), ""
    while True:
        missing: NotFound | None = None
        try:
            try:
                if not has_ended():
                    return
            except NotFound as error:
                missing = error
            job = find(cluster, name)
            words = _words(cluster, name) if job is not None else ""
        except (ClusterError, StoreError) as error:
            if not error.transient or not said:  # where nothing was seen yet, nobody knows whether anything is right
                raise
            say((str(error), "yellow"))
            sleep(LOOK)
            continue
        if job is None or not live(job):
            if missing is None:
                return
            if job is None:
                raise missing
            raise LauncherError(
                f"job {name} ended before the run began: {words}",
                hint=f"kubectl logs --namespace {cluster.namespace} job/{name}",
            )
        if words != said:
            said = words
            say((f"waiting for job {name}: {words}", "yellow"))
        sleep(LOOK)


class Vigil:
    """Sleeps as a watcher does, and looks now and then whether there is anything left to wait for."""

    def __init__(
        self,
        is_idle: Callable[[], bool],
        cluster: Any,
        run: str,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_idle = is_idle
        self._cluster = cluster
        self._run = run
        self._sleep = sleep
        self._monotonic = monotonic
        self._next = monotonic() + VIGIL
        self._was_over = False
        self._said = False

    def sleep(self, seconds: float) -> None:
        """
        Raises:
            LauncherError: nobody works on the run, and its Job has ended.
        """
        from metaqnn_orch.launchers.kubernetes.runner import find

        self._sleep(seconds)
        if self._monotonic() < self._next:
            return
        self._next = self._monotonic() + VIGIL
        name = search_job_name(self._run)
        over = False
        with suppress(ClusterError, StoreError):  # out of reach: the next look will tell
            job = find(self._cluster, name)
            ended = job is not None and not live(job)
            over = ended and self._is_idle()
            if ended and not over and not self._said:
                self._said = True
                words = _words(self._cluster, name)
                say((f"job {name} has ended ({words}): what is shown is the work of another orchestrator", "yellow"))
            if over and self._was_over:  # and the watcher has had time to see how
                raise LauncherError(
                    f"job {name} has ended, the run has not: {_words(self._cluster, name)}",
                    hint=f"submitting it again goes on; kubectl logs --namespace {self._cluster.namespace} job/{name}",
                )
        self._was_over = over


def _is_idle(store: Store, run: str) -> bool:
    holder = read_holder(store, run)
    return holder is None or is_dead(holder) is True


def _words(cluster: Any, name: str) -> str:
    from metaqnn_orch.launchers.kubernetes.cluster import Resource

    return in_words(cluster.list(Resource.PODS, f"batch.kubernetes.io/job-name={name}").items)
