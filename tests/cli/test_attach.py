"""attach: what a submitted search waits for, and then the search."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from metaqnn_orch.application.vigil import VIGIL, Vigil, is_left, wait_for_start
from metaqnn_orch.cli.output import tell
from metaqnn_orch.control.holder import this_process
from metaqnn_orch.errors import ClusterError, LauncherError
from metaqnn_orch.launchers.kubernetes.cluster import Cluster
from metaqnn_orch.launchers.kubernetes.credentials import connect
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.store.opening import open_store
from tests.cli.conftest import Cli
from tests.control.world import Session, settings
from tests.launchers.kubernetes.conftest import FakeCluster, cluster
from tests.launchers.kubernetes.double.api import Fault, no_fault
from tests.launchers.kubernetes.releases import install_with_store
from tests.seaweedfs import S3Server

__all__ = ["cluster"]
pytestmark = pytest.mark.usefixtures("own_environment")


def test_what_never_begins(
    cluster: FakeCluster, cli: Cli, s3_server: S3Server, s3_store_uri: str, tmp_path: object
) -> None:
    install_with_store(cluster, s3_server, s3_store_uri)
    assert "no run 'night'" in cli("attach", "night").refused()
    assert "no run 'night'" in cli("attach", "night", f"--store={tmp_path}").refused()
    assert cli("submit", "digits", "--run=night").code == 0

    def end(thing: dict[str, Any]) -> None:
        thing["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}

    def say(thing: dict[str, Any]) -> None:
        ended = {"exitCode": 2, "message": "error: unknown setting x"}
        thing["status"] = {"phase": "Failed", "containerStatuses": [{"state": {"terminated": ended}}]}

    cluster.controllers.close()
    cluster.api.objects.update("jobs", "trials", "night-orchestrator", end)
    for pod in cluster.pods():
        cluster.api.objects.update("pods", "trials", pod["metadata"]["name"], say)
    status = cli("status", "night")
    assert (status.code, "ended before the run began: exit code 2, error: unknown" in status.err) == (6, True)
    answer = cli("attach", "night")
    assert answer.code == 6
    assert "job night-orchestrator ended before the run began: exit code 2, error: unknown setting x" in answer.err
    assert "kubectl logs --namespace trials job/night-orchestrator" in answer.err


def test_a_run_that_has_ended_and_one_that_is_about_to_go_on(
    cluster: FakeCluster, cli: Cli, s3_server: S3Server, s3_store_uri: str
) -> None:
    install_with_store(cluster, s3_server, s3_store_uri)
    session = Session(open_store(s3_store_uri), settings())
    session.run_to_end()
    session.hold.release()
    assert cli("attach", "test").code == 0, "there is no Job: it has ended"
    assert cli("submit", "digits", "--run=test").code == 0
    asked = iter([True, True, False])
    waited: list[float] = []
    wait_for_start(lambda: next(asked), Cluster(connect), "test", waited.append, tell)
    assert len(waited) == 2, "until what was submitted has begun"


def test_a_search_that_nobody_works_on_is_not_watched(
    cluster: FakeCluster, cli: Cli, s3_server: S3Server, s3_store_uri: str
) -> None:
    install_with_store(cluster, s3_server, s3_store_uri)
    cluster.controllers.close()
    store = open_store(s3_store_uri)
    session = Session(store, settings())
    session.open()
    session.hold.release()
    answer = cli("attach", "test")
    assert answer.code == 6
    assert "nobody works on run test, and there is no job test-orchestrator in namespace trials" in answer.err
    assert cli("submit", "digits", "--run=test").code == 0
    (job,) = cluster.jobs()
    owner = {"kind": "Job", "name": "x", "uid": job["metadata"]["uid"], "controller": True}
    ended = {"exitCode": 5, "message": "error: the store refuses"}
    pod = {
        "metadata": {
            "name": "test-orchestrator-abcde",
            "labels": {"batch.kubernetes.io/job-name": "test-orchestrator"},
            "ownerReferences": [owner],
        },
        "spec": {},
        "status": {"phase": "Failed", "containerStatuses": [{"state": {"terminated": ended}}]},
    }
    cluster.api.objects.create("pods", "trials", pod)
    dead = this_process("s", "now").model_copy(update={"host": "test-orchestrator-abcde", "machine": "a Pod"})
    store.put(keys.holder("test"), encode(dead))
    assert not is_left(store, "test", Cluster(connect)), "its Job lives"

    def end(thing: dict[str, Any]) -> None:
        thing["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}

    cluster.api.objects.update("jobs", "trials", "test-orchestrator", end)
    assert is_left(store, "test", Cluster(connect)), "a Pod does not outlive its Job"
    answer = cli("attach", "test")
    assert answer.code == 6
    assert "job test-orchestrator has ended, but the run has not: exit code 5, error: the store refuses" in answer.err
    assert "repeat metaqnn-orch submit, with the same options, to go on" in answer.err


def test_a_watch_ends_when_nothing_is_left_to_wait_for(
    cluster: FakeCluster,
    cli: Cli,
    s3_server: S3Server,
    s3_store_uri: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install_with_store(cluster, s3_server, s3_store_uri)
    assert cli("submit", "digits", "--run=test").code == 0
    clock, idle = count(0.0, VIGIL + 1), [False]
    vigil = Vigil(lambda: idle[0], Cluster(connect), "test", tell, lambda seconds: None, lambda: next(clock))
    for _ in range(3):
        vigil.sleep(1)

    def end(thing: dict[str, Any]) -> None:
        thing["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}

    cluster.api.objects.update("jobs", "trials", "test-orchestrator", end)
    for _ in range(3):
        vigil.sleep(1)
    said = capsys.readouterr().err
    assert said.startswith("job test-orchestrator has ended (")
    assert said.count("another orchestrator works on the run, and this is what it does") == 1
    idle[0] = True
    cluster.api.faults = lambda ask: Fault(status=503)
    for _ in range(3):
        vigil.sleep(1)
    cluster.api.faults = no_fault
    vigil.sleep(1)
    with pytest.raises(LauncherError, match="job test-orchestrator has ended, but the run has not"):
        vigil.sleep(1)


def test_an_outage_while_it_is_waited_for(
    cluster: FakeCluster, cli: Cli, s3_server: S3Server, s3_store_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    install_with_store(cluster, s3_server, s3_store_uri)
    assert cli("submit", "digits", "--run=test").code == 0
    rounds, client = count(1), Cluster(connect)

    def sleep(seconds: float) -> None:
        cluster.api.faults = (lambda ask: Fault(status=503)) if next(rounds) < 4 else no_fault

    wait_for_start(iter([True, True, True, True, False]).__next__, client, "test", sleep, tell)
    assert capsys.readouterr().err.count("refused to get job test-orchestrator: 503") == 3
    cluster.api.faults = lambda ask: Fault(status=503)
    with pytest.raises(ClusterError, match="503"):
        wait_for_start(lambda: True, client, "test", sleep, tell)
