"""Training steps on one GPU, ours against the loop that an expert writes by hand for one net."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import torch

from benchmarks.hand_loop import train_by_hand
from benchmarks.measure import Spread, markdown
from benchmarks.plain_loop import made
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.messages import DatasetRef, Recipe, TrialSpec
from metaqnn_trainer.contract.result import EpochRecord
from metaqnn_trainer.images.dataset import Dataset, Labelled
from metaqnn_trainer.spaces.cnn.layer import Shape, describe, total_cost
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.tasks.base import task_of
from metaqnn_trainer.training import session
from metaqnn_trainer.training.outcome import Subject, Training

NETS: Final = {
    "small": "[C(64,1,1), P(5,3), FC(128), SM(10)]",
    "middle": "[C(64,3,1), P(3,2), C(128,3,1), P(3,2), FC(256), SM(10)]",
    "Table A2, fifth": "[C(64,3,1), C(128,3,1), P(5,3), C(256,3,1), P(3,2), FC(512), FC(128), SM(10)]",
    "Table A2, fourth": "[C(256,3,1), C(256,3,1), P(5,3), C(256,1,1), C(128,3,1), P(2,2), C(128,3,1), SM(10)]",
    "Table A2, second": "[C(128,1,1), C(512,3,1), C(64,1,1), C(128,3,1), P(2,2), C(256,3,1), P(2,2), C(512,3,1), "
    "P(3,2), SM(10)]",
    "Table A2, first": "[C(512,5,1), C(256,3,1), C(256,5,1), C(256,3,1), P(5,3), C(512,3,1), C(512,5,1), P(2,2), "
    "SM(10)]",
}
EPOCHS: Final = 3  # the first warms up
RECIPES: Final = {
    "bf16": Recipe(epochs=EPOCHS, max_rates=1, mirror=True, precision="bf16"),
    "tf32": Recipe(epochs=EPOCHS, max_rates=1, mirror=True, precision="tf32"),
    "bf16, not deterministic": Recipe(epochs=EPOCHS, max_rates=1, mirror=True, precision="bf16", deterministic=False),
    "tf32, not deterministic": Recipe(epochs=EPOCHS, max_rates=1, mirror=True, precision="tf32", deterministic=False),
}
TRAINED: Final = 25_600
MEASURED: Final = 64  # images of the evaluation: so few take no time


def made_data(device: torch.device) -> Dataset:
    """Made images (n, 3, 32, 32) on the device."""
    images, labels = (torch.from_numpy(array).to(device) for array in made(TRAINED + MEASURED))
    info = DatasetInfo(
        name="made", channels=3, image_size=32, classes=10, train=TRAINED, validation=MEASURED, test=0, source="noise"
    )
    train, validation, test = (
        Labelled(images[part], labels[part]) for part in (slice(TRAINED), slice(TRAINED, None), slice(0))
    )
    mean, std = (torch.full((3, 1, 1), value, device=device) for value in (0.5, 0.25))
    return Dataset(info, train, validation, test, mean, std, torch.bincount(train.labels).float())


def ours(net: str, recipe: Recipe, data: Dataset) -> tuple[list[float], Training]:
    """Images a second of each epoch, with its small evaluation."""
    spec = TrialSpec(net=net, dataset=DatasetRef(name="made", digest="0" * 16), image_size=32, recipe=recipe)
    task = task_of(spec)
    records: list[EpochRecord] = []
    training = session.train(Subject(task, data, data.mean.device, task.cost(data)), records.append)
    return [TRAINED / record.seconds for record in records], training


def compare(device: torch.device, nets: Sequence[str] = tuple(NETS), repeats: int = 1) -> dict[str, Any]:
    """Every net with every contender in turn, `repeats` times."""
    data = made_data(device)
    found: dict[str, Any] = {}
    for name in nets:
        net = NETS[name]
        speeds: dict[str, list[float]] = {}
        memory: dict[str, dict[str, int | None]] = {}
        started: dict[str, float] = {}
        for _ in range(repeats):
            for how, recipe in RECIPES.items():
                begun = time.perf_counter()
                each, training = ours(net, recipe, data)
                started.setdefault(how, round(time.perf_counter() - begun - sum(TRAINED / one for one in each[1:]), 2))
                speeds.setdefault(how, []).extend(each[1:])
                memory[how] = {"estimate": training.estimated_memory, "peak": training.peak_memory}
            torch.backends.cudnn.deterministic = False  # nothing holds the hand back
            torch.backends.cudnn.benchmark = True
            by_hand = train_by_hand(parse_net(net), RECIPES["bf16"], data.train.images, data.train.labels, EPOCHS)
            speeds.setdefault("by hand", []).extend(by_hand[1:])
            torch.cuda.empty_cache()
        hand = Spread.of(speeds["by hand"]).median
        found[name] = {
            "net": net,
            **total_cost(describe(parse_net(net), Shape(3, 32)))._asdict(),
            "speeds": {how: Spread.of(values)._asdict() for how, values in speeds.items()},
            "ours_to_hand": Spread.of([value / hand for value in speeds["bf16"]])._asdict(),
            "first_epoch_seconds": started,
            "memory": memory,
        }
    return found


def table(found: dict[str, Any]) -> str:
    """Markdown of what `compare` found."""
    rows = [
        [
            f"{name}: `{values['net']}`",
            f"{values['macs'] / 1e6:.0f}",
            *(f"{values['speeds'][how]['median'] / 1000:.1f}" for how in (*RECIPES, "by hand")),
            Spread(**values["ours_to_hand"]).text(".2f"),
            *(f"{values['memory'][how]['peak'] / values['memory'][how]['estimate']:.2f}" for how in ("bf16", "tf32")),
        ]
        for name, values in found.items()
    ]
    head = ["net", "MMACs", *RECIPES, "by hand, bf16", "bf16 to hand", "peak to estimate, bf16", "tf32"]
    return (
        f"Thousands of images a second, batches of 128 of {TRAINED:,} made 32x32 images, mirrored, with the paper's "
        "dropout; medians of the epochs after the first. The loop by hand has the whole step in one CUDA graph, from "
        "the choice of images to Adam, lets cuDNN try out its kernels, and evaluates nothing.\n\n"
        + markdown(head, rows)
    )
