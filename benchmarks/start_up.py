"""make bench-start-up: what the process of one trial costs, and what each part of its start saves."""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import safetensors.torch
import torch
from rich.console import Console

from benchmarks.measure import Spread, machine, markdown, save
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.dataset import DatasetInfo, object_digest
from metaqnn_trainer.contract.messages import DatasetRef, Recipe, TrainingRequest, TrialSpec
from metaqnn_trainer.store.directory import DirectoryStore

RUN: Final = "start-up"
PROCESS: Final = Path(__file__).with_name("one_trial.py").absolute()
TRAINED: Final = 256  # images
OURS: Final = "and a dataset that is in the cache"


class Start(NamedTuple):
    parts: tuple[str, ...]
    """Parts of the start that this contender has (benchmarks.one_trial)."""
    compiled: bool = True
    """Whether Python finds compiled modules."""


CONTENDERS: Final = {
    "plain, and Python compiles what it imports": Start((), compiled=False),
    "plain": Start(()),
    "torch's import is not garbage-collected": Start(("imports",)),
    "and the dataset is read meanwhile": Start(("imports", "ahead")),
    OURS: Start(("imports", "ahead", "cache")),
}


class Measured(NamedTuple):
    seconds: float
    processor_seconds: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--images", type=int, default=60_000, help="of 32x32 in the dataset, nearly all of them for tests"
    )
    parser.add_argument("--rate", type=float, default=100e6, help="bytes a second of a dataset")
    parser.add_argument("--to", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args(arguments)
    say = Console(stderr=True).print
    here = Path(tempfile.mkdtemp(prefix=".bench-", dir="."))
    try:
        size, trial = ask(here / "store", options.images)
        for folder in ("cache", "compiled"):
            (here / folder).mkdir()
        taken: dict[str, list[Measured]] = {name: [] for name in CONTENDERS}
        say("warming up: Python compiles, and the cache is filled")
        measured(here, trial, options.rate, CONTENDERS[OURS])
        for repeat in range(1, options.repeats + 1):
            for name, start in CONTENDERS.items():
                say(f"repeat {repeat} of {options.repeats}: {name}")
                taken[name].append(measured(here, trial, options.rate, start))
    finally:
        shutil.rmtree(here)
    contenders = {name: summary(values, taken[OURS]) for name, values in taken.items()}
    content = {"machine": machine("torch"), "bytes": size, "rate": options.rate, "contenders": contenders}
    save(options.to, "start-up", "What the process of one trial costs", table(content, options.repeats), content)


def ask(root: Path, images: int) -> tuple[int, str]:
    """Leave a dataset of noise and a request for the smallest net in a store. Returns the object's bytes and the
    trial.
    """
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "train_images": torch.randint(256, (TRAINED, 3, 32, 32), dtype=torch.uint8, generator=generator),
        "train_labels": torch.arange(TRAINED) % 10,
        "train_indices": torch.arange(TRAINED // 2),
        "val_indices": torch.arange(TRAINED // 2, TRAINED),
        "test_images": torch.randint(256, (images, 3, 32, 32), dtype=torch.uint8, generator=generator),
        "test_labels": torch.arange(images) % 10,
        "mean": torch.full((3,), 0.5),
        "std": torch.full((3,), 0.25),
    }
    half = TRAINED // 2
    info = DatasetInfo(
        name="noise", channels=3, image_size=32, classes=10, train=half, validation=half, test=images, source="noise"
    )
    data = safetensors.torch.save(tensors, metadata={"info": info.text()})
    ref = DatasetRef(name="noise", digest=object_digest(data))
    spec = TrialSpec(net="[SM(10)]", dataset=ref, image_size=32, recipe=Recipe(epochs=1, max_rates=1))
    request = TrainingRequest(run=RUN, trial=spec.trial_id(), spec=spec)
    store = DirectoryStore(root)
    store.put(keys.dataset(ref.name, ref.digest), data)
    store.put(keys.request(RUN, request.trial), encode(request))
    return len(data), request.trial


def measured(here: Path, trial: str, rate: float, start: Start) -> Measured:
    """One process, from its start to its end."""
    (here / "store" / keys.result(RUN, trial)).unlink(missing_ok=True)
    command = [sys.executable, "-P", str(PROCESS), str(here / "store"), RUN, trial, str(rate)]
    # Compiled modules have a place of their own: so the first repeat makes them, wherever torch is installed.
    place = here / ("compiled" if start.compiled else "nowhere")
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "" if start.compiled else "1"}
    environment["PYTHONPYCACHEPREFIX"] = str(place.absolute())
    begun, processor = time.perf_counter(), used()
    subprocess.run(
        [*command, str(here / "cache"), *start.parts], env=environment, stderr=subprocess.DEVNULL, check=True
    )
    return Measured(time.perf_counter() - begun, used() - processor)


def used() -> float:
    """Processor seconds of all processes that this one has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def summary(values: list[Measured], ours: list[Measured]) -> dict[str, Any]:
    pairs = list(zip(values, ours, strict=True))
    return {
        field: {
            "measured": Spread.of([getattr(value, field) for value in values])._asdict(),
            "ratio": Spread.of([getattr(value, field) / getattr(own, field) for value, own in pairs])._asdict(),
        }
        for field in Measured._fields
    }


def table(content: dict[str, Any], repeats: int) -> str:
    rows = [
        [
            name,
            *(Spread(**values[field]["measured"]).text(".2f") for field in Measured._fields),
            *(Spread(**values[field]["ratio"]).text(".2f") for field in Measured._fields),
        ]
        for name, values in content["contenders"].items()
    ]
    head = ["start", "seconds", "processor seconds", "ratio of seconds", "of processor seconds"]
    return (
        "One process for each trial, from its start to its end, on a CPU; it trains the smallest net on "
        f"{TRAINED // 2} images. The dataset has {content['bytes'] / 1e6:.0f} MB, and the store sends it at "
        f"{content['rate'] / 1e6:.0f} MB a second. Each row has what the rows above it have, from `plain` on; the last "
        f"one is the trainer. Median (quartiles) of {repeats} repeats in which all take turns. The ratios say how many "
        "times the trainer is "
        "ahead.\n\n" + markdown(head, rows)
    )


if __name__ == "__main__":
    main()
