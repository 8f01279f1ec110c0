"""`make bench-trained`: which search finds the best net, where each net is really trained, on this machine.

Every search may train as many epochs. The net that it names is then trained again with fresh seeds, and measured on the
test images: they took no part in the search. Results are kept, so that a benchmark that was cut off goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any, Final, NamedTuple

import numpy as np
import yaml

from benchmarks.measure import machine, markdown, save
from benchmarks.search.statistics import difference, interval
from metaqnn_orch.api import Search
from metaqnn_orch.application import datasets
from metaqnn_orch.search.searchers.guided import Guided
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.sources.idx import IMAGES_MAGIC, LABELS_MAGIC, read_idx
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.opening import open_store

FRESH: Final = (1001, 1002, 1003)  # seeds with which named nets are judged

QUARTER: Final = {"execution.early_end.enabled": True, "execution.early_end.rule": "quarter"}


NOTES: Final = f"""
In percent. Intervals are 95 % bootstrap intervals over the seeds; differences are paired by seed. The named net is
trained again with {len(FRESH)} fresh seeds, and measured on the test images. The epochs include what confirms it.
"""


PRESET: Final = "digits"
YARDSTICKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "digits": {},
    "fashion-mnist": {  # at half its size
        "dataset.name": "fashion-mnist",
        "space.image_size": 14,
        "space.max_macs": 3_000_000,
        "recipe.epochs": 4,
        "recipe.decay_epochs": 2,
        "recipe.batch_size": 128,
    },
}
IMAGES: Final = 10_000  # of Fashion-MNIST, a fifth of them for validation


class Contestant(NamedTuple):
    """A method with its settings."""

    settings: Mapping[str, Any]
    confirms: bool = False
    stops_early: bool = False

    def designs(self, nets: int) -> int:
        """How many designs it may try for the epochs of so many trainings. With the rule `quarter` they are enough for
        about 1.6 times as many (`make bench-early-end`).
        """
        left = nets - Guided.confirm.top * Guided.confirm.repeats * self.confirms
        return round(left * 1.6) if self.stops_early else left


GUIDED: Final = {"search.method": "guided"}  # it confirms its best by default
CONTESTANTS: Final[Mapping[str, Contestant]] = {
    "random": Contestant({"search.method": "random"}),
    "q-learning": Contestant({}),
    "evolution 10/5": Contestant({"search.method": "evolution", "search.population": 10, "search.tournament": 5}),
    "guided": Contestant({"search.method": "guided", "search.confirm": {"top": 0}}),
    "guided, confirmed": Contestant(GUIDED, confirms=True),
    "guided, confirmed, quarter": Contestant({**GUIDED, **QUARTER}, confirms=True, stops_early=True),
}


class Found(NamedTuple):
    """What one search found, and what it used."""

    contestant: str
    seed: int
    net: str
    reward: float
    """The mean reward for which it was named."""
    designs: int
    epochs: int
    seconds: float


def push_part(source: Path, store: Store) -> None:
    """Make a dataset of the first images of Fashion-MNIST, and of all its test images."""
    with tempfile.TemporaryDirectory() as folder:
        for part, count in (("train", IMAGES), ("t10k", None)):
            for kind, magic in (("images-idx3", IMAGES_MAGIC), ("labels-idx1", LABELS_MAGIC)):
                name = f"{part}-{kind}-ubyte"
                array = read_idx(source / f"{name}.gz", magic)[:count]
                header = magic.to_bytes(4, "big") + np.array(array.shape, ">u4").tobytes()
                (Path(folder) / name).write_bytes(header + array.tobytes())
        datasets.push(store, "fashion-mnist", ["--source", folder], report=lambda line: None)


def search(store: str, name: str, seed: int, nets: int, settings: Mapping[str, Any]) -> Found:
    """One search; if it was begun before, it goes on."""
    who = CONTESTANTS[name]
    asked = {**settings, **who.settings, "seed": seed, "recipe.seed": seed, "schedule.total": who.designs(nets)}
    run = f"{''.join(letter if letter.isalnum() else '-' for letter in name)}-{seed}".lower()
    begun = perf_counter()
    found = Search.start(PRESET, run=run, store=store, settings=asked)
    seconds = perf_counter() - begun
    best = found.best
    if best is None:
        raise RuntimeError(f"run {run} has trained no net")
    epochs = sum(_epochs(open_store(store), run, trial.trial) for trial in found.trials if trial.reward is not None)
    return Found(name, seed, best.net, best.worth, found.state.unique, epochs, round(seconds, 1))


def _epochs(store: Store, run: str, trial: str) -> int:
    """Epochs that a trial was trained for, those of rates that failed included."""
    result = read(TrainingResult, store.get, keys.result(run, trial))
    return result.epochs + len(result.learning_rates) - 1


def judge(store: str, nets: Sequence[str], settings: Mapping[str, Any]) -> dict[str, float]:
    """The mean test accuracy of each net, trained again with every fresh seed."""
    found: dict[str, list[float]] = {net: [] for net in nets}
    opened = open_store(store)
    name = hashlib.sha256("\n".join(nets).encode()).hexdigest()[:8]
    for seed in FRESH:
        run = f"judged-{name}-{seed}"
        changes = [{"seed": seed, "evaluate_test": True}] * len(nets)
        again = Search.start(PRESET, run=run, store=store, settings={**settings, "nets": [*nets], "changes": changes})
        for trial in again.trials:
            accuracy = read(TrainingResult, opened.get, keys.result(run, trial.trial)).test_accuracy
            if accuracy is None:
                raise RuntimeError(f"trial {trial.trial} of run {run} has no test accuracy")
            found[trial.net].append(accuracy)
    return {net: fmean(accuracies) for net, accuracies in found.items()}


def tables(found: Sequence[Found], judged: Mapping[str, float]) -> str:
    """Markdown: what each contestant found, and the difference of guided search to each of the others."""
    by_name: dict[str, dict[int, Found]] = {}
    for one in found:
        by_name.setdefault(one.contestant, {})[one.seed] = one
    values = {name: {seed: judged[one.net] for seed, one in each.items()} for name, each in by_name.items()}
    rows = [
        [
            name,
            interval([*values[name].values()]).percent(),
            interval([one.reward for one in each.values()]).percent(),
            *(f"{fmean(getattr(one, what) for one in each.values()):.0f}" for what in ("designs", "epochs")),
        ]
        for name, each in by_name.items()
    ]
    ours = [name for name in values if name.startswith("guided")]
    apart = [
        [
            rival,
            *(difference(values[name], values[rival]).percent(signed=True) if name != rival else "" for name in ours),
        ]
        for rival in values
    ]
    return (
        markdown(["search", "test accuracy", "reward it was named for", "designs", "epochs"], rows)
        + "\nTest accuracy of the named nets, difference in points:\n\n"
        + markdown(["minus", *ours], apart)
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make bench-trained", description=__doc__)
    parser.add_argument("--on", default="digits", choices=YARDSTICKS)
    parser.add_argument("--source", type=Path, help="folder of Fashion-MNIST's four IDX files")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, as for start")
    parser.add_argument("--nets", type=int, default=60, help="every search trains as many epochs as so many nets have")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", action="append", choices=CONTESTANTS, help="a search; several times for several")
    parser.add_argument("--kept", type=Path, default=Path(".bench-trained"), help="folder of the results so far")
    parser.add_argument("--to", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args(arguments)
    asked = {key: yaml.safe_load(value) for key, _, value in (each.partition("=") for each in options.set)}
    settings, store = {**YARDSTICKS[options.on], **asked}, str(options.kept / options.on)
    if options.source is not None:
        push_part(options.source, open_store(store))
    found = []
    for seed in range(options.seeds):
        for name in options.only or CONTESTANTS:
            one = search(store, name, seed, options.nets, settings)
            found.append(one)
            print(f"seed {seed}, {name}: {one.reward:.4f}, {one.epochs} epochs, {one.net}", file=sys.stderr, flush=True)
    judged = judge(store, [*dict.fromkeys(one.net for one in found)], settings)
    name = f"trained-{options.on}"
    title = f"Which search finds the best net? {options.on}, {options.nets} trainings, {options.seeds} seeds"
    content = {"machine": machine("torch"), "settings": settings, "found": [one._asdict() for one in found]}
    save(options.to, name, title, tables(found, judged) + NOTES, {**content, "judged": judged})


if __name__ == "__main__":
    main()
