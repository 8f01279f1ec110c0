"""metaqnn-orch resume and enqueue: a search goes on, and needs only the name of its run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from metaqnn_orch.control.events import Event, Opened, Proposed
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.queue import waiting
from metaqnn_orch.reporting.summary import read_run
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, needs_trainer, tree
from tests.control.world import Session, settings

FIXTURES = sorted((Path(__file__).parents[1] / "fixtures").iterdir())
NET = "[C(64,3,1), SM(10)]"


def rehearsed(cli: Cli, folder: Path, *more: str) -> tuple[str, ...]:
    """A rehearsal `r` that ended after two nets. Returns the options that name its store."""
    (folder / "table.csv").write_text("net,accuracy\n" + f'"{NET}",0.5\n"[C(32,3,1), SM(10)]",0.7\n')
    where = ("--store", str(folder / "store"))
    table = ("--launcher", "table", "--table", str(folder / "table.csv"))
    small = ("--set=space.max_layers=3", "--max-trials=2", "--parallel=3", "--gpu-hours=7")
    assert cli("start", "digits", "--run", "r", *where, *table, *small, *more).code == 0
    return where


def sessions(store: str) -> list[Opened]:
    return [event for event in Journal(DirectoryStore(store), "r").read() if isinstance(event, Opened)]


def test_a_run_goes_on_as_it_was(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = rehearsed(cli, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert "is complete, nothing is left to do" not in cli("resume", "r", *where, "--max-trials=4").err
    first, second = sessions(where[1])
    assert (first.goal, second.goal) == (2, 4)
    for name in ("launcher", "places", "budget"):
        assert getattr(second, name) == getattr(first, name)
    assert second.settings == {"execution": {"parallel": 3, "max_trials": 4}, "tracking": {}}
    assert cli("resume", "r", *where, "-o", "json").json()["unique"] == 4


def test_what_is_not_recorded_is_asked_for_by_name(cli: Cli, tmp_path: Path) -> None:
    where = rehearsed(cli, tmp_path)
    assert "rehearsal with the table table.csv, which is not in this folder" in cli("resume", "r", *where).refused()
    assert cli("resume", "r", *where, "--max-trials=3", "--table", str(tmp_path / "table.csv")).code == 0
    assert "uses no table" not in cli("resume", "r", *where).err


@pytest.mark.parametrize("release", FIXTURES, ids=lambda folder: str(folder.name))
def test_runs_of_earlier_releases_are_gone_on_with(cli: Cli, tmp_path: Path, release: Path) -> None:
    folder = Path(shutil.copytree(release, tmp_path / "release"))
    done = cli("resume", "rehearsal", "--store", str(folder / "store"), "--table", str(folder / "table.csv"))
    assert done.code == 0, done.err


@needs_trainer
def test_a_search_is_gone_on_with_in_a_fresh_shell(cli: Cli, mine: Path) -> None:
    store = DirectoryStore(mine)
    told = cli("resume", "first", "--store", str(mine), "--set=recipe.epochs=9")
    assert told.code == 2
    assert "recipe.epochs: 2 -> 9" in told.err
    done = cli("resume", "first", "--store", str(mine))
    assert done.code == 0, done.err
    assert read_run(store, "first").state.unique == 5


def test_no_such_run_begins_none(cli: Cli, store: DirectoryStore) -> None:
    assert "there is no store at" in cli("resume", "first", "--store", store.uri).refused()
    assert not Path(store.uri).exists()
    Path(store.uri).mkdir()
    assert "no run 'first'" in cli("resume", "first", "--store", store.uri).refused()
    assert tree(Path(store.uri)) == []


class TestEnqueue:
    @pytest.fixture
    def standing(self, store: DirectoryStore) -> DirectoryStore:
        """A store with the run `test`, which stands after four of twelve nets."""
        session = Session(store, settings(execution__max_trials=4))
        session.run_to_end()
        session.hold.release()
        return store

    def test_a_net_waits_for_the_next_session(self, cli: Cli, standing: DirectoryStore) -> None:
        told = cli("enqueue", "test", NET, "--store", standing.uri, "--set=recipe.epochs=3")
        assert "is in the queue; the run is complete with 4 nets" in told.err
        assert f"resume test --store {standing.uri} --max-trials 5 trains it" in told.err
        (trial,) = waiting(standing, "test", read_run(standing, "test").state)
        again = cli("enqueue", "test", NET, "--store", standing.uri, "--set=recipe.epochs=3", "-o", "json").json()
        assert (again["trial"], again["state"], again["queued"]) == (trial, "queued", True)
        assert cli("status", "test", "--store", standing.uri, "-o", "json").json()["queued"] == 1
        session = Session(standing, settings(execution__max_trials=5), name="two")
        session.run_to_end()
        (row,) = [row for row in cli("trials", "test", "--store", standing.uri, "-o", "json").json() if "origin" in row]
        assert (row["trial"], row["origin"], row["recipe"]) == (trial, "by hand", {"epochs": 3})
        assert "by hand" in cli("trials", "test", "--store", standing.uri).out

    def test_nets_that_wait_before_it_have_their_places(self, cli: Cli, standing: DirectoryStore) -> None:
        cli("enqueue", "test", NET, "--store", standing.uri, "--set=recipe.epochs=3")
        told = cli("enqueue", "test", NET, "--store", standing.uri, "--set=recipe.epochs=4")
        assert f"resume test --store {standing.uri} --max-trials 6 trains it" in told.err
        session = Session(standing, settings(execution__max_trials=6), name="two")
        session.run_to_end()
        assert sorted(trial.recipe["epochs"] for trial in session.state.trials.values() if trial.origin) == [3, 4]

    def test_a_search_that_has_no_place_left_promises_none(self, cli: Cli, store: DirectoryStore) -> None:
        said: dict[int, str] = {}

        def happened(event: Event) -> None:
            state = session.state
            if isinstance(event, Proposed) and state.unique + len(state.in_flight) in (5, 6):
                epochs = f"--set=recipe.epochs={3 + len(said)}"
                said[len(said)] = cli("enqueue", "test", NET, "--store", store.uri, epochs).err

        session = Session(store, settings(execution__max_trials=6))
        session.on_event = happened
        session.run_to_end(parallel=3)
        assert "as it stands, the search takes it as net 6 of 6" in said[0] or "ends with 6 nets" in said[0]
        ends = next(words for words in said.values() if "the search ends with 6 nets" in words)
        assert re.search(r"then metaqnn-orch resume test --store \S+ --max-trials [78] trains it", ends)

    def test_a_schedule_that_has_no_place_left_takes_no_net(self, cli: Cli, store: DirectoryStore) -> None:
        session = Session(store, settings(execution__max_trials=10))
        session.run_to_end()
        session.hold.release()
        for epochs in (3, 4):
            assert cli("enqueue", "test", NET, "--store", store.uri, f"--set=recipe.epochs={epochs}").code == 0
        refused = cli("enqueue", "test", NET, "--store", store.uri, "--set=recipe.epochs=5")
        assert "10 are trained, 0 in training, and 2 wait in the queue before this one" in refused.refused()
        assert cli("enqueue", "test", NET, "--store", store.uri, "--set=recipe.epochs=4").code == 0, "it has its place"

    def test_a_net_that_the_run_has_is_told(self, cli: Cli, standing: DirectoryStore) -> None:
        known = next(iter(read_run(standing, "test").state.trials.values()))
        assert (
            f"has this net: trial {known.trial}, completed"
            in cli("enqueue", "test", known.net, "--store", standing.uri).err
        )
        assert list(standing.list("runs/test/queue/")) == []

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("[C(7,7,7), SM(10)]",), "cannot be trained in run test"),
            (("x" * 5000,), "cannot be trained in run test"),
            ((NET, "--set=recipe.epochs=many"), "recipe.epochs must be a whole number"),
            ((NET, "--set=space.max_layers=9"), "only recipe may be changed here"),
        ],
    )
    def test_what_cannot_be_trained_is_refused(
        self, cli: Cli, standing: DirectoryStore, arguments: tuple[str, ...], words: str
    ) -> None:
        before = list(standing.list(""))
        assert words in cli("enqueue", "test", *arguments, "--store", standing.uri).refused()
        assert list(standing.list("")) == before

    def test_a_run_whose_schedule_is_trained_says_what_to_do(self, cli: Cli, finished: DirectoryStore) -> None:
        answer = cli("enqueue", "test", NET, "--store", finished.uri)
        assert "all 12 nets of its schedule are trained" in answer.refused()
        assert "--warm-start-from test" in answer.err
