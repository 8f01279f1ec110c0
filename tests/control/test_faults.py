"""A searcher may be a foreign one: whatever it raises or proposes is one sentence, and the run is none the worse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch.control.surroundings import Outcome
from metaqnn_orch.errors import SearcherFailed
from metaqnn_orch.search.searcher import Experience, Known, Proposal, Setup
from metaqnn_orch.search.searchers.random import RandomOptions, RandomSearch
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import ScriptedLauncher, Session, settings

HONEST = 3  # steps before it turns


class Poison(RandomSearch):
    """An honest random search, until it is not."""

    def __init__(self, setup: Setup, **turned: Any) -> None:
        super().__init__(setup)
        self._turned = turned

    def propose(self, step: int, known: Known) -> Proposal:
        honest = super().propose(step, known)
        if step < HONEST:
            return honest
        if "raises" in self._turned:
            raise self._turned["raises"]
        return honest._replace(**{name: self._turned[name] for name in honest._fields if name in self._turned})

    def tell(self, experience: Experience) -> None:
        if "tells" in self._turned:
            raise self._turned["tells"]


def session_of(store: DirectoryStore, **turned: Any) -> Session:
    session = Session(store, settings(search={"method": "random"}))
    session.open()
    if turned:
        wanted = session.settings
        setup = Setup(wanted.state_space(), RandomOptions(), wanted.randomness, wanted.phases())
        session.state.searcher = Poison(setup, **turned)
    return session


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "it raises": ({"raises": ZeroDivisionError("division by zero")}, "proposing step 3: ZeroDivisionError: division"),
    "it raises in colour": ({"raises": RuntimeError("a\nb\x1b[31m")}, r"proposing step 3: RuntimeError: a b$"),
    "being told, it raises": ({"tells": KeyError("x")}, r"being told of trial [0-9a-f]{12}: KeyError: 'x'"),
    "another space": ({"design": "[C(65,3,1), SM(10)]"}, r"proposes '\[C\(65,3,1\), SM\(10\)\]' at step 3: layer 1"),
    "no net": ({"design": "resnet"}, "proposes 'resnet' at step 3: column 1"),
    "another text": ({"design": "[ SM(10) ]"}, r"'\[ SM\(10\) \]' at step 3, which is no canonical text"),
    "half a net": ({"design": "[C(64,3,1)]"}, "at step 3: "),
    "no recipe": ({"recipe": {"epochs": -1}}, "a recipe at step 3 that is none: epochs: "),
    "weights of a design that nobody proposed": (
        {"initial": "[C(64,3,1), SM(10)]"},
        r"weights to begin with at step 3 of '\[C\(64,3,1\), SM\(10\)\]', which was never proposed",
    ),
    "weights of a number": ({"initial": 7}, "proposes 7 at step 3, which is no text of a design"),
    "a number": ({"design": 7}, "proposes 7 at step 3, which is no text of a design"),
    "it leaves": ({"raises": SystemExit(3)}, "proposing step 3: SystemExit: 3"),
    "an unknown setting": ({"recipe": {"epoch": 3}}, "a recipe at step 3 that is none: epoch: "),
}


@pytest.mark.parametrize(("turned", "says"), CASES.values(), ids=CASES)
def test_whatever_it_does_is_one_sentence(tmp_path: Path, turned: dict[str, Any], says: str) -> None:
    store = DirectoryStore(tmp_path)
    session = session_of(store, **turned)
    with pytest.raises(SearcherFailed, match=says) as failed:
        session.search(ScriptedLauncher(store, parallel=1))
    assert str(failed.value).isprintable()
    assert "searchers plug-in 'random'" in str(failed.value)
    again = session_of(store)
    assert again.search(ScriptedLauncher(store, parallel=1)) is Outcome.GOAL
    assert again.state.abandoned == 0, "nothing of it was launched"


def test_weights_and_recipe_of_a_proposal_make_another_trial_and_stand_in_the_journal(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    first = session_of(store)
    first.search(ScriptedLauncher(store, parallel=1))
    parent = first.state.presented[0]
    store_two = DirectoryStore(tmp_path / "two")
    session = session_of(store_two, recipe={"weight_decay": 0.01})
    assert session.search(ScriptedLauncher(store_two, parallel=1)) is Outcome.GOAL
    changed = [trial for trial in session.state.trials.values() if trial.recipe]
    assert changed
    assert all(trial.recipe == {"weight_decay": 0.01} for trial in changed)
    plain = session.record.spec(session.settings, changed[0].net)
    assert plain.trial_id() != changed[0].trial
    assert session.record.spec(session.settings, changed[0].net, changed[0].recipe).trial_id() == changed[0].trial
    again = Session(store_two, session.settings)
    again.open()
    assert {t.trial: t.recipe for t in again.state.trials.values()} == {
        t.trial: t.recipe for t in session.state.trials.values()
    }
    assert parent.is_plain


def test_weights_to_begin_with_are_found_by_their_design(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    session = session_of(store)
    launcher = ScriptedLauncher(store, parallel=1)
    wanted = session.settings

    class Heir(Poison):
        """Each net begins with the weights of the first."""

        def propose(self, step: int, known: Known) -> Proposal:
            first = next(iter(known.designs), None)
            return RandomSearch.propose(self, step, known)._replace(initial=first if known.told else None)

    session.state.searcher = Heir(Setup(wanted.state_space(), RandomOptions(), wanted.randomness, wanted.phases()))
    assert session.search(launcher) is Outcome.GOAL
    heirs = [trial for trial in session.state.trials.values() if trial.initial is not None]
    assert heirs
    first = next(iter(session.state.trials))
    assert {trial.initial.trial for trial in heirs if trial.initial is not None} == {first}
