"""make bench-trainer: what training a net takes, and what it takes in the loop that a user would write, in one run."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import safetensors.torch
import torch
from rich.console import Console

from benchmarks import gpu_steps
from benchmarks.measure import Spread, machine, markdown, save
from benchmarks.plain_loop import made, train_plainly, write_files
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode, encode
from metaqnn_trainer.contract.dataset import DatasetInfo, object_digest
from metaqnn_trainer.contract.messages import DatasetRef, Recipe, TrainingRequest, TrialSpec
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.contract.work import WorkOrder
from metaqnn_trainer.spaces.cnn.layer import Shape, describe, total_cost
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.trial import Trainer

OURS: Final = "ours"
WORKERS: Final = (0, 2)  # of the plain loop's DataLoader


class Case(NamedTuple):
    net: str
    images: int
    """Trained on; a quarter as many are evaluated."""


CASES: Final = {
    "small": Case("[C(64,1,1), P(5,3), FC(128), SM(10)]", 6400),
    "middle": Case("[C(64,3,1), P(3,2), C(128,3,1), P(3,2), FC(256), SM(10)]", 1280),
    # The second of the paper's Table A2.
    "large": Case(
        "[C(128,1,1), C(512,3,1), C(64,1,1), C(128,3,1), P(2,2), C(256,3,1), P(2,2), C(512,3,1), P(3,2), SM(10)]", 256
    ),
}
RECIPE: Final = Recipe(epochs=1, max_rates=1, mirror=True)  # one epoch, whatever it learns


class Measured(NamedTuple):
    """One trial, from files to files."""

    seconds: float
    processor_seconds: float
    images_per_second: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--share", type=float, default=1.0, help="of the images")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--threads", type=int, help="of the CPU, for everyone; torch's own choice by default")
    parser.add_argument("--to", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    say = Console(stderr=True).print
    here = Path(tempfile.mkdtemp(prefix=".bench-", dir="."))
    try:
        found = {name: _compare(here / name, CASES[name], options, say) for name in options.cases}
    finally:
        shutil.rmtree(here)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu, {torch.get_num_threads()} threads"
    content: dict[str, Any] = {"machine": {**machine("torch", "torchvision"), "device": device}, "cases": found}
    text = tables(found, options.repeats)
    if torch.cuda.is_available():
        content["steps"] = gpu_steps.compare(torch.device("cuda"))
        text += f"\n## Steps alone, and a loop by hand\n\n{gpu_steps.table(content['steps'])}"
    save(options.to, "trainer", "What training a net takes", text, content)


def _compare(here: Path, case: Case, options: argparse.Namespace, say: Any) -> dict[str, Any]:
    """Every contender takes its turn in each repeat, the first of which warms up. Ours has a process of its own: the
    plain loop shall not profit from what the trainer sets up."""
    count = max(8, int(case.images * options.share))
    images, labels = made(count + count // 4)
    write_files(here / "files", images, labels)
    spec = ask(here / "store", case, images, labels)
    contenders: dict[str, Callable[[int], float]] = {OURS: partial(ours, here / "store", spec, options.threads)}
    for workers in WORKERS:
        contenders[f"plain loop, {workers} workers"] = partial(plain, here, case.net, count // 4, workers)
    taken: dict[str, list[Measured]] = {name: [] for name in contenders}
    with ProcessPoolExecutor(1, get_context("spawn")) as apart:
        for repeat in range(options.repeats + 1):
            for name, contender in contenders.items():
                say(f"{case.net}, repeat {repeat} of {options.repeats}: {name}")
                if name == OURS:
                    found = apart.submit(measured, contender, repeat).result()
                else:
                    found = measured(contender, repeat)
                if repeat:
                    taken[name].append(found)
    cost = total_cost(describe(parse_net(case.net), Shape(3, 32)))
    return {
        "net": case.net,
        **cost._asdict(),
        "images": count,
        "contenders": {name: summary(values, taken[OURS]) for name, values in taken.items()},
    }


def measured(contender: Callable[[int], float], repeat: int) -> Measured:
    begun, processor = time.perf_counter(), sum(os.times()[:4])
    speed = contender(repeat)
    return Measured(time.perf_counter() - begun, sum(os.times()[:4]) - processor, speed)


def summary(values: list[Measured], ours: list[Measured]) -> dict[str, Any]:
    pairs = list(zip(values, ours, strict=True))
    return {
        **{field: Spread.of([getattr(value, field) for value in values])._asdict() for field in Measured._fields},
        "ratios": {
            "seconds": Spread.of([value.seconds / own.seconds for value, own in pairs])._asdict(),
            "processor_seconds": Spread.of([v.processor_seconds / own.processor_seconds for v, own in pairs])._asdict(),
            "images_per_second": Spread.of([own.images_per_second / v.images_per_second for v, own in pairs])._asdict(),
        },
    }


def ask(root: Path, case: Case, images: np.ndarray, labels: np.ndarray) -> TrialSpec:
    """The images as a dataset object in a store, and what is to be trained on it."""
    train = len(images) - len(images) // 5
    empty = torch.empty(0, 3, 32, 32, dtype=torch.uint8)
    tensors = {
        "train_images": torch.from_numpy(images),
        "train_labels": torch.from_numpy(labels),
        "train_indices": torch.arange(train),
        "val_indices": torch.arange(train, len(images)),
        "test_images": empty,
        "test_labels": torch.empty(0, dtype=torch.int64),
        "mean": torch.full((3,), 0.5),
        "std": torch.full((3,), 0.25),
    }
    info = DatasetInfo(
        name="made",
        channels=3,
        image_size=32,
        classes=10,
        train=train,
        validation=len(images) - train,
        test=0,
        source="noise",
    )
    data = safetensors.torch.save(tensors, metadata={"info": info.text()})
    ref = DatasetRef(name="made", digest=object_digest(data))
    DirectoryStore(root).put(keys.dataset(ref.name, ref.digest), data)
    return TrialSpec(net=case.net, dataset=ref, image_size=32, recipe=RECIPE)


def ours(root: Path, spec: TrialSpec, threads: int | None, repeat: int) -> float:
    """A trial from request to result, by a trainer that has read no dataset yet."""
    store, run, trial = DirectoryStore(root), f"repeat-{repeat}", spec.trial_id()
    store.put(keys.request(run, trial), encode(TrainingRequest(run=run, trial=trial, spec=spec)))
    report = Trainer(threads).carry_out(WorkOrder(store=str(root), run=run, trial=trial, attempt=1))
    if report.exit_code:
        raise RuntimeError(report.reason)
    return decode(TrainingResult, store.get(keys.result(run, trial)), "result").images_per_second


def plain(here: Path, net: str, validation: int, workers: int, repeat: int) -> float:
    speed, _ = train_plainly(here / "files", parse_net(net), RECIPE, validation, workers, here / f"{repeat}.pt")
    return speed


def tables(found: dict[str, Any], repeats: int) -> str:
    rows = [
        [
            f"{case}: `{values['net']}`" if name == OURS else "",
            name,
            *(Spread(**values["contenders"][name][field]).text() for field in ("images_per_second", "seconds")),
            Spread(**values["contenders"][name]["processor_seconds"]).text(),
            *(Spread(**ratio).text(".2f") for ratio in values["contenders"][name]["ratios"].values()),
        ]
        for case, values in found.items()
        for name in values["contenders"]
    ]
    head = ["net", "", "training images a second", "seconds", "processor seconds"]
    return (
        f"One epoch of made 32x32 images and its evaluation, batches of 128, Adam, single precision, mirrored; from "
        f"files to files in a process that is warm. Median (quartiles) of {repeats} repeats in which all take turns. "
        "The ratios say how many times ours is ahead.\n\n"
        + markdown([*head, "ratio of seconds", "of processor seconds", "of speed"], rows)
    )


if __name__ == "__main__":
    main()
