"""cancel, logs, and what gc does with Jobs, on the double."""

from __future__ import annotations

import json
import re
import time
from itertools import count
from pathlib import Path
from threading import Thread

import pytest

from metaqnn_orch.application.assembly import open_cluster
from metaqnn_orch.application.jobs import delete_until_none_appears, lines_of
from metaqnn_orch.control.events import Opened, Proposed
from metaqnn_orch.control.record import load_record
from metaqnn_orch.errors import LauncherError
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.kubernetes.launcher import KubernetesLauncher
from metaqnn_orch.launchers.kubernetes.names import RunRef
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, cli
from tests.control.world import Session, settings
from tests.launchers.harness import make_request, until, until_phase
from tests.launchers.kubernetes.conftest import RUN, FakeCluster

__all__ = ["cli"]


class Left:
    """A run of which three Jobs are left: one running, one ended, and one of another run of that name."""

    def __init__(self, cluster: FakeCluster, store: DirectoryStore) -> None:
        self.session = session = Session(store, settings())
        session.open()
        record = load_record(store, "test")
        self.cluster = cluster
        self.proposed = 0
        self.own = cluster.launcher(run=RunRef("test", record.uid))
        self.foreign = cluster.launcher(run=RunRef("test", RUN.uid))
        self.running = self.launch(self.own, "hangs", Phase.RUNNING)
        self.ended = self.launch(self.own, "exits-13", Phase.CRASHED)
        self.theirs = self.launch(self.foreign, "exits-13", Phase.CRASHED)

    def launch(self, launcher: KubernetesLauncher, fate: str, phase: Phase) -> TrainingRequest:
        request = self.propose(fate)
        launcher.launch(request, 1)
        until_phase(launcher, request, phase)
        return request

    def propose(self, fate: str) -> TrainingRequest:
        self.proposed += 1
        net = f"[C({16 * self.proposed},3,1), SM(10)]"
        request = make_request("test", net)
        self.session.journal.append([Proposed(step=self.proposed - 1, epsilon=1.0, net=net, trial=request.trial)])
        (self.cluster.notes / request.trial).write_text(fate)
        return request

    def trials(self) -> set[str]:
        return {job["metadata"]["labels"]["metaqnn/trial"] for job in self.cluster.jobs()}


@pytest.fixture
def left(cluster: FakeCluster, tmp_path: Path) -> Left:
    return Left(cluster, DirectoryStore(tmp_path / "store"))


def test_gc_deletes_what_has_ended_and_is_ours(left: Left, cli: Cli, tmp_path: Path) -> None:
    told = ("gc", "test", "--store", tmp_path / "store", "--launcher=kubernetes")
    before = left.trials()
    answer = cli(*told)
    assert "Jobs that have ended         1" in answer.out
    assert (answer.code, answer.err) == (0, "nothing was deleted; to delete it, add --delete\n")
    assert left.trials() == before
    assert cli(*told, "--delete").code == 0
    assert left.trials() == {left.running.trial, left.theirs.trial}


def submitted(left: Left, run: str, store: object, *conditions: dict[str, str]) -> None:
    """Leave the Job of a submitted search, which waits unless it has ended."""
    body = {
        "metadata": {
            "name": f"{run}-orchestrator",
            "labels": {"metaqnn/run": run},
            "annotations": {"metaqnn/store": str(store)},
        },
        "spec": {"suspend": True},
        "status": {"conditions": [*conditions]},
    }
    left.cluster.api.objects.create("jobs", "trials", body)


@pytest.mark.parametrize(("of", "live", "deleted"), [("", False, 2), ("", True, 1), ("-of-others", False, 1)])
def test_gc_deletes_the_job_of_a_search_that_has_ended(
    left: Left, cli: Cli, tmp_path: Path, of: str, live: bool, deleted: int
) -> None:
    submitted(left, "test", f"{tmp_path}/store{of}/", *([] if live else [{"type": "Failed", "status": "True"}]))
    answer = cli("gc", "test", "--store", tmp_path / "store", "--launcher=kubernetes", "--delete", "-o", "json")
    assert len(json.loads(answer.out)["jobs"]) == deleted


def test_cancel_deletes_what_is_ours(left: Left, cli: Cli, tmp_path: Path) -> None:
    answer = cli("cancel", "test", "--store", tmp_path / "store", "--launcher=kubernetes")
    assert answer.code == 0
    assert "2 Jobs deleted in namespace trials" in answer.err
    assert left.trials() == {left.theirs.trial}


@pytest.mark.parametrize("options", [(), ("--keep-jobs",)])
@pytest.mark.parametrize("run", ["test", "later"])
def test_cancel_ends_a_submitted_search_that_has_not_begun(
    left: Left, cli: Cli, tmp_path: Path, run: str, options: tuple[str, ...]
) -> None:
    submitted(left, run, tmp_path / "store")
    answer = cli("cancel", run, "--store", tmp_path / "store", "--launcher=kubernetes", *options)
    assert answer.code == 0, answer.err
    assert f"job {run}-orchestrator of the submitted search deleted" in answer.err
    assert f"{run}-orchestrator" not in {job["metadata"]["name"] for job in left.cluster.jobs()}


def test_cancel_leaves_a_search_for_another_store_alone(left: Left, cli: Cli, tmp_path: Path) -> None:
    submitted(left, "later", tmp_path / "elsewhere")
    answer = cli("cancel", "later", "--store", tmp_path / "store", "--launcher=kubernetes")
    assert answer.code == 2
    assert "no run" in answer.err
    assert "later-orchestrator" in {job["metadata"]["name"] for job in left.cluster.jobs()}


def let_go(left: Left, *trials: TrainingRequest) -> None:
    """Delete the Jobs of these trials without their Pods."""
    for request in trials:
        name = f"test-{request.trial}-1"
        left.cluster.api.delete("jobs", "trials", name, {"propagationPolicy": "Orphan"})


def of_orphans(left: Left) -> set[str]:
    pods = [pod for pod in left.cluster.pods() if "ownerReferences" not in pod["metadata"]]
    return {pod["metadata"]["labels"]["metaqnn/trial"] for pod in pods}


def test_cancel_ends_pods_whose_job_is_gone(left: Left, cli: Cli, tmp_path: Path) -> None:
    let_go(left, left.running, left.ended, left.theirs)
    answer = cli("cancel", "test", "--store", tmp_path / "store", "--launcher=kubernetes")
    assert answer.code == 0, answer.err
    assert "and 2 Pods whose Job was deleted without them" in answer.err
    until(lambda: of_orphans(left) == {left.theirs.trial})


def test_gc_deletes_pods_that_have_ended_and_whose_job_is_gone(left: Left, cli: Cli, tmp_path: Path) -> None:
    let_go(left, left.running, left.ended, left.theirs)
    gc = ("gc", "test", "--store", tmp_path / "store", "--launcher=kubernetes")
    assert "Pods that have ended, and whose Job is gone" in cli(*gc).out
    assert len(json.loads(cli(*gc, "--delete", "-o", "json").out)["pods"]) == 1
    until(lambda: of_orphans(left) == {left.running.trial, left.theirs.trial})


def test_no_job_appears_after_a_cancel(left: Left, cli: Cli, tmp_path: Path) -> None:
    """Though whoever lost the run goes on for a while, and starts again what was deleted."""
    session = Session(DirectoryStore(tmp_path / "store"), settings(), name="busy")
    session.open()
    # Of this machine it would be waited for until its process, this one, has ended.
    session.hold.me = session.hold.me.model_copy(update={"machine": "another"})
    session.hold.beat("now")
    session.journal.append([Opened(at="now", session="busy", owner="somebody", version="0", goal=12)])
    over = time.monotonic() + 4

    def go_on() -> None:
        while time.monotonic() < over:
            left.own.launch(make_request("test"), 1)
            time.sleep(0.4)

    loser = Thread(target=go_on)
    loser.start()
    answer = cli("cancel", "test", "--store", tmp_path / "store", "--launcher=kubernetes")
    assert time.monotonic() > over, "it waits for as long as a loser may not know"
    assert answer.code == 0, answer.err
    assert "which now stops at its next step" in answer.err
    deleted = re.search(r"^(\d+) Jobs deleted", answer.err, re.MULTILINE)
    assert deleted is not None
    assert int(deleted[1]) >= 5
    loser.join()
    assert left.trials() == {left.theirs.trial}


def test_whoever_does_not_stop_is_told_of(left: Left, tmp_path: Path) -> None:
    record = load_record(DirectoryStore(tmp_path / "store"), "test")
    launched: list[str] = []

    def launch(seconds: float) -> None:
        launched.append(left.launch(left.own, "hangs", Phase.RUNNING).trial)

    clock, found = count(), open_cluster(KubernetesSettings())
    with pytest.raises(LauncherError, match=r"in namespace trials, but somebody still creates new ones: test-") as said:
        delete_until_none_appears(found, record, "/runs", 0, 5, launch, lambda: float(next(clock)))
    assert "cancel again" in said.value.hint
    assert len(launched) >= 2
    assert left.trials() == {left.theirs.trial}


def test_cancel_of_a_run_without_a_cluster_asks_none(left: Left, cli: Cli, tmp_path: Path) -> None:
    before = len(left.trials())
    answer = cli("cancel", "test", "--store", tmp_path / "store")
    assert answer.code == 0
    assert "if it has Jobs in a cluster, they go on; to delete them, add --launcher kubernetes" in answer.err
    assert len(left.trials()) == before


def test_logs_of_a_pod_with_several_trials_are_told_apart(left: Left, cli: Cli, tmp_path: Path) -> None:
    record = load_record(DirectoryStore(tmp_path / "store"), "test")
    several = left.cluster.launcher(parallel=6, run=RunRef("test", record.uid), trials_per_job=3)
    requests = [left.propose(fate) for fate in ("delivers", "exits-11", "exits-13")]
    for request in requests:
        several.launch(request, 1)
    until_phase(several, requests[2], Phase.CRASHED)
    where = ("--store", tmp_path / "store", "--namespace=trials")
    for request, fate in zip(requests, ("delivers", "exits", "exits"), strict=True):
        assert cli("logs", "test", request.trial, *where).out == f"trial {request.trial}: {fate}\n"
    assert cli("logs", "test", requests[1].trial[:8], *where, "--tail=1").code == 0
    assert cli("logs", "test", left.ended.trial, *where).out == f"trial {left.ended.trial}: exits\n"


def test_lines_that_name_no_trial_belong_to_the_one_before() -> None:
    one, two = "1" * 12, "2" * 12
    log = f"loading\ntrial {one}: begins\nTraceback\n  x\ntrial {two}, attempt 1\nwarning\ntrial {one}: ends\nbye\n"
    assert lines_of(log, one) == [f"trial {one}: begins", "Traceback", "  x", f"trial {one}: ends", "bye"]
    assert lines_of(log, two) == [f"trial {two}, attempt 1", "warning"]
    assert lines_of(log, "3" * 12) == []


def test_logs_are_those_of_the_trainer(left: Left, cli: Cli, tmp_path: Path) -> None:
    where = ("--store", tmp_path / "store", "--namespace=trials")
    assert cli("logs", "test", left.ended.trial, *where).out == f"trial {left.ended.trial}: exits\n"
    assert cli("logs", "test", left.ended.trial[:8], *where, "--tail=1").code == 0
    assert "no Pod of trial" in cli("logs", "test", left.theirs.trial, *where).refused()
    assert "is no trial" in cli("logs", "test", "../x", *where).refused()
    assert "has no trial" in cli("logs", "test", "0" * 12, *where).refused()
    assert (
        "is not a valid name"
        in cli("logs", "test", left.ended.trial, "--store", tmp_path / "store", "--namespace=A/b").refused()
    )
    assert "no run 'other'" in cli("logs", "other", "ab", *where).refused()
