"""An orchestrator that dies at every call it makes, to the cluster or to the store, before the call and after it. What
comes then goes on to the very end that an undisturbed twin reached, and no Job was started twice.

The orchestrator is a process of its own, which dies by SIGKILL.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from metaqnn_orch.control.surroundings import Outcome
from metaqnn_orch.launchers.kubernetes.launcher import KubernetesLauncher
from metaqnn_orch.launchers.kubernetes.names import RunRef
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.fatal_store import FatalStore
from tests.control.world import Clock, Session, settings, told_order
from tests.launchers.harness import until
from tests.launchers.kubernetes.conftest import FakeCluster, make_launcher
from tests.launchers.kubernetes.double.api import Ask, Fault

CHOSEN = settings(execution__parallel=1, execution__max_trials=3)
"""Every net is drawn at random, so that it depends on its step alone, and not on how many are in training."""

RUN = RunRef("test", "0" * 32)

COUNTING = Lock()

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload([__name__])


class ShortSleeps(Clock):
    """Real time, in which a rest is short."""

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.01))


class LethalStore(FatalStore):
    """A store at whose n-th call the process that uses it is killed."""

    def _call(self, method: str, *arguments: Any) -> Any:
        with COUNTING:  # requests of several trials are written at the same time
            self._left -= 1
            is_fatal = self._left == 0
        if is_fatal and not self._after:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return getattr(self._store, method)(*arguments)
        finally:  # whatever the answer is: that nothing is there is one, too
            if is_fatal:
                os.kill(os.getpid(), signal.SIGKILL)


def launcher_for(place: Path, together: int) -> KubernetesLauncher:
    return make_launcher(RUN, str(place), parallel=together, patience=0.2, linger=0.05, trials_per_job=together)


def orchestrate(store: Store, launcher: KubernetesLauncher) -> Session:
    session = Session(store, CHOSEN, name=f"process {os.getpid()}", clock=ShortSleeps())
    session.open()
    assert session.search(launcher) is Outcome.GOAL
    return session


def victim(place: Path, kubeconfig: Path, together: int, fatal_call: int, after: bool) -> None:
    os.environ["KUBECONFIG"] = str(kubeconfig)
    launcher = launcher_for(place, together)
    orchestrate(LethalStore(DirectoryStore(place), fatal_call, after), launcher)
    launcher.close()


class Trial:
    """Killed once, gone on with, compared with the twin."""

    def __init__(self, cluster: FakeCluster, directory: Path, together: int) -> None:
        self._cluster = cluster
        self._together = together
        self._directory = directory
        self._twin = Session(DirectoryStore(directory / "twin"), CHOSEN)
        self._twin.run_to_end(parallel=1)
        (cluster.notes / "answers").symlink_to(directory / "twin" / "runs" / "test" / "trials")

    def survived(self, number: int, fatal_call: int, after: bool, on_start: Callable[[BaseProcess], None]) -> bool:
        """Whether the orchestrator came to its end before the call of this number."""
        (self._cluster.notes / "started").unlink(missing_ok=True)
        place = self._directory / f"{number}"
        arguments = (place, self._cluster.kubeconfig, self._together, fatal_call, after)
        process = processes.Process(target=victim, args=arguments, daemon=True)
        on_start(process)
        process.start()
        process.join()
        self._cluster.api.faults = lambda ask: Fault()
        assert process.exitcode in (0, -signal.SIGKILL)
        launcher = launcher_for(place, self._together)
        session = orchestrate(DirectoryStore(place), launcher)
        launcher.close()
        assert told_order(session.store) == told_order(self._twin.store)
        assert session.state.agent.q_table.digest() == self._twin.state.agent.q_table.digest()
        assert session.state.attempts_lost == 0
        assert self._cluster.started() == [f"{trial} 1" for trial in told_order(self._twin.store)]
        until(lambda: self._cluster.jobs() == [])
        return process.exitcode == 0


@pytest.fixture(params=[1, 2], ids=["alone", "bundles"])
def trial(request: pytest.FixtureRequest, cluster: FakeCluster, tmp_path: Path) -> Trial:
    """Trials of which each has a Job of its own, or of which two share one."""
    return Trial(cluster, tmp_path, request.param)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_call_to_the_store(trial: Trial, after: bool) -> None:
    call = 1
    while not trial.survived(call, call, after, lambda process: None):
        call += 1
    assert call > 15


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_call_to_the_cluster(trial: Trial, cluster: FakeCluster, after: bool) -> None:
    def plan(call: int) -> Callable[[BaseProcess], None]:
        def begin(process: BaseProcess) -> None:
            calls = count(1)

            def fault(ask: Ask) -> Fault:
                if next(calls) != call:
                    return Fault()
                if after and ask.verb != "watch":
                    return Fault(after=process.kill, lose_reply=True)
                process.kill()
                return Fault(reset=True)

            cluster.api.faults = fault

        return begin

    call = 1
    while not trial.survived(call, 0, after, plan(call)):
        call += 1
    assert call > 8
