from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from metaqnn_orch.control.holder import Hold, this_process
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.launchers.base import Phase
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode, encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, Trained, needs_trainer, tree
from tests.control.world import Session, deliver, settings

PROMISED = {"run", "state", "epsilon", "told", "unique", "in_flight", "failed", "best", "q_digest", "journal_position"}


@needs_trainer
def test_a_run_that_was_really_trained(trained: Trained, cli: Cli) -> None:
    found = cli("status", "first", "--store", trained.store, "-o", "json").json()
    assert found.keys() >= PROMISED
    assert found == {**trained.answer.json(), "late_results": 0, "queued": 0}
    words = [line.split() for line in cli("status", "first", "--store", trained.store).out.splitlines()]
    assert words[:2] == [["run", "first"], ["state", "complete"]]
    assert words[-1] == ["val", "accuracy", f"{found['best']['val_accuracy']:.4f}"]


def test_the_fields_that_scripts_rely_on(finished: DirectoryStore, cli: Cli) -> None:
    found = cli("status", "test", "--store", finished.uri, "-o", "json").json()
    assert found.keys() >= PROMISED
    worth = {"reward", "val_accuracy", "measures", "trainings", "mean_reward", "confirmed"}
    assert found["best"].keys() == {"net", "trial", *worth}
    assert (found["run"], found["state"], found["unique"], found["failed"]) == ("test", "complete", 12, 0)
    assert len(found["q_digest"]) == 64


def test_a_person_is_not_shown_what_says_nothing(finished: DirectoryStore, cli: Cli) -> None:
    shown = cli("status", "test", "--store", finished.uri).out.splitlines()
    assert all(len(line.split("  ")) > 1 and line.split()[-1] not in ("-", "0") for line in shown)
    assert not any(line.startswith(("lost", "warm start", "trouble", "failed")) for line in shown)
    assert cli("status", "test", "--store", finished.uri, "-o", "json").json()["failed"] == 0


def test_a_run_without_a_net_has_no_best(store: DirectoryStore, cli: Cli) -> None:
    session = Session(store, settings())
    session.open()
    found = cli("status", "test", "--store", store.uri, "-o", "json").json()
    assert (found["state"], found["best"], found["told"], found["journal_position"]) == ("new", None, 0, 0)
    assert "best" not in cli("status", "test", "--store", store.uri).out


def test_results_that_came_too_late_are_counted(store: DirectoryStore, cli: Cli) -> None:
    given_up: list[TrainingRequest] = []

    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        if not given_up:
            given_up.append(request)
        return Phase.CRASHED if request == given_up[0] else deliver(store, request, attempt)

    Session(store, settings()).run_to_end(behaviour)
    assert cli("status", "test", "--store", store.uri, "-o", "json").json()["late_results"] == 0
    deliver(store, given_up[0], 1)
    found = cli("status", "test", "--store", store.uri, "-o", "json").json()
    assert (found["failed"], found["late_results"]) == (1, 1)


def test_a_run_going_on_names_its_holder_and_what_it_waits_for(finished: DirectoryStore, cli: Cli) -> None:
    held = Hold(finished, "test", this_process("one", "now"), lambda: 0.0)
    held.beat("now", "no node accepts it")
    found = cli("status", "test", "--store", finished.uri, "-o", "json").json()
    assert (found["holder"], found["trouble"]) == (held.me.owner, "no node accepts it")
    held.release()
    found = cli("status", "test", "--store", finished.uri, "-o", "json").json()
    assert (found["holder"], found["trouble"]) == (None, "")


def test_reading_changes_nothing(finished: DirectoryStore, cli: Cli) -> None:
    before = {entry.key: finished.get(entry.key) for entry in finished.list("")}
    for command in ("status", "trials"):
        for form in ("table", "json"):
            assert cli(command, "test", "--store", finished.uri, "-o", form).code == 0
    assert {entry.key: finished.get(entry.key) for entry in finished.list("")} == before


@pytest.mark.parametrize("command", ["status", "trials"])
def test_a_run_that_is_not_there(command: str, finished: DirectoryStore, cli: Cli) -> None:
    answer = cli(command, "tset", "--store", finished.uri)
    assert answer.refused() == f"no run 'tset' in {finished.uri}"
    assert answer.err.endswith("did you mean test? runs there: test\n")


@pytest.mark.parametrize("command", ["status", "trials"])
def test_a_store_that_is_not_there_is_not_made(command: str, store: DirectoryStore, cli: Cli) -> None:
    answer = cli(command, "test", "--store", store.uri)
    assert answer.refused() == f"there is no store at {store.uri}: no such folder"
    assert tree(Path(store.uri)) == []


def test_foreign_text_in_a_run_is_shown_and_not_obeyed(finished: DirectoryStore, cli: Cli) -> None:
    evil = "\x1b]0;owned\x07\x9b2J\u202e"
    record = decode(RunRecord, finished.get(keys.run_record("test")), "run.json")
    finished.put(keys.run_record("test"), encode(record.model_copy(update={"uid": evil, "version": evil})))
    Hold(finished, "test", this_process("one", evil).model_copy(update={"host": evil}), lambda: 0.0).beat(evil)
    answer = cli("status", "test", "--store", finished.uri)
    assert answer.code == 0
    assert "owned" in answer.out
    assert answer.out.replace("\n", "").isprintable()


def test_attempts_that_were_lost_are_counted(store: DirectoryStore, cli: Cli) -> None:
    def crash_once(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        return Phase.CRASHED if attempt == 1 else deliver(store, request, attempt)

    session = Session(store, settings())
    session.run_to_end(crash_once)
    found = cli("status", "test", "--store", store.uri, "-o", "json").json()
    assert (found["attempts_lost"], found["failed"], found["unique"]) == (12, 0, 12)


def test_attempts_that_were_lost_by_how_they_ended_and_since_when(store: DirectoryStore, cli: Cli) -> None:
    asked: list[TrainingRequest] = []

    def lost_at_first(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        asked.append(request)
        if len(asked) <= 3:
            return (Phase.CUT_OFF, Phase.DISRUPTED, Phase.CUT_OFF)[len(asked) - 1]
        return deliver(store, request, attempt)

    begun, seconds = datetime(2026, 1, 1, tzinfo=UTC), count()
    session = Session(store, settings(), now=lambda: (begun + timedelta(seconds=next(seconds))).isoformat())
    session.run_to_end(lost_at_first, parallel=1)
    found = cli("status", "test", "--store", store.uri, "-o", "json").json()
    assert found["lost"] == {"disrupted": 1, "cut off": 2}
    assert (found["lost_in_a_row"], found["braked_since"]) == (0, None)
    assert list(found["losses"]) == ["disrupted", "cut off"], "the newest is the last"
    cut_off = found["losses"]["cut off"]
    assert (cut_off["attempts"], cut_off["detail"]) == (2, "cut off as told")
    assert cut_off["since"] < found["losses"]["disrupted"]["since"] < cut_off["last"]
    lines = cli("status", "test", "--store", store.uri).out.splitlines()
    (line,) = [line for line in lines if line.startswith("losses ")]
    assert f"2 cut off since {cut_off['since']}, the last at {cut_off['last']}: cut off as told" in line
