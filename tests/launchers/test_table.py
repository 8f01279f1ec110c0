"""The table launcher: what a table says, when it says it, and what it makes up."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from metaqnn_orch.control.ingest import Trusted, read_result
from metaqnn_orch.errors import BadInput, StoreError
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.table import ESTIMATED, LOOKED_UP, Table, TableLauncher, read_table
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.checks import check_result
from metaqnn_trainer.contract.dataset import object_digest
from metaqnn_trainer.spaces.cnn.layer import Shape, describe, total_cost
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.spaces.cnn.spec import spec_cost
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.errors import Cause
from tests.control.world import INFO, Clock
from tests.launchers.harness import make_request

RECORDED = Path(__file__).parents[3] / "shared" / "paper" / "replay_sample.csv"
SHAPE = Shape(1, 8)
KNOWN, UNKNOWN = "[C(16,3,1), SM(10)]", "[C(16,3,1), C(16,3,1), SM(10)]"


def table_of(*lines: str, head: str = "net,accuracy") -> Table:
    return read_table("\n".join([head, *lines]).encode(), "table.csv", SHAPE)


def small() -> Table:
    return table_of(f'"{KNOWN}",0.75', "[SM(10)],0.1")


def test_a_known_net_is_looked_up_and_an_unknown_one_estimated() -> None:
    assert small().answer(parse_net(KNOWN)) == (0.75, LOOKED_UP)
    accuracy, device = small().answer(parse_net(UNKNOWN))
    assert device == ESTIMATED
    assert 0.1 < accuracy < 0.75


def test_dropout_is_no_part_of_a_net() -> None:
    table = table_of('"[C(16,3,1), C(16,3,1), D(1,1), SM(10)]",0.5')
    assert table.answer(parse_net(UNKNOWN)) == (0.5, LOOKED_UP)


def test_of_several_rows_the_last_counts() -> None:
    table = table_of("[SM(10)],0.1", "[SM(10)],0.2")
    assert len(table) == 1
    assert table.answer(parse_net("[SM(10)]")) == (0.2, LOOKED_UP)


def test_other_columns_may_stand_there() -> None:
    table = table_of("7,[SM(10)],x,0.1", head="number,net,note,accuracy")
    assert table.answer(parse_net("[SM(10)]")) == (0.1, LOOKED_UP)


def test_rows_that_cannot_be_are_refused_one_by_one() -> None:
    table = table_of("[SM(10)],0.1", "[SM(10)],86.0", "[P(9,9)],0.5", '"[P(9,9), SM(10)]",0.5', "x,0.5", "[SM(10)]")
    assert len(table) == 1
    assert sorted(reason.partition(":")[0] for reason in table.refusals.reasons) == [f"line {n}" for n in range(3, 8)]


@pytest.mark.parametrize(
    "data", [b"", b"net,accuracy", b"net\n[SM(10)]", b"net,accuracy\nx,y", b"net,accuracy_best_val\n"]
)
def test_a_file_without_a_usable_row_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        read_table(data, "table.csv", SHAPE)


def test_its_digest_is_the_files() -> None:
    data = b"net,accuracy\n[SM(10)],0.1\n"
    assert read_table(data, "a.csv", SHAPE).digest == object_digest(data)


@pytest.mark.skipif(not RECORDED.exists(), reason="the authors' replay memory is not here")
def test_the_authors_record_is_a_table() -> None:
    table = read_table(RECORDED.read_bytes(), "theirs.csv", Shape(3, 32))
    assert (len(table), table.refusals.count) == (300, 0)
    with RECORDED.open(newline="") as file:
        for row in csv.DictReader(file):
            assert table.answer(parse_net(row["net"])) == (float(row["accuracy_best_val"]), LOOKED_UP)


def test_the_result_is_one_that_the_loop_trusts(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    launcher = TableLauncher(store.put_if_absent, small(), parallel=2)
    for net, accuracy in ((KNOWN, 0.75), (UNKNOWN, None)):
        request = make_request("rehearsal", net)
        launcher.launch(request, 3)
        assert launcher.observe()[request.trial].phase is Phase.DELIVERED
        found = read_result(store, INFO, request)
        assert isinstance(found, Trusted)
        result = found.result
        assert accuracy in (None, result.val_accuracy)
        assert (result.device == ESTIMATED) is (accuracy is None)
        assert (result.attempt, result.status, result.weights, result.history) == (3, "completed", None, None)
        assert (result.params, result.macs) == total_cost(describe(parse_net(net), SHAPE))
        check_result(result, request.spec, spec_cost(request.spec, SHAPE.channels), 10)


def test_a_result_that_is_there_stays(tmp_path: Path) -> None:
    store, request = DirectoryStore(tmp_path), make_request("rehearsal", KNOWN)
    store.put(keys.result(request.run, request.trial), b"first")
    launcher = TableLauncher(store.put_if_absent, small(), parallel=1)
    launcher.launch(request, 1)
    assert launcher.observe()[request.trial].phase is Phase.DELIVERED
    assert store.get(keys.result(request.run, request.trial)) == b"first"


def test_each_trial_takes_its_time_and_places_are_limited(tmp_path: Path) -> None:
    clock = Clock()
    launcher = TableLauncher(
        DirectoryStore(tmp_path).put_if_absent, small(), 2, duration=lambda request: 10.0, monotonic=clock.monotonic
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

    launcher, request = TableLauncher(put_if_absent, small(), parallel=1), make_request("rehearsal", KNOWN)
    launcher.launch(request, 1)
    for _ in range(2):
        with pytest.raises(StoreError, match="away"):
            launcher.observe()
    assert launcher.observe()[request.trial].phase is Phase.DELIVERED


def test_without_scipy_the_hint_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['scipy'] = None\n"
        "from metaqnn_orch.errors import LauncherError\n"
        "from tests.launchers.test_table import KNOWN, UNKNOWN, parse_net, small\n"
        "assert small().answer(parse_net(KNOWN))[0] == 0.75\n"
        "try: small().answer(parse_net(UNKNOWN))\n"
        "except LauncherError as error: print(error.hint)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "pip install 'metaqnn-orch[table]'\n"
