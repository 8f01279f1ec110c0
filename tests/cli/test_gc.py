"""metaqnn-orch gc: says what could go, and does it when it is told to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli
from tests.control.world import Session, settings


@pytest.fixture
def session(tmp_path: Path) -> Session:
    store = DirectoryStore(tmp_path / "store", durable=False)
    session = Session(store, settings(execution__max_trials=4))
    session.run_to_end()
    store.put(keys.checkpoint("test", session.state.ranking()[0].trial), b"1234")
    return session


def test_by_default_it_only_says_what_could_go(cli: Cli, session: Session) -> None:
    before = list(session.store.list("runs/"))
    answer = cli("gc", "test", "--store", session.store.uri, "--keep-weights", "best 1")
    assert answer.code == 0
    assert "checkpoints of trials that have ended" in answer.out
    assert "weights of nets that are not among the best" in answer.out
    assert answer.err == "nothing was deleted; to delete it, add --delete\n"
    assert list(session.store.list("runs/")) == before


def test_what_it_says_is_what_it_deletes(cli: Cli, session: Session) -> None:
    told = ("gc", "test", "--store", session.store.uri, "--keep-weights", "best 1", "-o", "json")
    said, done = (json.loads(cli(*told, *more).out) for more in ((), ("--delete",)))
    assert (said["deleted"], done["deleted"]) == (False, True)
    assert said["objects"] == done["objects"]
    assert [thing["bytes"] for thing in said["objects"] if thing["key"].endswith("checkpoint")] == [4]
    assert len(said["objects"]) == 4
    left = {entry.key for entry in session.store.list("runs/")}
    assert not left & {thing["key"] for thing in said["objects"]}
    assert json.loads(cli(*told).out)["objects"] == []
    assert cli("gc", "test", "--store", session.store.uri).err == "nothing that nobody needs was found\n"


def test_progress_of_jobs_with_several_trials_goes_when_no_trial_is_in_flight(cli: Cli, session: Session) -> None:
    key = keys.bundle("test", "0" * 12)
    session.store.put(key, b"{}")
    told = ("gc", "test", "--store", session.store.uri, "-o", "json")
    assert {"key": key, "bytes": 2, "why": "progress of Jobs with several trials"} in json.loads(cli(*told).out)[
        "objects"
    ]
    cli(*told, "--delete")
    assert key not in [entry.key for entry in session.store.list("runs/")]


def test_all_weights_stay_unless_it_is_told_otherwise(cli: Cli, session: Session) -> None:
    told = json.loads(cli("gc", "test", "--store", session.store.uri, "-o", "json").out)
    assert [thing["why"] for thing in told["objects"]] == ["checkpoints of trials that have ended"]


def test_what_no_result_names_goes_and_what_one_names_stays(cli: Cli, session: Session) -> None:
    best, *_ = session.state.ranking()
    orphans = [
        f"{keys.trial('test', best.trial)}{name}"
        for name in (f"history-{'0' * 16}.jsonl", f"weights-{'0' * 16}.safetensors")
    ]
    for key in orphans:
        session.store.put(key, b"12345")
    told = ("gc", "test", "--store", session.store.uri)
    assert "weights and histories that belong to no result" in cli(*told, "--keep-weights", "best 1").out
    done = json.loads(cli(*told, "--delete", "-o", "json").out)
    assert {thing["key"] for thing in done["objects"]} == {*orphans, keys.checkpoint("test", best.trial)}
    assert cli("pull", "test", "--store", session.store.uri, "--to", str(Path(session.store.uri) / "best")).code == 0


@pytest.mark.parametrize("wrong", ["none", "best", "best 0", "10"])
def test_what_it_does_not_understand_is_refused(cli: Cli, session: Session, wrong: str) -> None:
    assert (
        "but must be all, or for example"
        in cli("gc", "test", "--store", session.store.uri, "--keep-weights", wrong).refused()
    )
