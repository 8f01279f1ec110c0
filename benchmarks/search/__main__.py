"""`make bench-search`: does it search? Our searchers and Optuna's TPE on tables of trained nets, with many seeds.

Nothing is trained: rewards are looked up. Results are kept in a file, so that a benchmark that was cut off goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from time import process_time
from typing import Final, NamedTuple

from benchmarks.made import write_landscape
from benchmarks.search.checks import cost_table, rebuilt_lines
from benchmarks.search.contestants import CONTESTANTS, Contestant, confirmed, contestant, search
from benchmarks.search.driver import Trained
from benchmarks.search.landscapes import MADE, families, landscape
from benchmarks.search.report import Results, page
from benchmarks.search.traces import Task, Trace, Traces
from metaqnn_orch.search.searcher import SEARCHERS

BUDGETS: Final = "25,50,100,300"
LARGE: Final = f"{BUDGETS},1000,2700"  # the paper's schedule is of 2,700 nets; the other tables are solved before
KEPT: Final = Path(".bench-search")
DIGITS: Final = 6


class Job(NamedTuple):
    """One search, and the budgets that it serves."""

    task: Task
    who: Contestant
    budgets: Sequence[int]


def run(job: Job, file: Path, confirms: Trace | None) -> Trace:
    """One search, in a process of its own. `confirms`: the search that it is the same as, until it confirms."""
    task = job.task
    where = landscape(task.landscape, file)
    begun = process_time()
    if confirms is None:
        found = search(job.who, where, task.budget, task.seed, task.parallel)
    else:
        before = Trained(confirms.designs, confirms.rewards, confirms.steps)
        found = confirmed(job.who, where, before, task.budget, task.seed)
    return Trace(
        task,
        seconds=round(process_time() - begun, 2),
        rewards=found.rewards,
        truths=[round(where.truth(design), DIGITS) for design in found.designs],
        designs=found.designs,
        steps=found.steps,
    )


def jobs_of(where: str, names: Sequence[str], budgets: Sequence[int], seeds: int, parallel: int) -> list[Job]:
    """The searches of a landscape, the first seeds first."""
    found = []
    for name in names:
        who = contestant(name)
        possible = [budget for budget in budgets if who.most is None or budget <= who.most]
        served = [[budget] for budget in possible] if who.by_budget else [possible] if possible else []
        for each in served:
            for seed in range(seeds):
                found.append(Job(Task(where, name, max(each), seed, parallel, who.source()), who, each))
    return sorted(found, key=lambda job: job.task.seed)


def run_all(jobs: Sequence[Job], file: Path, traces: Traces, workers: int) -> None:
    """Run the searches that are not in the file of traces. Says on standard error what is done.

    Those that confirm come last, because each begins as another one.
    """
    _run(traces, [(job, None) for job in jobs if job.who.confirms is None], file, workers)
    confirming: list[tuple[Job, Trace | None]] = []
    for job in jobs:
        if job.who.confirms is not None:
            same = traces.find(job.task._replace(contestant=job.who.confirms), by_budget=False)
            if same is None:
                sys.exit(f"{job.task.contestant} needs {job.who.confirms} among the contestants")
            confirming.append((job, same))
    _run(traces, confirming, file, workers)


def _run(traces: Traces, jobs: Sequence[tuple[Job, Trace | None]], file: Path, workers: int) -> None:
    left = [pair for pair in jobs if traces.find(pair[0].task, by_budget=pair[0].who.by_budget) is None]
    with ProcessPoolExecutor(workers) as pool:
        for number, done in enumerate(as_completed([pool.submit(run, job, file, same) for job, same in left]), 1):
            trace = done.result()
            traces.add(trace)
            task, best = trace.task, 100 * trace.best(trace.task.budget)
            what = f"{task.landscape}, {task.contestant}, {task.budget} trainings, seed {task.seed}"
            print(f"{number}/{len(left)} {what}: {best:.2f}, {trace.seconds:.1f} s", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    file = options.table or write_landscape(_folder(options.kept) / "made.csv")
    here = families(options.name if options.table else None)
    wanted = options.landscape.split(",") if options.landscape else [*here]
    names = [name for name in options.contestants.split(",") if _takes_part(name)]
    traces = Traces(options.kept / "traces.jsonl")
    for family in dict.fromkeys(each.partition("/")[0] for each in wanted):
        tables = here.get(family)
        if tables is None:
            sys.exit(f"there is no landscape {family} here: {', '.join(here)}")
        places = [f"{family}/{table}" for table in tables if {family, f"{family}/{table}"} & {*wanted}]
        is_large = family not in ("nas-bench-201", "nas-bench-graph", MADE)
        budgets = sorted(map(int, (options.budgets or (LARGE if is_large else BUDGETS)).split(",")))
        if options.cost:
            for where in places:
                print(cost_table(_searches(names), landscape(where, file), budgets))
            continue
        jobs = [job for where in places for job in jobs_of(where, names, budgets, options.seeds, options.parallel)]
        if not options.page:
            run_all(jobs, file, traces, options.jobs)
        if options.rebuilt:
            for where in places:
                _print_rebuilt(where, [job for job in jobs if job.task.landscape == where], file, traces)
            continue
        results = {where: Results(landscape(where, file)) for where in places}
        for job in jobs:
            for budget in job.budgets:
                trace = traces.find(job.task._replace(budget=budget), by_budget=job.who.by_budget)
                if trace is not None:
                    results[job.task.landscape].add(job.task.contestant, budget, trace)
        about = {"in training at once": str(options.parallel)}
        if found := [each for each in results.values() if each.traces]:
            page(options.to, family, found, about)


def _searches(names: Sequence[str]) -> list[tuple[str, Contestant]]:
    found = ((name, contestant(name)) for name in names)
    return [(name, who) for name, who in found if who.confirms is None]


def _print_rebuilt(where: str, jobs: Sequence[Job], file: Path, traces: Traces) -> None:
    """Print a line for each of our searchers that can be told everything at once. Q-learning cannot: it also learns
    from being told a result again, which a trace does not hold.
    """
    for name, who in _searches(list(dict.fromkeys(job.task.contestant for job in jobs))):
        if who.by_budget or who.method not in SEARCHERS.members():
            continue
        tasks = dict.fromkeys(job.task for job in jobs if job.task.contestant == name)
        found = [trace for task in tasks if (trace := traces.find(task, by_budget=who.by_budget)) is not None]
        for line in rebuilt_lines(who, landscape(where, file), found):
            print(f"{name}, {line}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-search", description=__doc__)
    parser.add_argument("--landscape", default="", help="families or family/table, with commas; all that are here")
    parser.add_argument("--contestants", default=",".join(CONTESTANTS), help="with commas; METHOD:OPTION=VALUE;… too")
    parser.add_argument("--budgets", default="", help=f"trainings, with commas; {BUDGETS}, or {LARGE} for a --table")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--parallel", type=int, default=1, help="designs in training at once")
    parser.add_argument("--table", type=Path, help="trained cnn nets, as for --launcher table; made ones by default")
    parser.add_argument("--name", default="svhn", help="of the family of landscapes fitted to the table")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--kept", type=Path, default=KEPT, help="folder of the results so far")
    parser.add_argument("--page", action="store_true", help="search no more: make pages of the results so far")
    parser.add_argument("--cost", action="store_true", help="print what proposals cost, and make no page")
    parser.add_argument("--rebuilt", action="store_true", help="compare proposals of searchers told all at once, too")
    parser.add_argument("--quick", action="store_true", help="two seeds, 10 and 30 trainings")
    parser.add_argument("--to", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.budgets = 2, "10,30"
    return options


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _takes_part(name: str) -> bool:
    try:
        here = contestant(name).is_here
    except ValueError as error:
        sys.exit(str(error))
    if not here:
        print(f"left out: {name}, because there is no such method", file=sys.stderr)
    return here


if __name__ == "__main__":
    main()
