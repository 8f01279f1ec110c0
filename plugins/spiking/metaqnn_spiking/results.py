"""What the score before training predicts, and what spikes cost: `python -m metaqnn_spiking.results`.

The same random nets are trained as spiking and as ordinary ones. For each kind the first table has Spearman's rank
correlation of validation accuracy with the score, and with the number of parameters, which costs nothing to know. Nets
that never learn have no accuracy, and are left out. Then evolution searches with the objective of the preset and
without it, and the second table compares the nets that each names, by the test part. Run it in the repository's folder.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from benchmarks.plugin_results import measured_on_test

from metaqnn_orch import Search

SAMPLES: Final = 10_000
MEASURES: Final = ("accuracy", "spikes")
TASKS: Final = {"spiking": "spiking", "ordinary": "scored-classification"}


class TrainedNet(NamedTuple):
    design: str
    measures: dict[str, float]
    accuracy: float


def searched(preset: str, run: str, store: str, settings: dict[str, Any]) -> Search:
    return Search.start(preset, run=run, store=store, settings=settings, progress=False)


def learned(search: Search) -> list[TrainedNet]:
    """The nets of a search that learned, with their measures before and after training."""
    return [
        TrainedNet(trial.net, {**trial.measures, "params": float(trial.params or 0)}, trial.measures["accuracy"])
        for trial in search.trials
        if trial.state == "completed"
    ]


def ranks(values: Sequence[float]) -> list[float]:
    """From 1; equal values share the mean of their ranks."""
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) + 1) / 2 for value in values]


def spearman(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Rank correlation (Spearman 1904); 0 where one side is the same everywhere."""
    if len(set(ours)) < 2 or len(set(theirs)) < 2:
        return 0.0
    return statistics.correlation(ranks(ours), ranks(theirs))


def predicts(nets: Sequence[TrainedNet], measure: str) -> float:
    return spearman([net.measures[measure] for net in nets], [net.accuracy for net in nets])


def interval(values: Sequence[Any], of: Callable[[list[Any]], float], samples: int = SAMPLES) -> str:
    """`of` the values, and 95 % of what it is for samples of them with replacement."""
    rng = random.Random(0)
    found = sorted(of(rng.choices(values, k=len(values))) for _ in range(samples))
    cut = samples // 40
    return f"{of([*values]):.3f} [{found[cut]:.3f}, {found[-cut - 1]:.3f}]"


def predicted(preset: str, store: str, nets: int, settings: dict[str, Any]) -> None:
    print("| nets | learned | accuracy | score and accuracy [95 %] | parameters and accuracy [95 %] |")
    print("|---|---|---|---|---|")
    asked = {**settings, "objective": None, "search.method": "random", "schedule.total": nets}
    for kind, task in TASKS.items():
        found = learned(searched(preset, kind, store, {**asked, "task.name": task}))
        score, params = (interval(found, partial(predicts, measure=measure)) for measure in ("kernel_score", "params"))
        low, high = min(net.accuracy for net in found), max(net.accuracy for net in found)
        print(f"| {kind} | {len(found)} of {nets} | {low:.3f} to {high:.3f} | {score} | {params} |", flush=True)


def compared(preset: str, store: str, seeds: int, settings: dict[str, Any]) -> None:
    kinds: dict[str, dict[str, Any]] = {"accuracy alone": {"objective": None}, "accuracy and spikes": {}}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    for seed in range(seeds):
        for name, changes in kinds.items():
            run = f"{name.replace(' ', '-')}-{seed}"
            best = searched(preset, run, store, {**settings, **changes, "seed": seed, "recipe.seed": seed}).best
            assert best is not None
            found[name].append(measured_on_test(store, run, best.trial))
            measured = ", ".join(f"{measure} {found[name][-1][measure]:.4g}" for measure in MEASURES)
            print(f"{name}, seed {seed}: {measured}, {best.net}", file=sys.stderr, flush=True)
    print("| objective | test accuracy [95 %] | spikes an image [95 %] |")
    print("|---|---|---|")
    rows = {name: {each: [one[each] for one in measures] for each in MEASURES} for name, measures in found.items()}
    alone, both = rows.values()
    rows["difference, paired by seed"] = {
        each: [theirs - ours for ours, theirs in zip(alone[each], both[each], strict=True)] for each in MEASURES
    }
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(interval(values[each], statistics.fmean) for each in MEASURES)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="digits-spiking")
    parser.add_argument("--nets", type=int, default=100, help="random nets; 0: none")
    parser.add_argument("--seeds", type=int, default=10, help="searches with each objective; 0: none")
    parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("KEY", "NUMBER"))
    parser.add_argument("--store", help="folder to keep; what is there is not trained again")
    asked = parser.parse_args()
    settings = {key: int(value) for key, value in asked.set}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        store = asked.store or folder
        if asked.nets:
            predicted(asked.preset, store, asked.nets, settings)
        if asked.seeds:
            compared(asked.preset, store, asked.seeds, settings)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
