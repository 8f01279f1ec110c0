"""What any searcher has learned, as its report and `explain` show it; a plug-in may say whatever it likes."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch.errors import SearcherFailed
from metaqnn_orch.reporting.explain import explain
from metaqnn_orch.reporting.figures import ACCURACY, best_so_far, scale_of
from metaqnn_orch.reporting.findings import findings_figures, findings_of, places
from metaqnn_orch.reporting.front import axes_of, members
from metaqnn_orch.reporting.history import read_history
from metaqnn_orch.reporting.palette import LIGHT
from metaqnn_orch.reporting.report import Report, compose
from metaqnn_orch.reporting.summary import RunView, read_run
from metaqnn_orch.search.searcher import SEARCHERS, Belief, Beliefs, Finding, Goals, Known, Setup
from metaqnn_orch.search.searchers.random import RandomOptions, RandomSearch
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, settings
from tests.reporting.runs import POISON, write_run_with_stopped_nets

METHODS = sorted(SEARCHERS.members())
GUIDED = {"method": "guided", "random_first": 4}


class Foreign(RandomSearch):
    """A plug-in that says something of its own."""

    def __init__(self, says: Callable[[], Any], explains: Callable[[], Any], looks_for: Any) -> None:
        wanted = settings()
        super().__init__(Setup(wanted.state_space(), RandomOptions(), wanted.randomness, wanted.phases()))
        self._says, self._explains, self._looks_for = says, explains, looks_for

    @property
    def goals(self) -> Goals:
        goals: Goals = self._looks_for
        return goals

    def explain(self, beginning: str, known: Known) -> Beliefs:
        beliefs: Beliefs = self._explains()
        return beliefs

    def findings(self) -> list[Finding]:
        findings: list[Finding] = self._says()
        return findings


def searched(store: DirectoryStore, **search: object) -> RunView:
    Session(store, settings(search=search)).run_to_end()
    return read_run(store, "test")


def foreign(
    store: DirectoryStore,
    says: Callable[[], Any] = list,
    explains: Callable[[], Any] = lambda: Beliefs([], "something"),
    looks_for: Any = None,
) -> RunView:
    """A run whose searcher is a plug-in that says this."""
    view = searched(store, method="random")
    view.state.searcher = Foreign(says, explains, looks_for or {})
    return view


def reported(store: DirectoryStore, view: RunView) -> Report:
    pytest.importorskip("vl_convert", reason="needs the extra: metaqnn-orch[report]")
    return compose(view, read_history(store, view), None, top=1)


def raises() -> Any:
    raise ZeroDivisionError("division\nby zero")


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path, durable=False)


@pytest.mark.parametrize("method", METHODS)
def test_the_report_of_every_searcher(method: str, store: DirectoryStore) -> None:
    view = searched(store, **(GUIDED if method == "guided" else {"method": method}))
    made = reported(store, view)
    page = made.files["index.html"].decode()
    assert f"found by {SEARCHERS.load(method).summary.partition(':')[0]}." in page
    assert ("What the searcher believes" in page) == (method in ("guided", "q-learning"))
    assert ("epsilon</button>" in page) == (view.state.epsilon is not None)
    assert {f"{name}.csv" for name in ("best-so-far", "figure-3-learning", "accuracy-and-size")} < made.tables.keys()
    assert "front.csv" not in made.tables


@pytest.mark.parametrize("method", METHODS)
def test_every_searcher_is_explained(method: str, store: DirectoryStore) -> None:
    view = searched(store, **(GUIDED if method == "guided" else {"method": method}))
    found = explain(view.state, "")
    assert len(found.moves) == 14
    assert sum(move.trained for move in found.moves) == view.state.unique
    assert found.choice
    assert [finding.title for finding in found.findings] == [finding.title for finding in findings_of(view.state)]
    assert explain(view.state, "[C(64,3,1)]").findings == []


def test_what_the_forest_believes(store: DirectoryStore) -> None:
    findings = findings_of(searched(store, **GUIDED).state)
    importance, *curves = findings
    assert importance.title == "Features by importance"
    assert places(importance) is None
    shares = [*importance.values.values()]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1 + 1e-9
    assert curves[0].title == "Expected reward by length"
    rewards = [trial.worth for trial in searched(store, **GUIDED).state.trials.values()]
    for curve in curves:
        assert places(curve) == sorted(places(curve) or [])
        assert all(min(rewards) <= value <= max(rewards) for value in curve.values.values())
    figures = findings_figures(findings, LIGHT)
    assert [len(figure.rows) for figure in figures] == [len(finding.values) for finding in findings]


def test_a_list_of_nets_has_no_searcher(store: DirectoryStore) -> None:
    Session(store, settings(nets=["[SM(10)]", "[C(64,3,1), SM(10)]"])).run_to_end()
    view = read_run(store, "test")
    assert findings_of(view.state) == []
    assert "2 networks for digits, from a list." in reported(store, view).files["index.html"].decode()


NONSENSE: dict[str, tuple[Callable[[], Any], str]] = {
    "it raises": (raises, "ZeroDivisionError: division by zero"),
    "nothing": (lambda: None, "TypeError: "),
    "a number": (lambda: [3], "AttributeError: 'int' object has no attribute"),
    "values without names": (lambda: [Finding("a", "b", [1.0])], "AttributeError: 'list' object"),  # type: ignore[arg-type]
    "a title that is none": (lambda: [Finding(None, "b", {"c": 1.0})], "TypeError: "),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("says", "sentence"), NONSENSE.values(), ids=NONSENSE)
def test_findings_that_are_none_are_one_sentence(says: Callable[[], Any], sentence: str, store: DirectoryStore) -> None:
    view = foreign(store, says)
    with pytest.raises(SearcherFailed, match="saying what it has learned: ") as failed:
        explain(view.state, "")
    assert sentence in str(failed.value)
    assert str(failed.value).startswith("searchers plug-in 'random' failed")
    assert str(failed.value).isprintable()
    page = unescape(reported(store, view).files["index.html"].decode())
    assert str(failed.value) in page, "the report is whole but for them, and says so"


BELIEFS: dict[str, tuple[Callable[[], Any], str]] = {
    "it raises": (raises, "ZeroDivisionError: division by zero"),
    "nothing": (lambda: None, "TypeError: "),
    "no move": (lambda: Beliefs([Belief("X(1)")], ""), "'X(1)' is not one of the moves that may follow"),
    "no number": (lambda: Beliefs([Belief("SM(10)", "high")], ""), "ValueError: "),  # type: ignore[arg-type]
    "not finite": (lambda: Beliefs([Belief("SM(10)", float("nan"))], ""), "what it says of SM(10) is not finite"),
}


@pytest.mark.parametrize(("explains", "sentence"), BELIEFS.values(), ids=BELIEFS)
def test_beliefs_that_are_none_are_one_sentence(
    explains: Callable[[], Any], sentence: str, store: DirectoryStore
) -> None:
    view = foreign(store, explains=explains)
    with pytest.raises(SearcherFailed, match="failed while explaining: ") as failed:
        explain(view.state, "")
    assert sentence in str(failed.value)
    assert str(failed.value).isprintable()


def test_only_finite_numbers_and_readable_text_are_shown(store: DirectoryStore) -> None:
    values = {"nan": float("nan"), "inf": float("inf"), "huge": 10**400, "text": "3", POISON: 1.0, "\x1b[2Jb": 2}
    empty = Finding("nothing", "", {"none": None})  # type: ignore[dict-item]
    many = Finding(POISON, POISON * 9, {str(number): 1.0 / number for number in range(1, 10_000)})
    view = foreign(store, lambda: [Finding("a", "b", values), empty, many])  # type: ignore[arg-type]
    first, second = findings_of(view.state)
    assert [*first.values.values()] == [1.0, 2.0]
    assert len(second.values) == 60
    assert all(text.isprintable() and len(text) <= 80 for text in (*first.values, *second[:2]))
    page = reported(store, view).files["index.html"].decode()
    assert page.count("<script>") == 1
    assert "<img" not in page


@pytest.mark.parametrize(
    ("looks_for", "is_front"),
    [({"params": "min"}, True), ({"nobody": "min"}, False), ({3: "min"}, False)],
    ids=["params", "a measure that no net has", "no name"],
)
def test_goals_of_a_plug_in(looks_for: Any, is_front: bool, store: DirectoryStore) -> None:
    made = reported(store, foreign(store, looks_for=looks_for))
    assert ("front.csv" in made.tables) == is_front
    assert "accuracy-and-size.csv" in made.tables


def test_goals_that_are_none_are_one_sentence(store: DirectoryStore) -> None:
    made = reported(store, foreign(store, looks_for="params"))
    assert "failed while naming its goals: AttributeError" in made.files["index.html"].decode()


FRONTS = [{"params": "min"}, {"params": "min", "macs": "min"}, {"params": "max"}]


@pytest.mark.parametrize("wanted", FRONTS, ids=["smaller", "smaller and cheaper", "larger"])
@pytest.mark.parametrize("search", [GUIDED, {"method": "evolution", "population": 5}], ids=["guided", "evolution"])
def test_the_front_that_a_search_looked_for(search: dict[str, Any], wanted: Goals, store: DirectoryStore) -> None:
    view = searched(store, **search, front=wanted)
    ended = read_history(store, view).ended
    found = members(ended, axes_of(view.state.searcher.goals, "accuracy"), view.state.space)
    assert found
    signs = {"accuracy": 1, **{name: 1 if way == "max" else -1 for name, way in wanted.items()}}

    def worths(trial: Any) -> list[float]:
        values = {"accuracy": trial.val_accuracy, "params": trial.params, "macs": trial.macs}
        return [sign * values[name] for name, sign in signs.items()]

    everything = [worths(item.trial) for item in ended]
    undominated = [
        mine
        for mine in everything
        if not any(other != mine and all(a >= b for a, b in zip(other, mine, strict=True)) for other in everything)
    ]
    assert sorted(worths(member.trial) for member in found) == sorted(undominated)
    made = reported(store, view)
    assert [row["trial"] for row in made.tables["front.csv"]] == [member.trial.trial for member in found]
    for name, way in wanted.items():
        table = made.tables[
            "accuracy-and-size.csv" if (name, way) == ("params", "min") else f"front-accuracy-{name}.csv"
        ]
        assert {row["trial"] for row in table if row["pareto"]} >= {member.trial.trial for member in found}
    page = made.files["index.html"].decode()
    assert "The search looked for the front of validation accuracy and " in page
    assert "<h3>The front</h3>" in page


def test_the_best_so_far_only_rises(store: DirectoryStore) -> None:
    ended = read_history(store, searched(store, method="random")).ended
    rows = best_so_far(ended, scale_of(ended, ACCURACY), LIGHT).rows
    assert [row["best"] for row in rows] == [max(item.reward for item in ended[:count]) for count in range(1, 13)]


def test_what_was_foretold_is_no_best(store: DirectoryStore) -> None:
    view = write_run_with_stopped_nets(store)
    ended = read_history(store, view).ended
    rows = best_so_far(ended, scale_of(ended, ACCURACY), LIGHT).rows
    assert rows[-1]["best"] == max(item.reward for item in ended if item.trial.was_trained)
    assert any(item.trial.state == "stopped_early" for item in ended)
