"""Every searcher from the command line: what `start` says of it, and what one sees of its run."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_orch.control.state import RunState
from metaqnn_orch.search.searcher import SEARCHERS
from tests.cli.conftest import Answer, Cli, settings_file
from tests.control.world import settings

METHODS = sorted(SEARCHERS.members())


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(method: str, tmp_path: Path) -> list[object]:
    """The arguments of a rehearsal of twelve nets."""
    table = tmp_path / "table.csv"
    table.write_text('net,accuracy\n"[SM(10)]",0.5\n"[GAP(10), SM(10)]",0.2\n')
    first = {"random_first": 4} if method in ("guided", "local-search") else {}
    wanted = settings(
        dataset__digest=None, execution__poll_seconds=0.01, search={"method": method, "confirm": {"top": 0}, **first}
    )
    file, where = settings_file(tmp_path, wanted), tmp_path / "store"
    return [
        *("start", file, "--run", "one", "--store", where, "--launcher", "table", "--table", table, "--parallel", "1")
    ]


@pytest.fixture
def started(start: list[object], cli: Cli) -> Answer:
    answer = cli(*start)
    assert answer.code == 0, answer.err
    return answer


@pytest.fixture
def epsilon(method: str) -> bool:
    """Whether the method has an epsilon."""
    return RunState(settings(search={"method": method})).epsilon is not None


def test_start_says_which_method_runs(
    started: Answer, method: str, epsilon: bool, start: list[object], cli: Cli
) -> None:
    summary = SEARCHERS.load(method).summary
    name, colon, _ = summary.partition(": ")
    assert name
    assert colon
    source = SEARCHERS.find(method).identity or "docs/search.md"
    assert started.err.splitlines().count(f"searching by {summary} ({source})") == 1
    assert ("epsilon" in started.out.splitlines()[0].split()) == epsilon
    assert "searching by" not in cli(*start).err, "a complete run searches no more"


def test_so_does_a_dry_run(method: str, epsilon: bool, start: list[object], cli: Cli) -> None:
    bill = cli(*start, "--dry-run")
    assert f"searches by  {SEARCHERS.load(method).summary}\n" in bill.out
    assert bill.out.startswith("epsilon") == epsilon
    found = cli(*start, "--dry-run", "-o", "json").json()
    assert (found["method"], bool(found["phases"]), found["nets"]) == (method, epsilon, 12)


@pytest.mark.usefixtures("started")
def test_status_and_trials(method: str, epsilon: bool, tmp_path: Path, cli: Cli) -> None:
    of_run = ("one", "--store", tmp_path / "store")
    fields = dict(line.split(maxsplit=1) for line in cli("status", *of_run).out.splitlines() if " " in line.strip())
    assert fields["method"] == method
    assert ("epsilon" in fields) == epsilon
    found = cli("status", *of_run, "-o", "json").json()
    assert (found["method"], found["unique"], found["epsilon"] is not None) == (method, 12, epsilon)
    heading, *rows = cli("trials", *of_run).out.splitlines()
    assert ("epsilon" in heading.split()) == epsilon
    assert len(rows) == 12
    assert all("epsilon" in row for row in cli("trials", *of_run, "-o", "json").json())


@pytest.mark.usefixtures("started")
def test_explain(method: str, tmp_path: Path, cli: Cli) -> None:
    of_run = ("one", "--store", tmp_path / "store")
    heading, *_ = cli("explain", *of_run).out.splitlines()
    values = {"q-learning": "q value  updates  probability", "guided": "expected reward", "random": "probability"}
    values["epnas"] = "probability"  # of plugins/
    said = "".join(f"{words}  " for words in [values.get(method)] if words)
    assert " ".join(heading.split()).startswith(" ".join(f"layer {said}trained best accuracy".split()))
    found = cli("explain", *of_run, "-o", "json").json()
    assert sum(move["trained"] for move in found["moves"]) == 12
    titles = [finding["title"] for finding in found["findings"]]
    assert titles[:2] == (["Features by importance", "Expected reward by length"] if method == "guided" else [])
    shown, later = (cli("explain", *of_run, *after).out for after in ((), ("--after", "C(64,3,1)")))
    assert [title for title in titles if title not in shown] == []
    assert [title for title in titles if title in later] == []


@pytest.mark.usefixtures("started")
def test_report(method: str, tmp_path: Path, cli: Cli) -> None:
    pytest.importorskip("vl_convert", reason="needs the extra: metaqnn-orch[report]")
    to = tmp_path / "report"
    assert cli("report", "one", "--store", tmp_path / "store", "--to", to, "--top", 1).code == 0
    assert (to / "best-so-far.png").stat().st_size > 0
    assert bool([*to.glob("finding-*.csv")]) == (method == "guided")


def test_a_list_of_nets_is_no_search(tmp_path: Path, cli: Cli) -> None:
    file = settings_file(tmp_path, settings(dataset__digest=None, nets=["[SM(10)]"]))
    table = tmp_path / "table.csv"
    table.write_text('net,accuracy\n"[SM(10)]",0.5\n')
    start = ("start", file, "--run", "one", "--store", tmp_path / "store", "--launcher", "table", "--table", table)
    assert "searches by" not in cli(*start, "--dry-run").out
    assert cli(*start, "--dry-run", "-o", "json").json()["method"] is None
    assert "searching by" not in cli(*start).err
    assert cli("status", "one", "--store", tmp_path / "store", "-o", "json").json()["method"] is None


@pytest.mark.parametrize(("population", "said"), [(11, 0), (12, 1), (25, 1)])
def test_evolution_that_never_mutates_is_said(population: int, said: int, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "table.csv").write_text('net,accuracy\n"[SM(10)]",0.5\n"[GAP(10), SM(10)]",0.2\n')
    search = {"method": "evolution", "population": population, "confirm": {"top": 0}}
    file = settings_file(tmp_path, settings(dataset__digest=None, execution__poll_seconds=0.01, search=search))
    where = ("--store", tmp_path / "store", "--launcher", "table", "--table", tmp_path / "table.csv")
    words = (
        f"evolution mutates nothing here, and is random search: its first {population} nets (search.population) are "
        "drawn at random, and this search has 12\n"
    )
    for dry in (("--dry-run",), ("--dry-run", "-o", "json"), ()):
        assert cli("start", file, "--run", "one", *where, *dry).err.count(words) == said
