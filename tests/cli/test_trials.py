from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import Any

import pytest

from metaqnn_orch.control.events import Failed, Opened, Proposed, Told
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.launchers.base import Phase
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.checks import first_rates
from metaqnn_trainer.contract.codec import decode, encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, Trained, needs_trainer
from tests.control.world import Session, deliver, result_for, settings, told_order

OF_STOPPED = ["measured", "predicted", "spread"]
PROMISED = [
    *("trial", "net", "epsilon", "state", "reward", "val_accuracy", "params", "macs", "seconds"),
    *("started", "ended", "attempts", "estimated"),
    *OF_STOPPED,
]


@needs_trainer
def test_what_was_trained_is_what_the_results_say(trained: Trained, cli: Cli) -> None:
    rows = cli("trials", "first", "--store", trained.store, "-o", "json").json()
    store = DirectoryStore(trained.store)
    assert [row["trial"] for row in rows] == told_order(store, "first")
    for row in rows:
        result = decode(TrainingResult, store.get(keys.result("first", row["trial"])), "result.json")
        assert list(row) == [*PROMISED, "measures"]
        assert (row["state"], row["val_accuracy"], row["params"]) == (result.status, result.val_accuracy, result.params)
        assert parse_net(row["net"])
        assert (row["macs"], row["attempts"]) == (result.macs, 1)
        took = datetime.fromisoformat(row["ended"]) - datetime.fromisoformat(row["started"])
        assert took.total_seconds() == pytest.approx(result.seconds, abs=0.002)


def test_the_three_forms_say_the_same(finished: DirectoryStore, cli: Cli) -> None:
    rows = cli("trials", "test", "--store", finished.uri, "-o", "json").json()
    assert len(rows) == 12
    comma_separated = cli("trials", "test", "--store", finished.uri, "-o", "csv").out
    assert [
        {name: row[name] for name in PROMISED}
        | {name: float(row[name]) for name in ("epsilon", "reward", "val_accuracy", "seconds")}
        | {name: int(row[name]) for name in ("params", "macs", "attempts")}
        | {"estimated": row["estimated"] == "True"}
        | {name: None for name in (*OF_STOPPED, "started") if not row[name]}
        | {"measures": {"accuracy": float(row["measure.accuracy"])}}
        for row in csv.DictReader(io.StringIO(comma_separated))
    ] == rows
    heading, *lines = cli("trials", "test", "--store", finished.uri).out.splitlines()
    assert heading.split() == ["trial", "state", "epsilon", "val", "accuracy", "params", "seconds", "attempts", "net"]
    for line, row in zip(lines, rows, strict=True):
        assert line.startswith(row["trial"])
        assert line.endswith(row["net"])
        assert f"{row['val_accuracy']:.4f}" in line.split()


def test_every_state_has_its_row(store: DirectoryStore, cli: Cli) -> None:
    seen: list[str] = []

    def one_after_the_other(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        if request.trial not in seen:
            seen.append(request.trial)
        place = seen.index(request.trial)
        if place == 0:
            return Phase.CRASHED
        if place in (1, 2):
            rates = first_rates(request.spec.recipe)
            tried: dict[str, Any] = (
                {"epochs": 1, "learning_rates": rates} if place == 1 else {"epochs": 0, "learning_rates": rates[:1]}
            )
            status = "untrainable" if place == 1 else "too_large"
            result = result_for(request, status=status, val_accuracy=0.1, best_epoch=0, **tried)
            store.put(keys.result(request.run, request.trial), encode(result))
            return Phase.DELIVERED
        return deliver(store, request, attempt)

    Session(store, settings(execution__max_trials=5)).run_to_end(one_after_the_other, parallel=1)
    rows = cli("trials", "test", "--store", store.uri, "-o", "json").json()
    assert [row["state"] for row in rows] == ["abandoned", "untrainable", "too_large", *["completed"] * 3]
    assert (rows[0]["attempts"], rows[0]["val_accuracy"]) == (3, None)
    assert cli("trials", "test", "--store", store.uri).out.splitlines()[1].split()[3:7] == ["-", "-", "-", "3"]


def test_a_net_that_was_stopped_early_says_what_was_measured_and_what_foretold(store: DirectoryStore, cli: Cli) -> None:
    prediction = {"accuracy": 0.75, "spread": 0.01, "best": 0.9}

    def stopped(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        result = result_for(request, status="stopped_early", val_accuracy=0.5, prediction=prediction)
        store.put(keys.result(request.run, request.trial), encode(result))
        return Phase.DELIVERED

    Session(store, settings(execution__max_trials=1)).run_to_end(stopped)
    (row,) = cli("trials", "test", "--store", store.uri, "-o", "json").json()
    assert (row["state"], row["val_accuracy"]) == ("stopped_early", 0.75)
    assert [row[name] for name in OF_STOPPED] == [0.5, 0.75, 0.01]
    line = cli("trials", "test", "--store", store.uri).out.splitlines()[1]
    assert line.split()[1:6] == ["stopped_early", "at", "0.5000", "1.00", "0.7500"]
    assert cli("status", "test", "--store", store.uri, "-o", "json").json()["stopped_early"] == 1
    assert cli("pull", "test", "--store", store.uri, "--to", "nowhere").code == 2


def test_a_trial_in_flight_has_no_accuracy_yet(store: DirectoryStore, cli: Cli) -> None:
    session = Session(store, settings())
    session.open()
    opened = Opened(at="now", session=session.name, owner="me", version="0", goal=12)
    session.journal.append([opened, Proposed(step=0, epsilon=1.0, net="[SM(10)]", trial="0123456789ab")])
    (row,) = cli("trials", "test", "--store", store.uri, "-o", "json").json()
    assert row["state"] == "waiting", "nobody works on the run"
    session.hold.beat("2027-01-01T00:00:00+00:00")
    (row,) = cli("trials", "test", "--store", store.uri, "-o", "json").json()
    assert row == {
        "trial": "0123456789ab",
        "net": "[SM(10)]",
        "epsilon": 1.0,
        "state": "in_flight",
        "reward": None,
        "val_accuracy": None,
        **dict.fromkeys(("params", "macs", "seconds", "started", "ended")),
        "attempts": 1,
        "estimated": False,
        **dict.fromkeys(OF_STOPPED),
        "measures": {},
    }
    assert cli("trials", "test", "--store", store.uri, "-o", "csv").out.splitlines()[1] == (
        "0123456789ab,[SM(10)],1.0,in_flight,,,,,,,,1,False,,,"
    )


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_run_that_has_not_begun_has_no_rows(form: str, store: DirectoryStore, cli: Cli) -> None:
    Session(store, settings()).open()
    answer = cli("trials", "test", "--store", store.uri, "-o", form)
    assert answer.code == 0
    assert answer.out.strip() == {"json": "[]", "csv": ",".join(PROMISED)}.get(form, answer.out.strip())
    assert "completed" not in answer.out


def test_words_of_a_worker_stay_words(store: DirectoryStore, cli: Cli) -> None:
    session = Session(store, settings())
    session.open()
    evil = "\x1b[2J\x1b]0;owned\x07\r\x9b31m"
    trial = "0123456789ab"
    session.journal.append(
        [
            Proposed(step=0, epsilon=1.0, net="[SM(10)]", trial=trial),
            Failed(at=evil, trial=trial, attempt=1, kind=Phase.CRASHED, detail=evil),
            Told(
                at=evil,
                trial=trial,
                attempt=2,
                status="completed",
                reward=0.5,
                measures={"accuracy": 0.5},
                params=1,
                macs=1,
                seconds=1.0,
                device=evil,
            ),
        ]
    )
    for command in ("trials", "status"):
        for form in ("table", "json"):
            answer = cli(command, "test", "--store", store.uri, "-o", form)
            assert answer.code == 0
            assert answer.out.replace("\n", "").isprintable()


def test_the_order_is_that_of_proposals(finished: DirectoryStore, cli: Cli) -> None:
    proposed = [event.trial for event in Journal(finished, "test").read() if event.type == "proposed"]
    rows = cli("trials", "test", "--store", finished.uri, "-o", "json").json()
    assert [row["trial"] for row in rows] == list(dict.fromkeys(proposed))
