"""Q-learning and random search for generators, and a fixed one: `python -m metaqnn_gan.results`.

First a search for classifiers of digits, whose best net becomes the judge. Both searches for generators train as many
nets, by the same recipe, and each names the one that is best on the validation part. That one is trained again, as long
as all nets of its search together. The fixed generator is DCGAN's (Radford et al. 2016) as far as the space has it; it
is trained both as long as one net and as long as all of them. The test part decides. Run it in the repository's folder.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.plugin_results import measured_on_test
from benchmarks.search.statistics import interval

from metaqnn_orch import Search
from metaqnn_trainer.contract import keys
from metaqnn_trainer.sources.make import make_dataset
from metaqnn_trainer.store.directory import DirectoryStore

DCGAN: Final = "post batch deconv plain; post batch deconv plain skip=none; post batch deconv plain skip=none"
METHODS: Final = ("q-learning", "random")
CLASSIFIERS: Final = 8
EPOCHS: Final = 5  # of each net, as in the preset


def searched(store: str, run: str, settings: dict[str, Any], preset: str = "gan-digits") -> Search:
    return Search.start(preset, run=run, store=store, settings=settings, progress=False)


def judge(store: str) -> dict[str, Any]:
    """The settings of a dataset whose judge is the best of a few classifiers."""
    best = searched(store, "classifiers", {"schedule.total": CLASSIFIERS}, "digits").best
    assert best is not None
    made = make_dataset("judged-digits", Path(store, keys.trial("classifiers", best.trial)))
    DirectoryStore(store).put_if_absent(keys.dataset(made.ref.name, made.ref.digest), made.data)
    print(
        f"judge: {made.info.facts['judge']}, validation accuracy {made.info.facts['judge_accuracy']}", file=sys.stderr
    )
    return {"dataset.name": made.ref.name, "dataset.digest": made.ref.digest}


def by_search(store: str, method: str, seed: int, settings: dict[str, Any]) -> tuple[str, dict[str, float]]:
    """The net that the search names, and what it measures on the test part."""
    run = f"{method}-{seed}"
    best = searched(store, run, {**settings, "search.method": method, "seed": seed, "recipe.seed": seed}).best
    assert best is not None
    return best.net, measured_on_test(store, run, best.trial)


def trained(store: str, name: str, net: str, epochs: int, seed: int, settings: dict[str, Any]) -> dict[str, float]:
    """What a net measures on the test part."""
    run, changes = f"{name}-{epochs}-{seed}", {"schedule.total": 1, "recipe.epochs": epochs, "recipe.seed": seed}
    best = searched(store, run, {**settings, **changes, "nets": [net]}).best
    assert best is not None
    return measured_on_test(store, run, best.trial)


def in_words(values: Sequence[float], sign: str = "") -> str:
    mean, low, high = (f"{value:{sign}.2f}" for value in interval(values))
    return f"{mean} [{low}, {high}]"


def print_table(found: dict[str, list[dict[str, float]]], epochs: int) -> None:
    print(
        f"after {epochs} epochs\n\n| generator | Fréchet distance [95 %] | minus DCGAN's | minus random's | classes |"
    )
    print("|---|---|---|---|---|")
    distances = {name: [each["frechet"] for each in measures] for name, measures in found.items()}
    for name, own in distances.items():
        apart = [
            in_words([one - two for one, two in zip(own, distances[other], strict=True)], "+") if other != name else ""
            for other in ("dcgan", "random")
        ]
        classes = in_words([each["classes"] for each in found[name]])
        print(f"| {name} | {in_words(own)} | {' | '.join(apart)} | {classes} |", flush=True)
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--nets", type=int, default=12, help="that each search trains")
    parser.add_argument("--store", help="folder to keep; what is there is not trained again")
    asked = parser.parse_args()
    began, longer = time.monotonic(), EPOCHS * asked.nets
    tables: dict[int, dict[str, list[dict[str, float]]]] = {EPOCHS: {}, longer: {}}
    with tempfile.TemporaryDirectory() as folder:
        store = asked.store or folder
        settings = {**judge(store), "schedule.total": asked.nets}
        for seed in range(asked.seeds):
            for method in METHODS:
                net, measures = by_search(store, method, seed, settings)
                print(f"{method}, seed {seed}: {net}", file=sys.stderr)
                tables[EPOCHS].setdefault(method, []).append(measures)
                again = trained(store, method, net, longer, seed, settings)
                tables[longer].setdefault(method, []).append(again)
            for epochs, found in tables.items():
                found.setdefault("dcgan", []).append(trained(store, "dcgan", DCGAN, epochs, seed, settings))
    for epochs, found in tables.items():
        print_table(found, epochs)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
