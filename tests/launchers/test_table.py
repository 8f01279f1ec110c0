"""The table launcher: what is answered, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_orch.application.rehearsal import Rehearsal
from metaqnn_orch.control.ingest import Trusted, read_result
from metaqnn_orch.errors import StoreError
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.table import TableLauncher
from metaqnn_orch.replay.table import ESTIMATED
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.checks import check_result
from metaqnn_trainer.spaces.cnn.layer import describe, total_cost
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.spaces.cnn.spec import spec_cost
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.errors import Cause
from tests.control.world import INFO, OBJECTIVE, Clock
from tests.launchers.harness import make_request
from tests.replay.test_table import KNOWN, SHAPE, UNKNOWN, small

REHEARSAL = Rehearsal("table.csv", small(), 0.0)


def test_the_result_is_one_that_the_loop_trusts(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    launcher = TableLauncher(store.put_if_absent, REHEARSAL.answer, parallel=2)
    for net, accuracy in ((KNOWN, 0.75), (UNKNOWN, None)):
        request = make_request("rehearsal", net)
        launcher.launch(request, 3)
        assert launcher.observe()[request.trial].phase is Phase.DELIVERED
        found = read_result(store, INFO, request, OBJECTIVE)
        assert isinstance(found, Trusted)
        result = found.result
        assert accuracy in (None, result.reward)
        assert (result.device == ESTIMATED) is (accuracy is None)
        assert (result.attempt, result.status, result.weights, result.history) == (3, "completed", None, None)
        assert (result.params, result.macs) == total_cost(describe(parse_net(net), SHAPE))
        check_result(result, request.spec, spec_cost(request.spec, SHAPE.channels), 10)


def test_a_result_that_is_there_stays(tmp_path: Path) -> None:
    store, request = DirectoryStore(tmp_path), make_request("rehearsal", KNOWN)
    store.put(keys.result(request.run, request.trial), b"first")
    launcher = TableLauncher(store.put_if_absent, REHEARSAL.answer, parallel=1)
    launcher.launch(request, 1)
    assert launcher.observe()[request.trial].phase is Phase.DELIVERED
    assert store.get(keys.result(request.run, request.trial)) == b"first"


def test_each_trial_takes_its_time_and_places_are_limited(tmp_path: Path) -> None:
    clock = Clock()
    launcher = TableLauncher(
        DirectoryStore(tmp_path).put_if_absent,
        REHEARSAL.answer,
        2,
        duration=lambda request: 10.0,
        monotonic=clock.monotonic,
    )
    requests = [make_request("rehearsal", KNOWN) for _ in range(5)]
    for request in requests:
        launcher.launch(request, 1)
    timeline: list[str] = []
    for _ in range(6):
        timeline.append("".join(launcher.observe()[request.trial].phase.value[0] for request in requests))
        assert not launcher.has_news()
        clock.seconds += 5.0
    # running, pending, delivered; looked at every five seconds
    assert timeline == ["rrppp", "rrppp", "ddrrp", "ddrrp", "ddddr", "ddddr"]
    assert launcher.has_news()
    assert {seen.phase for seen in launcher.observe().values()} == {Phase.DELIVERED}
    assert not launcher.has_news()


def test_a_store_that_fails_is_asked_again(tmp_path: Path) -> None:
    store, failures = DirectoryStore(tmp_path), [StoreError("away", cause=Cause.OUTAGE)] * 2

    def put_if_absent(key: str, data: bytes) -> bool:
        if failures:
            raise failures.pop()
        return store.put_if_absent(key, data)

    launcher, request = TableLauncher(put_if_absent, REHEARSAL.answer, parallel=1), make_request("rehearsal", KNOWN)
    launcher.launch(request, 1)
    for _ in range(2):
        with pytest.raises(StoreError, match="away"):
            launcher.observe()
    assert launcher.observe()[request.trial].phase is Phase.DELIVERED
