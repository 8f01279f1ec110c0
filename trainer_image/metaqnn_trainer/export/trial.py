"""Exports a trial from the store to files on this machine; the files appear only when they are proved to compute the
same as the trainer's net.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import Tensor

from metaqnn_trainer.errors import RequestError
from metaqnn_trainer.export.card import card
from metaqnn_trainer.export.formats import FORMATS, FileFormat, Run
from metaqnn_trainer.export.network import Network
from metaqnn_trainer.export.standalone import module_name
from metaqnn_trainer.images.evaluate import EVALUATION_BATCH
from metaqnn_trainer.load import Trained, load_trial
from metaqnn_trainer.store.base import Store

TOLERANCE: Final = 1e-4  # of a logit, in units of the largest logit: sums in another order differ by about 1e-6


class Exported(NamedTuple):
    """The files that were written, and their accuracy on the validation images."""

    files: list[Path]
    images: int
    accuracy: float
    recorded: float
    """The validation accuracy in result.json."""
    difference: float
    """Largest difference between two logits, the file's and the trainer's."""


def export_trial(
    store: Store, run: str, trial: str, form: str, to: Path, formats: Mapping[str, FileFormat] = FORMATS
) -> Exported:
    """Write the trial's net to `to` in the format `form`, and a model card beside it. Existing files are replaced.

    Raises:
        RequestError: the trial kept no weights, the format cannot be written here, or the file is not the same net.
        DatasetError: its dataset is missing or damaged.
        StoreError: the store does not answer.
    """
    trained, result = load_trial(store, run, trial)
    chosen = formats[form]
    if to.suffix != chosen.suffix:
        raise RequestError(f"{to.name!r} does not end in {chosen.suffix}")
    facts = {
        "net": trained.spec.net,
        "classes": json.dumps(trained.dataset.info.class_names),
        "dataset": f"{trained.spec.dataset.name}-{trained.spec.dataset.digest}",
        "run": run,
        "trial": trial,
        "val_accuracy": repr(result.val_accuracy),
    }
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        # The files are written in another folder first: a file under its final name is whole, and proved.
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=".export-") as aside:
            network, images = Network(trained).eval(), trained.dataset.validation.images
            files = chosen.write(network, images[:2], Path(aside) / to.name, facts)
            found = _prove(trained, chosen.open(Path(aside) / to.name))
            measured = {
                "images": f"{len(images):,}",
                "accuracy": f"{found.accuracy:.4f}",
                "difference": f"{found.difference:.1e}",
            }
            about = Path(aside) / f"{to.stem}.md"
            about.write_text(card(trained, result, form, to.name, module_name(to.stem), measured), encoding="utf-8")
            placed = [file.replace(to.with_name(file.name)) for file in [*files, about]]
    except OSError as error:
        raise RequestError(f"cannot write {to}: {error.strerror or error}") from error
    return found._replace(files=placed, recorded=result.reward)


@torch.inference_mode()
def _prove(trained: Trained, run: Run) -> Exported:
    part = trained.dataset.validation
    difference, largest, right = 0.0, 0.0, 0
    for images, labels in zip(part.images.split(EVALUATION_BATCH), part.labels.split(EVALUATION_BATCH), strict=True):
        found, expected = run(images), trained.logits(images)
        difference = max(difference, _largest(found - expected))
        largest = max(largest, _largest(expected))
        right += int((found.argmax(1) == labels).sum())
    if not difference <= TOLERANCE * max(1.0, largest):
        raise RequestError(f"the exported file is wrong: its logits differ by up to {difference:.3g}")
    return Exported([], len(part), right / len(part), 0.0, difference)


def _largest(values: Tensor) -> float:
    return float(values.abs().max())
