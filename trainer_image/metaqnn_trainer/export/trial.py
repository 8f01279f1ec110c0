"""Exports a trial from the store to files on this machine; the files appear only when they are proved to compute the
same as the trainer's net.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import Tensor

from metaqnn_trainer.alone import alone
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.errors import RequestError
from metaqnn_trainer.export.card import Proof, Target, card
from metaqnn_trainer.export.formats import FORMATS, FileFormat, Run
from metaqnn_trainer.export.network import Network
from metaqnn_trainer.export.placing import card_of, refuse_others, signed
from metaqnn_trainer.export.standalone import module_name
from metaqnn_trainer.images.evaluate import EVALUATION_BATCH, confusion
from metaqnn_trainer.load import Trained, load_trial
from metaqnn_trainer.store.base import Store

TOLERANCE: Final = 1e-4  # of a logit, in units of the largest logit: sums in another order differ by about 1e-6

# The same where images are resized twice: a value between two bytes may become either.
ROUNDED_TOLERANCE: Final = 1e-2


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
    store: Store,
    run: str,
    trial: str,
    form: str,
    to: Path,
    formats: Mapping[str, FileFormat] = FORMATS,
    *,
    fixed_size: bool = False,
    force: bool = False,
    test_accuracy: float | None = None,
) -> Exported:
    """Write the trial's net to `to` in the format `form`, and a model card beside it, which says `test_accuracy` where
    the trial's result has none. With `fixed_size` the net takes images of its own size only. Files of an earlier export
    are replaced; others only with `force`.

    Raises:
        RequestError: the trial kept no weights, the format cannot be written here, the file is not the same net, or
            another file would be replaced.
        DatasetError: its dataset is missing or damaged.
        StoreError: the store does not answer.
    """
    chosen = formats[form]
    if to.suffix != chosen.suffix:
        raise RequestError(f"{to.name!r} does not end in {chosen.suffix}")
    if not force:
        refuse_others(to, [to.with_name(name) for name in chosen.beside(to.stem)])
    trained, result = load_trial(store, run, trial)
    result = _with_accuracy(result)
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
        # The files are written in another folder first: a file under its final name is whole, and proved. Its name has
        # the number of this process, so that who kills it can remove it.
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".export-{os.getpid()}-") as aside:
            network = Network(trained, fixed_size).eval()
            files = chosen.write(network, Path(aside) / to.name, facts)
            proof = _prove(trained, chosen.open(Path(aside) / to.name), fixed_size)
            if result.test_accuracy is None:
                result = result.model_copy(update={"test_accuracy": test_accuracy})
            text = card(trained, result, Target(form, to.name, module_name(to.stem), fixed_size), proof)
            about = card_of(Path(aside) / to.name)
            about.write_text(signed(text, files), encoding="utf-8")
            with alone(to.parent):  # files and their card belong together, also where two export at once
                if not force:
                    refuse_others(to, [to.with_name(name) for name in chosen.beside(to.stem)])
                placed = [file.replace(to.with_name(file.name)) for file in [*files, about]]
    except OSError as error:
        raise RequestError(f"cannot write {to}: {error.strerror or error}") from error
    return Exported(placed, proof.images, proof.accuracy, result.val_accuracy or 0.0, proof.difference)


def _with_accuracy(result: TrainingResult) -> TrainingResult:
    """The result with its accuracies, also where the reward is another measure.

    Raises:
        RequestError: accuracy was not measured.
    """
    if result.val_accuracy is not None:
        return result
    if (found := result.measures.get("accuracy")) is None:
        raise RequestError(f"trial {result.trial} has no accuracy, which its file is compared with")
    tested = result.test_measures.get("accuracy", result.test_accuracy)
    return result.model_copy(update={"val_accuracy": found, "test_accuracy": tested})


@torch.inference_mode()
def _prove(trained: Trained, run: Run, fixed_size: bool) -> Proof:
    """Run the file on the validation images and, if it takes them, on images of other sizes.

    Raises:
        RequestError: its logits are not the trainer's.
    """
    part, info = trained.dataset.validation, trained.dataset.info.images()
    classes = []

    def logits(images: Tensor) -> Tensor:
        found = run(images)
        classes.append(found.argmax(1))
        return found

    difference = _compare(logits, trained, part.images.split(EVALUATION_BATCH), TOLERANCE)
    named = torch.cat(classes)
    right = int((named == part.labels).sum())
    counts = confusion(named, part.labels, info.classes)
    resized = None
    if not fixed_size:
        again = info.size != trained.spec.images_of()
        others = _of_other_sizes(info.channels, info.size)
        resized = _compare(run, trained, others, ROUNDED_TOLERANCE if again else TOLERANCE)
    return Proof(len(part), right / len(part), difference, resized, counts)


def _compare(run: Run, trained: Trained, parts: Iterable[Tensor], tolerance: float) -> float:
    """The largest difference between the file's logits and the trainer's."""
    difference, largest = 0.0, 1.0
    for images in parts:
        expected = trained.logits(images)
        difference = max(difference, _largest(run(images) - expected))
        largest = max(largest, _largest(expected))
    if not difference <= tolerance * largest:
        raise RequestError(f"the exported file is wrong: its logits differ by up to {difference:.3g}")
    return difference


def _of_other_sizes(channels: int, size: int) -> list[Tensor]:
    """Images of noise, smaller and larger than a dataset's, wide and high."""
    shapes = [(size, size), (2 * size + 1, 3 * size), (size + 3, -(-size // 2)), (1, 5)]
    random = torch.Generator().manual_seed(0)
    return [torch.randint(0, 256, (2, channels, *shape), generator=random, dtype=torch.uint8) for shape in shapes]


def _largest(values: Tensor) -> float:
    return float(values.abs().max())
