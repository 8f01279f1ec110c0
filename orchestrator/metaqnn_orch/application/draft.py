"""Drafts a settings file for a dataset of one's own: what follows from it, and what fits its number of images."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from metaqnn_orch.application import datasets
from metaqnn_orch.control.absence import refuse_absent
from metaqnn_orch.errors import BadInput, NotFound
from metaqnn_orch.next_command import next_command
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore

STEPS: Final = 12  # batches in an epoch, below which more nets than usual learn nothing in their first epoch
BATCHES: Final = (128, 64, 32, 16)
ALL_STEPS: Final = 1000  # batches of a whole training, below which small sets are not learned
ABOVE_CHANCE: Final = 0.05  # of accuracy; for ten classes this is the authors' factor 1.5


MAX_MACS: Final = 3_000_000  # multiply-accumulates: a processor's core does some 10^10 in a second


class Choice(NamedTuple):
    """The value of one setting, and why it was chosen."""

    value: Any
    """The value."""
    why: str
    """Why it was chosen, in words."""


def look_at(directory: Path, name: str, report: Callable[[str], None]) -> tuple[DatasetInfo, list[str]]:
    """What `dataset push` would make of a folder of images, and the options that it needs; nothing is left behind. Bad
    files are left out.

    Raises:
        NotFound, LauncherError: as datasets.push says.
    """
    with tempfile.TemporaryDirectory(prefix="metaqnn-") as aside:
        store = DirectoryStore(aside)
        options = ["--source", str(directory)]
        try:
            ref = datasets.push(store, name, options, report=report)
        except BadInput:
            options.append("--skip-bad")
            ref = datasets.push(store, name, options, report=report)
        return datasets.info(store, ref), options


def look_up(store: Store, name: str) -> DatasetInfo:
    """What the dataset object says of itself that is named so, as datasets.named takes it.

    Raises:
        NotFound: there is none.
        BadInput: there are several.
    """
    ref = datasets.named(store, name)
    if ref is None:
        refuse_absent(store)
        raise NotFound(
            f"{name} is no folder here, and {store.uri} has no dataset of this name",
            hint=next_command("dataset list", store.uri),
        )
    return datasets.info(store, ref)


def choose(info: DatasetInfo) -> dict[str, Choice]:
    """Settings by their dotted keys, in order.

    Raises:
        BadInput: the dataset has no images with classes.
    """
    try:
        channels, size, classes = info.images()
    except MessageError as error:
        raise BadInput(
            f"{error}: settings can be drafted only for those",
            hint=f"a preset for such data needs nothing but the name: --set dataset.name={info.name}",
        ) from None
    batch = next((each for each in BATCHES if info.train >= STEPS * each), BATCHES[-1])
    steps = -(-info.train // batch)
    epochs = min(60, max(20, -(-ALL_STEPS // steps)))
    factor = round(min(1.5, 1 + ABOVE_CHANCE * classes), 2)
    images = f"{amount(info.train, 'image')} to train on"
    colours = {1: "gray", 3: "in colour"}.get(channels, "as they are")
    return {
        "space.image_size": Choice(size, "the size of the dataset's images"),
        "space.channels": Choice(channels, f"the images are {colours}"),
        "space.classes": Choice(classes, _names(info)),
        "space.max_layers": Choice(6, "these four keep a net small, so that a processor trains it in seconds"),
        "space.convolution": Choice({"filters": [16, 32, 64]}, "the paper's are up to 512"),
        "space.fully_connected": Choice({"units": [128, 64, 32]}, "the paper's are up to 512"),
        "space.max_macs": Choice(MAX_MACS, "multiply-accumulates for one image"),
        "recipe.batch_size": Choice(batch, f"{images} make {steps:,} batches: with few, more nets learn nothing"),
        "recipe.epochs": Choice(epochs, f"{epochs * steps:,} batches in all: small sets need more epochs"),
        "recipe.decay_epochs": Choice(max(1, epochs // 3), "the learning rate falls after each third"),
        "recipe.chance_factor": Choice(factor, f"a first epoch must reach an accuracy of {factor / classes:.2f}"),
        "schedule.total": Choice(40, "nets to train; the paper trains 2,700"),
        "finals.optimizer": Choice("sgd", "the best nets are trained again, by `metaqnn-orch finals`"),
        "finals.batch_size": Choice(batch, "as in the search"),
        "finals.phases": Choice(_phases(epochs), "for longer than in the search"),
        "finals.chance_factor": Choice(factor, "as in the search"),
    }


def draft(info: DatasetInfo, chosen: Mapping[str, Choice], digest: str = "") -> str:
    """The settings file, with a comment for each choice, and with the dataset's digest where one is given."""
    test = f"{info.test:,} for the test" if info.test else "none for the test"
    lines = [
        f"# A first search on {info.name}.",
        f"# It has {amount(info.train, 'image')} to train on, {info.validation:,} for validation, {test}.",
        "# `metaqnn-orch config show FILE` lists all settings in force.",
        f"dataset: {{name: {info.name}{f', digest: {json.dumps(digest)}' if digest else ''}}}",
    ]
    section = ""
    for key, (value, why) in chosen.items():
        head, _, leaf = key.partition(".")
        if head != section:
            section = head
            lines.append(f"{head}:")
        lines.append(f"{f'  {leaf}: {json.dumps(value)}':<44}  # {why}")
    return "\n".join(lines) + "\n"


def _phases(epochs: int) -> list[dict[str, float]]:
    """Phases of the finals, with falling learning rates: more than twice the search's epochs in all."""
    shares = ((1.0, 0.02), (0.75, 0.005), (0.5, 0.0005))
    return [{"epochs": round(share * epochs), "learning_rate": rate} for share, rate in shares]


def _names(info: DatasetInfo) -> str:
    shown = [name for name in info.class_names[:5] if name.isprintable()]
    return ", ".join(shown)[:80] + (", …" if len(info.class_names) > len(shown) else "")
