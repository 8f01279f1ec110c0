"""Rewiring against the feed-forward net that it begins with, at equal training: `python -m metaqnn_regression.results`.

The feed-forward net is trained as many epochs as all nets of the search together. Both name the weights that are best
on the validation part, and the test part decides.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from metaqnn_orch import Search
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.directory import DirectoryStore

TABLES: Final = ("friedman1", "friedman2", "friedman3", "diabetes-progression")
NETS: Final = 60
EPOCHS: Final = 20  # of each net


class Found(NamedTuple):
    """The named net: its error on the test part, in deviations of the target, and its active weights."""

    rmse: float
    weights: int


def named(table: str, store: str, seed: int, nets: int, epochs: int) -> Found:
    preset = table if table == "diabetes-progression" else "friedman1"
    settings = {
        "dataset.name": table,
        "space.inputs": {"friedman2": 4, "friedman3": 4}.get(table, 10),
        "schedule.total": nets,
        "recipe.epochs": epochs,
        "recipe.seed": seed,
        "seed": seed,
    }
    run = f"{table}-{seed}-{nets}"
    search = Search.start(preset, run=run, store=store, settings=settings, progress=False)
    best = search.best
    assert best is not None
    assert best.macs is not None
    result = read(TrainingResult, DirectoryStore(store).get, keys.result(run, best.trial))
    return Found(result.test_measures["rmse"], best.macs)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % of the means of 10,000 samples with replacement."""
    rng = random.Random(0)
    means = sorted(statistics.fmean(rng.choices(values, k=len(values))) for _ in range(10_000))
    return means[250], means[-251]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--tables", nargs="+", default=TABLES)
    asked = parser.parse_args()
    print("| table | feed-forward: test RMSE | weights | rewired: test RMSE | weights | difference [95 %] | wins |")
    print("|---|---|---|---|---|---|---|")
    for table in asked.tables:
        began, fixed, rewired = time.monotonic(), list[Found](), list[Found]()
        with tempfile.TemporaryDirectory() as store:
            for seed in range(asked.seeds):
                fixed.append(named(table, store, seed, 1, NETS * EPOCHS))
                rewired.append(named(table, store, seed, NETS, EPOCHS))
        differences = [ours.rmse - theirs.rmse for ours, theirs in zip(rewired, fixed, strict=True)]
        low, high = interval(differences)
        theirs, ours = statistics.fmean(one.rmse for one in fixed), statistics.fmean(one.rmse for one in rewired)
        weights = statistics.fmean(one.weights for one in rewired)
        wins = f"{sum(one < 0 for one in differences)} of {asked.seeds}"
        change = f"{ours - theirs:+.4f} [{low:+.4f}, {high:+.4f}]"
        print(
            f"| {table} | {theirs:.4f} | {fixed[0].weights} | {ours:.4f} | {weights:.0f} | {change} | {wins} |",
            flush=True,
        )
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
