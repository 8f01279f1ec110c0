"""EPNAS beside the other searchers on NAS-Bench-201, and its soft limits on digits: `python -m metaqnn_epnas.results`.

Run it in the repository's folder: the tables and who is compared are those of `make bench-search`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks.search.contestants import contestant, search
from benchmarks.search.landscapes import landscape
from benchmarks.search.nas_bench_201 import FAMILY, TABLES
from benchmarks.search.statistics import difference, interval

from metaqnn_orch import Search

EPNAS: Final = "epnas"
OTHERS: Final = ("guided", "evolution 25/5", "random")
BUDGETS: Final = (100, 300)
PRESET: Final = "epnas-digits"
MEASURES: Final = ("params", "macs", "macs_per_byte")


def found(where: str, name: str, seed: int) -> list[float]:
    """The true value of the design that seems best, for each budget."""
    table = landscape(where, Path())
    trained = search(contestant(name), table, max(BUDGETS), seed, parallel=1)
    best = [max(range(budget), key=lambda place: trained.rewards[place]) for budget in BUDGETS]
    return [table.truth(trained.designs[place]) for place in best]


def on_tables(seeds: int) -> None:
    print("| table | trainings | epnas | " + " | ".join(f"{name} | epnas minus it" for name in OTHERS) + " |")
    print("|---|---" + "|---" * (1 + 2 * len(OTHERS)) + "|")
    with ProcessPoolExecutor(2) as pool:
        for table in TABLES:
            where = f"{FAMILY}/{table}"
            values = dict[str, list[list[float]]]()
            for name in (EPNAS, *OTHERS):
                values[name] = [*pool.map(partial(found, where, name), range(seeds))]
                print(f"{table}, {name}: {values[name]}", file=sys.stderr, flush=True)
            for place, budget in enumerate(BUDGETS):
                by_seed = {name: dict(enumerate(each[place] for each in values[name])) for name in values}
                ours = by_seed.pop(EPNAS)
                cells = [table, str(budget), interval([*ours.values()]).percent()]
                for theirs in by_seed.values():
                    cells += [f"{100 * fmean(theirs.values()):.2f}", difference(ours, theirs).percent(signed=True)]
                print("| " + " | ".join(cells) + " |", flush=True)


def named(store: str, seed: int, limited: bool) -> list[float]:
    """Accuracy and measures of the best net of a run with the soft limits, or without."""
    settings: dict[str, Any] = {"seed": seed, "recipe.seed": seed}
    settings |= {} if limited else {"objective": None}
    run = f"{'limited' if limited else 'free'}-{seed}"
    searched = Search.start(PRESET, run=run, store=store, settings=settings, progress=False)
    best = searched.best
    assert best is not None
    assert best.val_accuracy is not None
    measures = searched.settings.state_space().measures(best.net)
    return [best.val_accuracy, *(measures[name] for name in MEASURES)]


def on_digits(seeds: int) -> None:
    print("\n| digits | validation accuracy | " + " | ".join(MEASURES) + " |\n|---|---" + "|---" * len(MEASURES) + "|")
    with tempfile.TemporaryDirectory() as store:
        for words, limited in (("without limits", False), ("with the preset's", True)):
            rows = [named(store, seed, limited) for seed in range(seeds)]
            accuracies, *measures = zip(*rows, strict=True)
            cells = [f"{fmean(values):.1f}" if fmean(values) < 100 else f"{fmean(values):,.0f}" for values in measures]
            print("| " + " | ".join([words, interval(accuracies).percent(), *cells]) + " |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="on the tables")
    parser.add_argument("--runs", type=int, default=5, help="on the digits, with limits and without")
    asked = parser.parse_args(arguments)
    if asked.seeds:
        on_tables(asked.seeds)
    if asked.runs:
        on_digits(asked.runs)


if __name__ == "__main__":
    main()
