"""What every launcher promises, asked of each in the same words."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metaqnn_orch.errors import LauncherError
from metaqnn_orch.launchers.base import Launcher, Phase
from metaqnn_orch.launchers.local import LocalLauncher
from metaqnn_orch.launchers.table import NoAnswer, TableAnswer, TableLauncher
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.directory import DirectoryStore
from tests.launchers.harness import ENDED, Harness, make_request, until, until_ended, until_phase
from tests.launchers.kubernetes.conftest import FakeCluster, fake_cluster

FAKE_WORKER = Path(__file__).with_name("fake_worker.py")


class LocalHarness:
    def __init__(self, notes: Path) -> None:
        command = (sys.executable, "-SE", str(FAKE_WORKER), str(notes))
        self.launcher: Launcher = LocalLauncher("/no/store", 2, command)

    def request(self, fate: str) -> TrainingRequest:
        return make_request({"delivers": "delivers", "hangs": "hangs", "crashes": "fails-13"}[fate])


class KubernetesHarness:
    def __init__(self, cluster: FakeCluster, together: int) -> None:
        self.launcher: Launcher = cluster.launcher(parallel=2 * together, trials_per_job=together)
        self._cluster = cluster

    def request(self, fate: str) -> TrainingRequest:
        return self._cluster.request({"delivers": "delivers", "hangs": "hangs", "crashes": "exits-13"}[fate])


class TableHarness:
    """One answer to everything. What is not to end lasts for a day; what is to crash cannot be answered."""

    def __init__(self, store: Path) -> None:
        self._long: set[str] = set()
        self._hopeless: set[str] = set()
        self.launcher: Launcher = TableLauncher(
            DirectoryStore(store).put_if_absent,
            self._answer,
            parallel=2,
            duration=lambda request: 86_400.0 if request.trial in self._long else 0.01,
        )

    def request(self, fate: str) -> TrainingRequest:
        request = make_request("rehearsal")
        {"hangs": self._long, "crashes": self._hopeless}.get(fate, set()).add(request.trial)
        return request

    def _answer(self, request: TrainingRequest) -> TableAnswer:
        if request.trial in self._hopeless:
            raise NoAnswer("it does not fit")
        return TableAnswer(accuracy=0.5, params=650, macs=640, source="table")


@pytest.fixture(params=["local", "table", "kubernetes", "bundles"])
def harness(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    if request.param in ("kubernetes", "bundles"):
        for cluster in fake_cluster(tmp_path, monkeypatch):
            yield KubernetesHarness(cluster, together=1 if request.param == "kubernetes" else 4)
        return
    harness: Harness = LocalHarness(tmp_path) if request.param == "local" else TableHarness(tmp_path)
    yield harness
    harness.launcher.close()


def running(launcher: Launcher) -> int:
    return sum(seen.phase is Phase.RUNNING for seen in launcher.observe().values())


@pytest.fixture
def launcher(harness: Harness) -> Launcher:
    return harness.launcher


def test_it_has_a_name_and_runs_at_least_one_trial(launcher: Launcher) -> None:
    assert launcher.name
    assert launcher.parallel >= 1


def test_it_knows_nothing_in_the_beginning(launcher: Launcher) -> None:
    assert launcher.observe() == {}
    launcher.cancel("0" * 12)
    assert launcher.observe() == {}


def test_a_trial_that_delivers(harness: Harness, launcher: Launcher) -> None:
    request = harness.request("delivers")
    launcher.launch(request, 1)
    assert request.trial in launcher.observe(), "what was launched is known at once"
    assert until_phase(launcher, request, *ENDED).phase is Phase.DELIVERED
    assert launcher.observe()[request.trial].attempt == 1, "what ended stays until it is forgotten"


def test_a_trial_that_crashes_says_why(harness: Harness, launcher: Launcher) -> None:
    request = harness.request("crashes")
    launcher.launch(request, 1)
    seen = until_phase(launcher, request, *ENDED)
    assert seen.phase is Phase.CRASHED
    assert seen.detail
    assert seen.detail.isprintable()
    assert len(seen.detail) <= 500


def test_a_running_trial_is_seen_running(harness: Harness, launcher: Launcher) -> None:
    request = harness.request("hangs")
    launcher.launch(request, 1)
    until_phase(launcher, request, Phase.RUNNING)


def test_the_same_attempt_is_not_started_twice(harness: Harness, launcher: Launcher) -> None:
    hangs, delivers = harness.request("hangs"), harness.request("delivers")
    launcher.launch(delivers, 1)
    launcher.launch(hangs, 1)
    running = until_phase(launcher, hangs, Phase.RUNNING)
    until_phase(launcher, delivers, Phase.DELIVERED)
    for request in (hangs, delivers):
        launcher.launch(request, 1)
    assert launcher.observe()[hangs.trial] == running
    assert launcher.observe()[delivers.trial].phase is Phase.DELIVERED


def test_the_next_attempt_takes_the_place_of_one_that_ended(harness: Harness, launcher: Launcher) -> None:
    request = harness.request("crashes")
    for attempt in (1, 2, 3):
        launcher.launch(request, attempt)
        assert launcher.observe()[request.trial].attempt == attempt
        assert until_phase(launcher, request, *ENDED).attempt == attempt
    launcher.launch(request, 2)  # an order from the past
    assert launcher.observe()[request.trial].attempt == 3


def test_an_attempt_may_begin_anywhere(harness: Harness, launcher: Launcher) -> None:
    """After a resume the launcher has never heard of the attempts before."""
    request = harness.request("delivers")
    launcher.launch(request, 4)
    assert until_phase(launcher, request, *ENDED).attempt == 4


def test_a_cancelled_trial_is_forgotten_and_its_place_is_free(harness: Harness, launcher: Launcher) -> None:
    hanging = [harness.request("hangs") for _ in range(launcher.parallel)]
    for request in hanging:
        launcher.launch(request, 1)
    until(lambda: running(launcher) == launcher.parallel // launcher.together)
    for request in hanging:
        launcher.cancel(request.trial)
        launcher.cancel(request.trial)
    assert launcher.observe() == {}
    request = harness.request("delivers")
    launcher.launch(request, 1)
    assert until_phase(launcher, request, *ENDED).phase is Phase.DELIVERED
    assert list(launcher.observe()) == [request.trial], "the ends of the cancelled ones are nobody's"


def test_an_ended_trial_is_forgotten_when_cancelled(harness: Harness, launcher: Launcher) -> None:
    request = harness.request("delivers")
    launcher.launch(request, 1)
    until_phase(launcher, request, Phase.DELIVERED)
    launcher.cancel(request.trial)
    assert launcher.observe() == {}
    launcher.launch(request, 1)
    assert until_phase(launcher, request, *ENDED).phase is Phase.DELIVERED


def test_more_than_fit_are_all_done_in_the_end(harness: Harness, launcher: Launcher) -> None:
    requests = [harness.request(fate) for _ in range(3 * launcher.parallel) for fate in ("delivers", "crashes")]
    for request in requests:
        launcher.launch(request, 1)
        seen = launcher.observe()
        assert running(launcher) <= launcher.parallel // launcher.together
        assert all(seen[trial].detail for trial in seen if seen[trial].phase is Phase.PENDING), "it says what it is for"
    for index, request in enumerate(requests):
        assert until_ended(launcher, request).phase is (Phase.CRASHED if index % 2 else Phase.DELIVERED)


def test_looking_never_waits(harness: Harness, launcher: Launcher) -> None:
    for _ in range(2 * launcher.parallel):
        launcher.launch(harness.request("hangs"), 1)
    started = time.monotonic()
    for _ in range(200):
        launcher.observe()
    assert time.monotonic() - started < 2


def test_what_was_seen_does_not_change_in_the_hand(harness: Harness, launcher: Launcher) -> None:
    seen = launcher.observe()
    launcher.launch(harness.request("delivers"), 1)
    assert seen == {}


def test_many_threads_may_use_it_at_once(harness: Harness, launcher: Launcher) -> None:
    def one(number: int) -> None:
        request = harness.request("crashes" if number % 3 == 0 else "delivers")
        launcher.launch(request, 1)
        launcher.launch(request, 1)
        if number % 4 == 0:
            launcher.cancel(request.trial)
            return
        seen = until_ended(launcher, request)
        assert seen.phase is (Phase.CRASHED if number % 3 == 0 else Phase.DELIVERED)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(40)))
    assert len(launcher.observe()) == 30


def test_it_can_be_closed_in_the_middle_of_work_and_twice(harness: Harness, launcher: Launcher) -> None:
    launcher.launch(harness.request("hangs"), 1)
    launcher.launch(harness.request("delivers"), 1)
    launcher.close()
    launcher.close()
    with pytest.raises(LauncherError, match="closed"):
        launcher.launch(harness.request("delivers"), 1)
