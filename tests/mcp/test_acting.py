"""Starts and cancels of an assistant: previewed, confirmed, and within the server's budget."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.detaching import Detached
from metaqnn_orch.errors import BadInput, LauncherError, NotFound
from metaqnn_orch.mcp.acting import Cancelling, Starting
from metaqnn_orch.mcp.allowance import Allowance
from metaqnn_orch.mcp.confirming import SECONDS, Confirmations
from metaqnn_orch.mcp.reading import Reading
from metaqnn_orch.settings.sources import load_settings, without_settings
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, settings
from tests.reporting.runs import write_run


class World:
    """A store, a server's tools, and searches that are only pretended: what they train is written by the test."""

    def __init__(self, folder: Path, trials: int | None, hours: float | None) -> None:
        self.store = DirectoryStore(folder / "store")
        self.folder = folder
        self.started: list[list[str]] = []
        self.seen: list[Any] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.code: int | None = None
        self.allowance = Allowance(trials, hours)
        reading = Reading(lambda: self.store, folder=folder)
        self.tools = Starting(lambda: self.store, reading, self.allowance, LauncherName.LOCAL, self.detach)

    def detach(self, arguments: list[str], store: Store, run: str) -> Detached:
        self.started.append(arguments)
        self.seen.append(load_settings(arguments[1], {}, [], {}).settings)
        self.processes.append(subprocess.Popen(["sleep", "100"]))
        return Detached(self.processes[-1], self.folder / "log", self.code)

    def end(self) -> None:
        """Let the searches end."""
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, trials=5, hours=2.0)
    yield made
    made.end()


def test_a_start_is_shown_first_and_then_done_as_it_was_shown(world: World) -> None:
    file = world.folder / "mine.yaml"
    file.write_text("preset: digits\nseed: 3\n")
    seen = world.tools.preview_start("first", "mine.yaml", trials=3, hours=0.5, settings=["recipe.epochs=2"])
    assert seen["estimate"]["nets"] == 3
    assert seen["budget_left"] == {"trials": 5, "hours": 2.0}
    assert world.started == []
    assert [*world.store.list("runs/")] == []

    file.write_text("preset: digits\nseed: 4\n")
    made = world.tools.start(seen["token"])
    assert made["budget_left"] == {"trials": 2, "hours": 1.5}
    (arguments,) = world.started
    assert arguments[2:] == ["--run", "first", "--launcher", "local", "--store", world.store.uri]
    (begun,) = world.seen
    assert (begun.seed, begun.recipe.epochs, begun.goal, begun.budget.gpu_hours) == (3, 2, 3, 0.5)


def test_a_token_is_good_for_one_start_that_was_shown(world: World) -> None:
    token = world.tools.preview_start("first", "digits", trials=1)["token"]
    world.tools.start(token)
    for wrong in (token, "", "guess"):
        with pytest.raises(BadInput, match="confirms nothing") as error:
            world.tools.start(wrong)
        assert "preview_start" in error.value.hint
    assert len(world.started) == 1


def test_a_start_of_a_run_that_has_nothing_left_to_do_says_so_and_uses_no_budget(world: World) -> None:
    world.code = 0
    token = world.tools.preview_start("first", "digits", trials=1)["token"]
    with pytest.raises(BadInput, match="run first has nothing left to do"):
        world.tools.start(token)
    assert world.allowance.left()["trials"] == 5


def test_a_token_grows_old() -> None:
    now = [0.0]
    shown: Confirmations[str] = Confirmations("preview", lambda: now[0])
    young, old = shown.show("a"), shown.show("b")
    assert shown.confirmed(young) == "a"
    now[0] = SECONDS + 1
    with pytest.raises(BadInput, match="confirms nothing"):
        shown.confirmed(old)


def test_no_start_goes_over_the_budget_of_all_starts(world: World) -> None:
    with pytest.raises(BadInput, match="would train 6 nets, and of the server's budget of 5 trials 5 are left"):
        world.tools.preview_start("big", "digits", trials=6)
    with pytest.raises(BadInput, match="hours"):
        world.tools.preview_start("long", "digits", trials=1, hours=2.5)
    one, other = (world.tools.preview_start(run, "digits", trials=3, hours=1)["token"] for run in ("one", "other"))
    world.tools.start(one)
    with pytest.raises(BadInput, match="3 nets, and of the server's budget of 5 trials 2 are left"):
        world.tools.start(other)
    assert len(world.started) == 1


def test_without_hours_asked_for_a_start_gets_what_is_left_and_no_more(world: World) -> None:
    world.tools.start(world.tools.preview_start("one", "digits", trials=1, hours=1.5)["token"])
    seen = world.tools.preview_start("two", "digits", trials=1)
    assert seen["most_hours"] == 0.5
    world.tools.start(seen["token"])
    with pytest.raises(BadInput, match=r"0\.00 are left"):
        world.tools.preview_start("three", "digits", trials=1)


def test_what_a_search_did_not_use_comes_back_when_it_has_ended(world: World) -> None:
    world.tools.start(world.tools.preview_start("test", "digits", trials=5, hours=1)["token"])
    with pytest.raises(BadInput, match="0 are left"):
        world.tools.preview_start("more", "digits", trials=1)
    world.end()
    assert world.allowance.left() == {"trials": 5, "hours": 2.0}, "it left no run: nothing was used"


def test_a_search_that_trained_counts_with_what_it_used_but_not_with_more_than_it_was_granted(world: World) -> None:
    world.tools.start(world.tools.preview_start("test", "digits", trials=4, hours=1)["token"])
    write_run(world.store)  # somebody went on with it
    world.end()
    left = world.allowance.left()
    assert left["trials"] == 1
    assert left["hours"] is not None
    assert 1 <= left["hours"] < 2


def test_repetitions_count_as_trainings(world: World) -> None:
    world.allowance = Allowance(100, None)
    world.tools = Starting(
        lambda: world.store, Reading(lambda: world.store), world.allowance, LauncherName.LOCAL, world.detach
    )
    world.tools.start(world.tools.preview_start("test", "digits", trials=50)["token"])
    session = Session(world.store, settings(search={"method": "random", "confirm": {"top": 2, "repeats": 2}}))
    session.run_to_end()
    world.end()
    assert world.allowance.left()["trials"] == 100 - session.state.unique - 4


def test_variables_of_the_environment_are_not_stronger_than_what_was_shown() -> None:
    kept = {"METAQNN_STORE": "s", "METAQNN_TRACEBACK": "1", "PATH": "p"}
    assert without_settings({**kept, "METAQNN_EXECUTION__MAX_TRIALS": "9", "METAQNN_RECIPE__EPOCHS": "1"}) == kept


@pytest.mark.parametrize(
    "text", ["execution.parallel=64", "execution={parallel: 9}", "budget.gpu_hours=99", "tracking.mlflow=http://x"]
)
def test_what_is_the_persons_to_set_is_refused(text: str, world: World) -> None:
    with pytest.raises(BadInput, match="are the person's to set"):
        world.tools.preview_start("first", "digits", trials=1, settings=[text])


def test_a_search_that_ends_at_once_costs_nothing_and_is_an_error(world: World) -> None:
    world.code = 6
    token = world.tools.preview_start("first", "digits", trials=5)["token"]
    with pytest.raises(LauncherError, match="exit code 6 before it began"):
        world.tools.start(token)
    assert world.allowance.left()["trials"] == 5


def test_a_cancel_is_shown_first(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    session = Session(store, settings())
    session.open()
    tools = Cancelling(lambda: store, LauncherName.LOCAL)
    with pytest.raises(NotFound):
        tools.preview_cancel("nowhere")
    with pytest.raises(BadInput, match="confirms nothing"):
        tools.cancel("test")
    seen = tools.preview_cancel("test")
    assert (seen["run"], seen["in_flight"]) == ("test", 0)
    done = tools.cancel(seen["token"])
    assert done["run"] == "test"
    with pytest.raises(BadInput, match="confirms nothing"):
        tools.cancel(seen["token"])
