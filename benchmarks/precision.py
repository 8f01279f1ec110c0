"""`make bench-precision`: does a search find the same nets where they are trained in lower precision?

Random nets are trained in every precision, each time with other random numbers. If precision did not matter, two
precisions would rank the nets as much alike as two trainings in single precision do. On a GPU the precisions are its
own. On a CPU bf16 is torch's autocast, and tf32 is emulated. Results are kept, so that a benchmark that was cut off
goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import combinations, product
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from benchmarks.measure import machine, markdown, save
from benchmarks.rounded import task_of
from benchmarks.trained import PRESET, YARDSTICKS, push_part
from metaqnn_orch.application import datasets
from metaqnn_orch.control.record import trial_spec
from metaqnn_orch.control.state import RunState
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.plugged import plugins_of
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract.messages import DatasetRef, Precision, TrialSpec
from metaqnn_trainer.reading import Loaded, Reader
from metaqnn_trainer.store.opening import open_store
from metaqnn_trainer.tasks.base import data_key
from metaqnn_trainer.training.device import choose_device, device_name
from metaqnn_trainer.training.outcome import Subject
from metaqnn_trainer.training.session import train

PRECISIONS: Final[tuple[Precision, ...]] = ("fp32", "tf32", "bf16")
RESAMPLES: Final = 2_000
COVERED: Final = (0.025, 0.975)  # quantiles of a 95 % interval
BEST: Final = 10
FEWEST: Final = 3  # nets that can be compared

Values = NDArray[np.float64]


class Trained(NamedTuple):
    """One training."""

    trial: str
    device: str
    net: str
    precision: Precision
    seed: int
    reward: float
    learned: bool
    """Whether it began to learn at any learning rate."""
    seconds: float


class Estimate(NamedTuple):
    """A figure, and its 95 % interval, from nets that are drawn again with replacement."""

    value: float
    low: float
    high: float

    def text(self, form: str = ".3f") -> str:
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


class Alike(NamedTuple):
    """How much two trainings of the same nets agree."""

    correlation: Estimate
    """Spearman's."""
    gain: Estimate
    """The correlation, less that of two trainings in single precision."""
    apart: Estimate
    """The mean absolute difference of a net's two rewards."""
    shared: Estimate
    """How many of the best ten nets of one are among the best ten of the other, as a share."""


class Level(NamedTuple):
    """How good nets become in one precision."""

    reward: Estimate
    gain: Estimate
    """The mean reward, less that in single precision."""


def main(arguments: Sequence[str] | None = None) -> None:
    begun = time.monotonic()
    parser = argparse.ArgumentParser(prog="make bench-precision", description=__doc__)
    parser.add_argument("--on", default="digits", choices=YARDSTICKS)
    parser.add_argument("--source", type=Path, help="folder of Fashion-MNIST's four IDX files")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, as for start")
    parser.add_argument("--nets", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs=3, default=[2, 1, 1], metavar="N", help=f"of {PRECISIONS}")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--at-most", type=float, metavar="S", help="seconds; then what is there is compared")
    parser.add_argument("--kept", type=Path, default=Path(".bench-precision"), help="folder of the results so far")
    parser.add_argument("--to", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args(arguments)
    seeds = dict(zip(PRECISIONS, options.seeds, strict=True))
    if min(seeds.values()) < 1 or seeds["fp32"] < 2:
        parser.error("--seeds: two of fp32 or more are compared with each other, and one of each other or more")
    asked = {key: yaml.safe_load(value) for key, _, value in (each.partition("=") for each in options.set)}
    changed = {**YARDSTICKS[options.on], **asked}
    settings = load_settings(PRESET, {}, [], changed).settings
    specs = wanted(settings, dataset(options.kept / options.on, options.source, settings), options.nets, seeds)
    until = begun + options.at_most if options.at_most is not None else float("inf")
    trained = train_all(specs, options.kept / options.on, options.processes, until)
    found = compare(trained, seeds)
    if not found:
        parser.error(f"too few nets were trained in every precision, {FEWEST} are needed: --nets, --at-most")
    device = choose_device(1)
    name = f"precision-{options.on}" + ("-gpu" if device.type == "cuda" else "")
    title = f"Does precision change what a search finds? {options.on}, {found['all']['nets']} random nets"
    where = {**machine("torch"), "device": device_name(device)}
    content: dict[str, Any] = {"machine": where, "settings": changed, "seeds": seeds, "found": found}
    save(
        options.to, name, title, tables(found, device.type), {**content, "trained": [one._asdict() for one in trained]}
    )


def dataset(kept: Path, source: Path | None, settings: Settings) -> DatasetRef:
    """The dataset in the store of what is kept, where it is made if there is none."""
    store, name = open_store(str(kept)), settings.dataset.name
    found = datasets.find(store, name)
    if found is None and source is not None:
        push_part(source, store)
        found = datasets.find(store, name)
    return found or datasets.push(store, name, report=lambda line: None)


def wanted(settings: Settings, ref: DatasetRef, nets: int, seeds: Mapping[Precision, int]) -> list[list[TrialSpec]]:
    """What is to be trained of each net; the nets are those that q-learning samples at epsilon 1. No two trainings
    share their random numbers, because these depend on the whole specification.
    """
    agent, sampled = RunState(settings).agent, dict[str, None]()
    for number in range(100 * nets):
        if len(sampled) < nets:
            sampled[agent.propose(1.0, Random(f"precision/{number}"))] = None
    plugins = plugins_of(settings)
    return [
        [
            trial_spec(settings, ref, plugins, net, {"precision": precision, "seed": seed})
            for precision, count in seeds.items()
            for seed in range(count)
        ]
        for net in sampled
    ]


def train_all(specs: Sequence[Sequence[TrialSpec]], kept: Path, processes: int, until: float) -> list[Trained]:
    """Train what is not kept from an earlier run, net after net, until that moment by time.monotonic. Returns the
    trainings of the nets that have all of them.
    """
    file, device = kept / "trained.jsonl", device_name(choose_device(1))
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    known = {one.trial: one for line in lines if (one := Trained(**json.loads(line))).device == device}
    todo = [spec for of_net in specs for spec in of_net if spec.trial_id() not in known]
    total = len(todo)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool, file.open("a", encoding="utf-8") as out:
        each = pool.map if processes > 1 else map
        for number, one in enumerate(each(partial(train_one, str(kept)), todo), 1):
            known[one.trial] = one
            out.write(f"{json.dumps(one._asdict())}\n")
            out.flush()
            said = f"{one.reward:.4f}" if one.learned else "never learned"
            print(f"{number}/{total}  {one.precision}  {said}  {one.seconds:.1f} s  {one.net}", file=sys.stderr)
            if time.monotonic() > until:
                pool.shutdown(wait=False, cancel_futures=True)
                break
    whole = [of_net for of_net in specs if all(spec.trial_id() in known for spec in of_net)]
    return [known[spec.trial_id()] for of_net in whole for spec in of_net]


LOADED: Final = Loaded()


@cache
def device_here() -> torch.device:
    """This process's device; on a CPU, with one thread."""
    return choose_device(1)


def train_one(store: str, spec: TrialSpec) -> Trained:
    device, begun = device_here(), time.perf_counter()
    task = task_of(spec, device)
    data = LOADED.get(data_key(spec), partial(task.load, Reader(open_store(store)), device))
    training = train(Subject(task, data, device, task.cost(data)), lambda record: None)
    seconds = round(time.perf_counter() - begun, 2)
    recipe = spec.recipe
    return Trained(
        spec.trial_id(),
        device_name(device),
        spec.net,
        recipe.precision,
        recipe.seed,
        training.reward,
        training.best_epoch > 0,
        seconds,
    )


def compare(trained: Sequence[Trained], seeds: Mapping[Precision, int]) -> dict[str, Any]:
    """The figures of all nets, and of those that learned in every training; without those that are too few. `trained`
    has the trainings of each net one after the other, in the order of `seeds`.
    """
    columns = [precision for precision, count in seeds.items() for _ in range(count)]
    rewards = np.array([one.reward for one in trained]).reshape(-1, len(columns))
    learned = np.array([one.learned for one in trained], bool).reshape(rewards.shape)
    seconds = np.array([one.seconds for one in trained]).reshape(rewards.shape)
    groups = {"all": rewards, "learned": rewards[learned.all(axis=1)]}
    found: dict[str, Any] = {name: figures(group, columns) for name, group in groups.items() if len(group) >= FEWEST}
    for number, precision in enumerate(columns if found else ()):
        one = found["all"]["levels"][precision]
        one.setdefault("never learned", []).append(int((~learned[:, number]).sum()))
        one.setdefault("seconds", []).append(float(seconds[:, number].mean()))
    return found


def figures(rewards: Values, columns: Sequence[Precision]) -> dict[str, Any]:
    """The figures of rewards (nets x trainings), each training in the precision of its column."""
    rng, nets = np.random.default_rng(0), len(rewards)
    samples = [rewards, *(rewards[rng.integers(nets, size=nets)] for _ in range(RESAMPLES))]
    measures = np.stack([agreement(sample) for sample in samples])
    means = np.stack([sample.mean(axis=0) for sample in samples])
    of = {name: [n for n, column in enumerate(columns) if column == name] for name in PRECISIONS}
    pairs = {(name, name): [*combinations(of[name], 2)] for name in PRECISIONS}
    pairs |= {(one, other): [*product(of[one], of[other])] for one, other in combinations(PRECISIONS, 2)}
    alike = {
        key: measures[:, :, [one for one, _ in each], [other for _, other in each]].mean(axis=-1)
        for key, each in pairs.items()
        if each
    }
    yardstick = alike["fp32", "fp32"][:, 0]
    levels = {name: means[:, each].mean(axis=1) for name, each in of.items()}
    return {
        "nets": nets,
        "alike": {
            " and ".join(key): Alike(*map(estimate, (of[:, 0], of[:, 0] - yardstick, of[:, 1], of[:, 2])))._asdict()
            for key, of in alike.items()
        },
        "levels": {
            name: Level(estimate(each), estimate(each - levels["fp32"]))._asdict() for name, each in levels.items()
        },
    }


def agreement(rewards: Values) -> Values:
    """Three measures of how much two columns of rewards (nets x columns) agree, for every pair of columns: measures x
    columns x columns. They are Spearman's correlation, the mean absolute difference, and the share of the best ten nets
    that both have. A column of equal rewards has the correlation 0 with every other.
    """
    ranks = np.stack([ranked(column) for column in rewards.T], axis=1)
    apart = ranks - ranks.mean(axis=0)
    length = np.sqrt((apart**2).sum(axis=0))
    apart /= np.where(length > 0, length, 1)
    best = np.zeros_like(rewards)
    np.put_along_axis(best, np.argsort(-rewards, axis=0, kind="stable")[:BEST], 1, axis=0)
    differences = np.abs(rewards[:, :, None] - rewards[:, None, :]).mean(axis=0)
    return np.stack([apart.T @ apart, differences, best.T @ best / min(BEST, len(rewards))])


def ranked(values: Values) -> Values:
    """The ranks of values, from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def estimate(values: Values) -> Estimate:
    """The first value with the interval of the others."""
    low, high = np.quantile(values[1:], COVERED)
    return Estimate(float(values[0]), float(low), float(high))


def tables(found: Mapping[str, Any], device: str) -> str:
    """Markdown: both comparisons, of all nets and of those that learned."""
    head = ["", "Spearman's correlation", "less that of fp32 and fp32", "rewards apart, points", "best ten shared"]
    parts = []
    for name, group in found.items():
        rows = [
            [
                pair,
                Estimate(*of["correlation"]).text(),
                "" if pair == "fp32 and fp32" else Estimate(*of["gain"]).text("+.3f"),
                percent(of["apart"]),
                Estimate(*of["shared"]).text(".2f"),
            ]
            for pair, of in group["alike"].items()
        ]
        means = [
            [
                precision,
                percent(of["reward"]),
                "" if precision == "fp32" else percent(of["gain"], "+.2f"),
                *((", ".join(map(str, of["never learned"])), f"{np.mean(of['seconds']):.2f}") if name == "all" else ()),
            ]
            for precision, of in group["levels"].items()
        ]
        more = ["never learned, by seed", "seconds a training"] if name == "all" else []
        who = "All nets" if name == "all" else "The nets that learned in every training"
        parts.append(f"## {who}: {group['nets']}\n\n{markdown(head, rows)}\n")
        parts.append(markdown(["precision", "mean reward, %", "less that of fp32, points", *more], means) + "\n")
    emulated = "bf16 is torch's autocast, and tf32 is emulated" if device == "cpu" else "all precisions are the GPU's"
    return (
        "".join(parts)
        + "Every training has random numbers of its own. Intervals are 95 % bootstrap intervals over the "
        f"nets. Here {emulated}.\n"
    )


def percent(values: Sequence[float], form: str = ".2f") -> str:
    return Estimate(*(100 * value for value in values)).text(form)


if __name__ == "__main__":
    main()
