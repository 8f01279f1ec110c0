"""`make bench-search`: does it search? The agent and its peers on the same space, objective and budgets, many seeds.

The objective is the table launcher's: a table of trained nets, and for any other net the estimate from those that are
most like it (replay/estimate.py). Such a landscape is smoother than training is, and its best net is known only as
an estimate. To that comes noise, seeded by the net, as if each net had been trained once and for all.

There are two budgets because Optuna's TPE is too slow for the paper's: it takes part in the small one alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import fmean
from time import perf_counter
from typing import Final

import optuna

from benchmarks.landscape import SVHN, write_landscape
from benchmarks.measure import machine, save
from benchmarks.searchers import SEARCHES
from metaqnn_orch.replay.table import read_table
from metaqnn_orch.search import schedule
from metaqnn_trainer.spaces.cnn.notation import parse_net

WINDOW: Final = 100  # nets: what "the last nets" of a search are, and what its curve averages over
POINTS: Final = 60  # of a curve
SLOW: Final = "Optuna TPE"


@dataclass(frozen=True)
class Task:
    """One search."""

    searcher: str
    budget: int
    seed: int


@dataclass(frozen=True)
class Trace:
    """What remains of one search."""

    searcher: str
    budget: int
    seed: int
    seconds: float
    best: float
    """Without noise, of the net that seemed best: what this search would hand over."""
    last: float
    """Mean accuracy of the last WINDOW nets."""
    phases: dict[str, float]
    """Mean accuracy by the epsilon that MetaQNN has at each net."""
    at: list[int]
    """Unique nets tried, at each point of the curves."""
    recent: list[float]
    """Mean accuracy of the WINDOW nets before each point."""
    best_so_far: list[float]
    """Without noise, of the net that seemed best until then."""


class Objective:
    """Accuracies of nets; remembers which it was asked for."""

    def __init__(self, without_noise: Callable[[str], float], noise: float) -> None:
        """`noise` is the standard deviation of a net's accuracy."""
        self.without_noise = without_noise
        self._noise = noise
        self.seen: dict[str, float] = {}

    def __call__(self, net: str) -> float:
        noisy = self.without_noise(net) + self._noise * Random(f"noise/{net}").gauss(0.0, 1.0)
        self.seen[net] = min(1.0, max(0.0, noisy))
        return self.seen[net]


def search(table: bytes, noise: float, task: Task) -> Trace:
    """One search, in a process of its own."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    known = read_table(table, "the table", SVHN)
    objective = Objective(lambda net: known.answer(parse_net(net))[0], noise)
    begun = perf_counter()
    accuracies = list(SEARCHES[task.searcher](objective, task.budget, task.seed))
    seconds = perf_counter() - begun
    nets = list(objective.seen)
    at = sorted({max(1, round(len(nets) * point / POINTS)) for point in range(1, POINTS + 1)})
    best = [objective.without_noise(max(zip(accuracies[:n], nets[:n], strict=True))[1]) for n in at]
    return Trace(
        **asdict(task),
        seconds=seconds,
        best=best[-1],
        last=fmean(accuracies[-WINDOW:]),
        phases=_phases(accuracies, task.budget),
        at=at,
        recent=[fmean(accuracies[max(0, n - WINDOW) : n]) for n in at],
        best_so_far=best,
    )


def _phases(accuracies: Sequence[float], budget: int) -> dict[str, float]:
    phases = schedule.scaled(schedule.PAPER, budget)
    by_epsilon: dict[str, list[float]] = {}
    for number, accuracy in enumerate(accuracies):
        by_epsilon.setdefault(f"{schedule.epsilon_at(phases, number):.1f}", []).append(accuracy)
    return {epsilon: fmean(values) for epsilon, values in by_epsilon.items()}


def search_all(table: bytes, noise: float, tasks: Sequence[Task], jobs: int) -> list[Trace]:
    """Says on standard error what is done."""
    traces: list[Trace] = []
    with ProcessPoolExecutor(jobs) as pool:
        for done in as_completed([pool.submit(search, table, noise, task) for task in tasks]):
            trace = done.result()
            traces.append(trace)
            print(
                f"{len(traces)}/{len(tasks)} {trace.searcher}, {trace.budget} nets, seed {trace.seed}: best "
                f"{trace.best:.3f}, last {trace.last:.3f}, {trace.seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    return sorted(traces, key=lambda trace: (trace.budget, list(SEARCHES).index(trace.searcher), trace.seed))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make bench-search", description=__doc__)
    parser.add_argument("--table", type=Path, help="as for --launcher table; a made landscape by default")
    parser.add_argument("--name", default="made", help="of the landscape, for the names of the files written")
    parser.add_argument("--noise", type=float, default=0.02, help="standard deviation of a net's accuracy")
    parser.add_argument("--budget", type=int, default=schedule.total(schedule.PAPER), help="unique nets")
    parser.add_argument("--small-budget", type=int, default=300, help=f"the one that {SLOW} takes part in; 0 for none")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="two seeds, a tenth of the budgets")
    parser.add_argument("--to", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args(arguments)
    tenth = 10 if options.quick else 1
    small, large = options.small_budget // tenth, options.budget // tenth
    tasks = [
        Task(name, budget, seed)
        for budget in (small, large)
        for name in sorted(SEARCHES, key=lambda name: name != SLOW)  # the longest first
        for seed in range(2 if options.quick else options.seeds)
        if budget and (name != SLOW or budget == small)
    ]
    with tempfile.TemporaryDirectory() as folder:
        table = (options.table or write_landscape(Path(folder) / "table.csv")).read_bytes()
    traces = search_all(table, options.noise, tasks, options.jobs)
    # Not above: the processes that search have no need of them.
    from benchmarks.search_report import draw, tables

    name = f"search-{options.name}"
    about = {"landscape": options.name, "rows": len(read_table(table, "the table", SVHN)), "noise": options.noise}
    content = {"machine": machine("optuna", "scipy"), **about, "traces": [asdict(trace) for trace in traces]}
    title = f"Does it search? Landscape: {options.name}, {about['rows']} nets; noise {options.noise:g}"
    save(options.to, name, title, f"{tables(traces)}\n![the searches]({name}.svg)\n", content)
    draw(traces, options.to / f"{name}.svg")


if __name__ == "__main__":
    main()
