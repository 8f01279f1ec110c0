"""Rewiring against the feed-forward net that it begins with, at equal training: `python -m metaqnn_regression.results`.

The feed-forward net is trained as many epochs as all nets of the search together. Both name the weights that are best
on the validation part, and the test part decides. Run it in the repository's folder.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from typing import Final, NamedTuple

from benchmarks.plugin_results import measured_on_test
from benchmarks.search.statistics import interval

from metaqnn_orch import Search

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
        "execution.parallel": 1,  # the order in which nets end decides who is the parent: so it is always the same
        "recipe.epochs": epochs,
        "recipe.seed": seed,
        "seed": seed,
    }
    run = f"{table}-{seed}-{nets}"
    search = Search.start(preset, run=run, store=store, settings=settings, progress=False)
    best = search.best
    assert best is not None
    assert best.macs is not None
    return Found(measured_on_test(store, run, best.trial)["rmse"], best.macs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--tables", nargs="+", default=TABLES)
    parser.add_argument("--store", help="folder to keep; what is there is not trained again")
    asked = parser.parse_args()
    print("| table | feed-forward: test RMSE | weights | rewired: test RMSE | weights | difference [95 %] | wins |")
    print("|---|---|---|---|---|---|---|")
    for table in asked.tables:
        began, fixed, rewired = time.monotonic(), list[Found](), list[Found]()
        with tempfile.TemporaryDirectory() as folder:
            store = asked.store or folder
            for seed in range(asked.seeds):
                fixed.append(named(table, store, seed, 1, NETS * EPOCHS))
                rewired.append(named(table, store, seed, NETS, EPOCHS))
                print(f"{table}, seed {seed}: {fixed[-1]}, {rewired[-1]}", file=sys.stderr, flush=True)
        differences = [ours.rmse - theirs.rmse for ours, theirs in zip(rewired, fixed, strict=True)]
        change = "{:+.4f} [{:+.4f}, {:+.4f}]".format(*interval(differences))
        theirs, ours = statistics.fmean(one.rmse for one in fixed), statistics.fmean(one.rmse for one in rewired)
        weights = statistics.fmean(one.weights for one in rewired)
        wins = f"{sum(one < 0 for one in differences)} of {asked.seeds}"
        print(
            f"| {table} | {theirs:.4f} | {fixed[0].weights} | {ours:.4f} | {weights:.0f} | {change} | {wins} |",
            flush=True,
        )
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
