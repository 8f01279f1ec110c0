"""Watches, from this machine, a search inside the cluster: what it waits for, and whether an orchestrator still works
on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from metaqnn_orch.application.listener import Say, Tone
from metaqnn_orch.control.holder import living, read_holder
from metaqnn_orch.errors import ClusterError, LauncherError, NotFound, StoreError
from metaqnn_orch.launchers.kubernetes.errand import in_words, search_job_name
from metaqnn_orch.launchers.kubernetes.status import live
from metaqnn_orch.next_command import next_command
from metaqnn_trainer.store.base import Store

LOOK: Final = 2.0  # seconds between two looks at a search that has not begun yet
_AGAIN: Final = "repeat metaqnn-orch submit, with the same options, to go on"
VIGIL: Final = 10.0  # seconds between two looks at whether an orchestrator still works


def wait_for_start(
    has_ended: Callable[[], bool],
    cluster: Any,
    run: str,
    sleep: Callable[[float], None],
    say: Say,
    is_idle: Callable[[], bool] = lambda: False,
) -> None:
    """Return when the run is under way, or when it has ended and no Job is about to go on with it. `is_idle` tells
    whether no orchestrator works on it.

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
                    _refuse_if_over(cluster, run, is_idle)
                    return
            except NotFound as error:
                missing = error
            job = find(cluster, name)
            words = _words(cluster, name) if job is not None else ""
        except (ClusterError, StoreError) as error:
            if not error.transient or not said:  # before the first look succeeded, nothing is known
                raise
            say(str(error), Tone.CAUTION)
            sleep(LOOK)
            continue
        if job is None or not live(job):
            if missing is None:
                return
            if job is None:
                raise missing
            raise _never_began(cluster, name, words)
        if words != said:
            said = words
            say(f"waiting for job {name}: {words}", Tone.CAUTION)
        sleep(LOOK)


def _refuse_if_over(cluster: Any, run: str, is_idle: Callable[[], bool]) -> None:
    """
    Raises:
        LauncherError: the run has not ended, but nobody works on it, and no Job is about to.
    """
    from metaqnn_orch.launchers.kubernetes.runner import find

    name = search_job_name(run)
    if not is_idle() or ((job := find(cluster, name)) is not None and live(job)):
        return
    if job is None:
        raise LauncherError(
            f"nobody works on run {run}, and there is no job {name} in namespace {cluster.namespace}", hint=_AGAIN
        )
    raise _left_undone(cluster, name)


class Vigil:
    """Sleeps between a watcher's looks, and checks now and then whether there is anything left to wait for."""

    def __init__(
        self,
        is_idle: Callable[[], bool],
        cluster: Any,
        run: str,
        say: Say,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_idle = is_idle
        self._cluster = cluster
        self._run = run
        self._say = say
        self._sleep = sleep
        self._monotonic = monotonic
        self._next = monotonic() + VIGIL
        self._was_over = False
        self._said = False

    def sleep(self, seconds: float) -> None:
        """Sleep, and check the search when a check is due.

        Raises:
            LauncherError: no orchestrator works on the run, and its Job has ended.
        """
        from metaqnn_orch.launchers.kubernetes.runner import find

        self._sleep(seconds)
        if self._monotonic() < self._next:
            return
        self._next = self._monotonic() + VIGIL
        name = search_job_name(self._run)
        over = False
        with suppress(ClusterError, StoreError):  # the cluster cannot be reached: the next look will tell
            job = find(self._cluster, name)
            ended = job is not None and not live(job)
            over = ended and self._is_idle()
            if ended and not over and not self._said:
                self._said = True
                words = _words(self._cluster, name)
                self._say(
                    f"job {name} has ended ({words}): another orchestrator works on the run, and this is what it does",
                    Tone.CAUTION,
                )
            if over and self._was_over:  # and the watcher has had time to see how it ended
                raise _left_undone(self._cluster, name)
        self._was_over = over


def is_left(store: Store, run: str, cluster: Any) -> bool:
    """Whether no orchestrator works on the run, as far as the store and the cluster know: one in a Pod of the run's
    Job does not outlive the Job.
    """
    from metaqnn_orch.launchers.kubernetes.runner import find

    holder, name = living(read_holder(store, run)), search_job_name(run)
    if holder is None:
        return True
    if not holder.host.startswith(f"{name}-"):
        return False
    job = find(cluster, name)
    return job is not None and not live(job)


def refuse_unbegun(cluster: Any, run: str, store: str) -> None:
    """Say why a search that was submitted for the store at this address has not begun.

    Raises:
        LauncherError: it has ended, or waits for something, which the message says.
    """
    from metaqnn_orch.launchers.kubernetes.runner import find

    name = search_job_name(run)
    job = find(cluster, name)
    if job is None:
        return
    words = _words(cluster, name)
    if live(job):
        raise LauncherError(
            f"run {run} has not begun: job {name}: {words}",
            hint=f"{next_command(f'attach {run}', store)} waits for it",
        )
    raise _never_began(cluster, name, words)


def _never_began(cluster: Any, name: str, words: str) -> LauncherError:
    return LauncherError(
        f"job {name} ended before the run began: {words}",
        hint=f"kubectl logs --namespace {cluster.namespace} job/{name}; when the cause is mended, submit it again",
    )


def _left_undone(cluster: Any, name: str) -> LauncherError:
    return LauncherError(
        f"job {name} has ended, but the run has not: {_words(cluster, name)}",
        hint=f"{_AGAIN}; see kubectl logs --namespace {cluster.namespace} job/{name}",
    )


def _words(cluster: Any, name: str) -> str:
    from metaqnn_orch.launchers.kubernetes.cluster import Resource

    return in_words(cluster.list(Resource.PODS, f"batch.kubernetes.io/job-name={name}").items)
