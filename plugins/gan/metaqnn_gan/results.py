"""Q-learning and random search for generators, and a fixed one: `python -m metaqnn_gan.results`.

First a search for classifiers of digits, whose best net becomes the judge. Both searches for generators train as many
nets, by the same recipe. The fixed generator is DCGAN's (Radford et al. 2016) as far as the space has it; it is trained
as long as one of their nets, and as long as all of them together. All name what is best on the validation part, and the
test part decides. Run it in the repository's folder.
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

from metaqnn_gan.__main__ import judged_by
from metaqnn_orch import Search
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.directory import DirectoryStore

DCGAN: Final = "post batch deconv plain; post batch deconv plain skip=none; post batch deconv plain skip=none"
CLASSIFIERS: Final = 8
EPOCHS: Final = 5  # of each net, as in the preset


def searched(store: str, run: str, settings: dict[str, Any], preset: str = "gan-digits") -> Search:
    return Search.start(preset, run=run, store=store, settings=settings, progress=False)


def judge(store: str) -> dict[str, Any]:
    """The settings of a dataset whose judge is the best of a few classifiers."""
    searched(store, "classifiers", {"schedule.total": CLASSIFIERS}, "digits")
    made = judged_by(DirectoryStore(store), "classifiers")
    DirectoryStore(store).put_if_absent(keys.dataset(made.ref.name, made.ref.digest), made.data)
    print(
        f"judge: {made.info.facts['judge']}, validation accuracy {made.info.facts['judge_accuracy']}", file=sys.stderr
    )
    return {"dataset.name": made.ref.name, "dataset.digest": made.ref.digest}


def by_search(store: str, method: str, seed: int, settings: dict[str, Any]) -> dict[str, float]:
    """What the net that the search names measures on the test part."""
    run = f"{method}-{seed}"
    best = searched(store, run, {**settings, "search.method": method, "seed": seed, "recipe.seed": seed}).best
    assert best is not None
    print(f"{run}: {best.net}", file=sys.stderr)
    return measured_on_test(store, run, best.trial)


def fixed(store: str, epochs: int, seed: int, settings: dict[str, Any]) -> dict[str, float]:
    """What the fixed generator measures on the test part."""
    run, changes = f"dcgan-{epochs}-{seed}", {"schedule.total": 1, "recipe.epochs": epochs, "recipe.seed": seed}
    best = searched(store, run, {**settings, **changes, "nets": [DCGAN]}).best
    assert best is not None
    return measured_on_test(store, run, best.trial)


def in_words(values: Sequence[float], sign: str = "") -> str:
    mean, low, high = (f"{value:{sign}.1f}" for value in interval(values))
    return f"{mean} [{low}, {high}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--nets", type=int, default=16, help="that each search trains")
    parser.add_argument("--store", help="folder to keep; what is there is not trained again")
    asked = parser.parse_args()
    began, found = time.monotonic(), dict[str, list[dict[str, float]]]()
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(asked.store or folder))
        settings = {**judge(store), "schedule.total": asked.nets}
        for seed in range(asked.seeds):
            for method in ("q-learning", "random"):
                found.setdefault(method, []).append(by_search(store, method, seed, settings))
            for name, epochs in (("as one net", EPOCHS), ("as all nets", EPOCHS * asked.nets)):
                found.setdefault(f"DCGAN's, trained as long {name}", []).append(fixed(store, epochs, seed, settings))
    print("| generator | Fréchet distance [95 %] | q-learning minus this | classes [95 %] |\n|---|---|---|---|")
    for name, measures in found.items():
        distances, classes = ([each[key] for each in measures] for key in ("frechet", "classes"))
        apart = [one["frechet"] - other for one, other in zip(found["q-learning"], distances, strict=True)]
        change = "" if name == "q-learning" else in_words(apart, "+")
        print(f"| {name} | {in_words(distances)} | {change} | {in_words(classes)} |")
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
