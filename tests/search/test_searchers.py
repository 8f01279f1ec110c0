"""What holds of every searcher: those that are built in, and one that asks for everything a proposal can ask for.

Whoever adds a searcher adds nothing here: built-in ones are found as the product finds them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from metaqnn_orch.control import proposer
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Outcome, Stop
from metaqnn_orch.errors import SettingsError
from metaqnn_orch.search.searcher import SEARCHERS, Experience, Known, Setup
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.spaces.cnn.space import Cnn
from metaqnn_trainer.store.directory import DirectoryStore
from tests import built_in
from tests.control.world import Session, accuracy_of, settings

METHODS = sorted(SEARCHERS.members())


def searched_by(method: str, **changes: object) -> Settings:
    return settings(search={"method": method}, **changes)


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass
class Ask:
    """A searcher that is asked and told without a run: so many results come in `late`, one proposal after another."""

    settings: Settings
    late: int = 3

    def __post_init__(self) -> None:
        self.searcher = self.settings.searcher()
        self.told: list[Experience] = []
        self.flying: list[str] = []
        self.designs: dict[str, None] = {}

    @property
    def known(self) -> Known:
        unique = len({experience.design for experience in self.told})
        return Known(unique, self.flying, self.designs.keys())

    def step(self, number: int) -> str:
        proposal = self.searcher.propose(number, self.known)
        assert proposal is not None
        if proposal.design not in self.designs:
            self.designs[proposal.design] = None
            self.flying.append(proposal.design)
        if len(self.flying) > self.late:
            design = self.flying.pop(0)
            self.tell(Experience(design, accuracy_of(design)))
        return proposal.design

    def tell(self, experience: Experience) -> None:
        self.told.append(experience)
        self.searcher.tell(experience)

    def steps(self, first: int, count: int) -> list[str]:
        return [self.step(number) for number in range(first, first + count)]


def test_the_paper_s_is_the_default() -> None:
    assert settings().search.method == "q-learning"
    assert [*built_in.METHODS] == ["evolution", "guided", "local-search", "q-learning", "random"]


@pytest.mark.parametrize("limits", [{}, {"max_params": 3000}, {"max_layers": 1}])
def test_proposals_are_canonical_designs_of_the_space(method: str, limits: dict[str, int]) -> None:
    ask = Ask(searched_by(method, **{f"space__{name}": value for name, value in limits.items()}))
    space = ask.searcher.space
    for design in ask.steps(0, 60):
        assert space.walk(design)
        assert space.canonical(design) == design
        assert space.after(design) is None


def test_they_depend_on_the_seed_and_on_nothing_of_the_process(method: str) -> None:
    first, second, other = (Ask(searched_by(method, seed=seed)) for seed in (1, 1, 2))
    random.seed(7)
    ours = first.steps(0, 40)
    random.seed(8)
    assert second.steps(0, 40) == ours
    assert other.steps(0, 40) != ours


@pytest.mark.parametrize("after", [0, 1, 9, 50])
@pytest.mark.parametrize("kept", [True, False], ids=["by its snapshot", "from what it was told"])
def test_a_rebuilt_one_proposes_the_same(method: str, after: int, kept: bool) -> None:
    ask = Ask(searched_by(method))
    ask.steps(0, after)
    again = Ask(ask.settings)
    again.told, again.flying, again.designs = [*ask.told], [*ask.flying], dict(ask.designs)
    if kept:
        again.searcher.restore(ask.searcher.snapshot(), (), 1.0, ask.told)
    else:
        for experience in ask.told:
            again.searcher.tell(experience)
    assert again.steps(after, 30) == ask.steps(after, 30)


def test_it_may_begin_with_what_another_run_was_told(method: str) -> None:
    rows = [(design, accuracy_of(design)) for design in Ask(searched_by("random", seed=9)).steps(0, 20)]
    one, two = (Ask(searched_by(method)) for _ in range(2))
    one.searcher.recall(rows, 0.5)
    two.searcher.recall(rows, 0.5)
    assert one.steps(0, 20) == two.steps(0, 20)
    third = Ask(searched_by(method))
    third.told, third.flying, third.designs = [*one.told], [*one.flying], dict(one.designs)
    third.searcher.restore(one.searcher.snapshot(), rows, 0.5, one.told)
    assert third.steps(20, 10) == one.steps(20, 10)


class Watched(Cnn):
    """A space that remembers of which designs it was asked for changes, apart from changes of a change."""

    def __init__(self, of: Settings) -> None:
        super().__init__(of.space, of.model)
        self.centres: list[str] = []
        self.last = ""

    def neighbours(self, design: str) -> Iterator[str]:
        self.centres.append(design)
        return super().neighbours(design)

    def mutated(self, design: str, rng: random.Random) -> str:
        if design != self.last:
            self.centres.append(design)
        self.last = super().mutated(design, rng)
        return self.last


@pytest.mark.parametrize("predicted", [0.0, 1.0])
@pytest.mark.parametrize("name", ["evolution", "guided", "local-search"])
def test_a_net_that_was_stopped_early_is_no_parent_and_no_centre(name: str, predicted: float) -> None:
    ask = Ask(searched_by(name))
    space = Watched(ask.settings)
    ask.searcher = SEARCHERS.load(name)(Setup(space, ask.searcher.options, ask.searcher.randomness, ()))
    told = [*dict.fromkeys(Ask(searched_by("random", seed=9)).steps(0, 60))]
    stopped = {*told[::3]}
    for design in told:
        ask.designs[design] = None
        reward = predicted if design in stopped else accuracy_of(design)
        ask.tell(Experience(design, reward, trained=design not in stopped))
    ask.steps(0, 30)
    assert space.centres
    assert not {*space.centres} & stopped


@pytest.mark.parametrize("beginning", ["[]", "[C(64,3,1)]", "[C(64,3,1), SM(10)]"])
def test_it_explains_each_legal_move_and_changes_nothing_by_it(method: str, beginning: str) -> None:
    ask, twin = Ask(searched_by(method)), Ask(searched_by(method))
    ask.steps(0, 30)
    twin.steps(0, 30)
    beliefs, choice = ask.searcher.explain(beginning, ask.known)
    here = ask.searcher.space.after(beginning)
    legal = [] if here is None else [str(move) for move in ask.searcher.space.legal(here)]
    assert sorted(belief.move for belief in beliefs) == sorted(legal)
    probabilities = [belief.probability for belief in beliefs if belief.probability is not None]
    assert not probabilities or sum(probabilities) == pytest.approx(1)
    assert choice
    assert ask.steps(30, 10) == twin.steps(30, 10)


def test_a_run_with_it_resumes_as_if_nobody_had_stopped_it(method: str, tmp_path: Path) -> None:
    wanted = searched_by(method)
    twin = Session(DirectoryStore(tmp_path / "twin"), wanted)
    assert twin.run_to_end(parallel=1) is Outcome.GOAL
    store = DirectoryStore(tmp_path / "store")
    for moment in (3, 8, 20):
        session = Session(store, wanted)
        looks = iter([Stop.NO] * moment + [Stop.NOW] * 1000)
        session.stop = lambda looks=looks: next(looks)  # type: ignore[misc]
        session.run_to_end(parallel=1)
    session = Session(store, wanted)
    session.run_to_end(parallel=1)
    assert [trial.net for trial in session.state.presented] == [trial.net for trial in twin.state.presented]
    assert session.state.beliefs() == twin.state.beliefs()
    folded = RunState(wanted)
    for event in Journal(store, "test").read():
        folded.apply(event)
    assert folded.beliefs() == twin.state.beliefs()


def test_a_space_that_is_used_up_ends_the_run(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposer, "FRUITLESS_PROPOSALS", 200)  # of four designs
    small = {"max_layers": 1, "convolution": {"filters": [4], "kernels": [1]}, "fully_connected": {"units": []}}
    wanted = searched_by(method, **{f"space__{name}": value for name, value in small.items()})
    session = Session(DirectoryStore(tmp_path), wanted)
    assert session.run_to_end() is Outcome.EXHAUSTED
    assert session.state.unique == 4, "[GAP], [SM], and each of them after the one convolution"


def test_each_has_a_summary_and_refuses_options_that_it_does_not_have(method: str) -> None:
    kind = SEARCHERS.load(method)
    assert kind.summary
    assert "\n" not in kind.summary
    with pytest.raises(SettingsError, match=r"unknown setting search\.populaton"):
        settings(search={"method": method, "populaton": 3})


def test_a_method_that_nobody_has_installed() -> None:
    with pytest.raises(
        SettingsError, match=r"search\.method: there is no 'evolutoin' among the searchers: evolution, guided"
    ):
        settings(search={"method": "evolutoin"})
