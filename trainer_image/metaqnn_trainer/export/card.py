"""The model card: what a network is, what it was trained on, how well it does, and what it must not be used for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from metaqnn_trainer.contract.confusion import by_class
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.load import Trained

_USE: Final = {
    "onnx": """\
```python
import onnxruntime

session = onnxruntime.InferenceSession("{file}")
(logits,) = session.run(["logits"], {{"images": images}})    # numpy, uint8, (n, {channels}, {lengths})
```""",
    "torch": """\
```python
import torch

network = torch.export.load("{file}").module()
logits = network(images)    # uint8, (n, {channels}, {lengths})
```""",
    "safetensors": """\
```python
from {module} import load    # {module}.py, beside {file}; needs torch alone

network = load()
logits = network(images)    # uint8, (n, {channels}, {lengths})
```""",
}

MATRIX: Final = 20  # classes up to which the card shows all counts
_INSIDE: Final = {False: "resized and normalised", True: "normalised"}


class Target(NamedTuple):
    """What was exported."""

    form: str
    file: str
    module: str
    """Name of the Python module beside the file, if the format has one."""
    fixed_size: bool


class Proof(NamedTuple):
    """What the export's own proof has measured with the file, on the validation images."""

    images: int
    accuracy: float
    difference: float
    resized: float | None
    """The largest difference between two logits for images of other sizes, where the file takes them."""
    confusion: list[list[int]] | None


def card(trained: Trained, result: TrainingResult, target: Target, proof: Proof) -> str:
    """The card's Markdown."""
    spec, info, file = trained.spec, trained.dataset.info, target.file
    recipe, size = spec.recipe.model_dump(), spec.image_size
    lengths = f"{size}, {size}" if target.fixed_size else "height, width"
    use = _USE[target.form].format(file=file, module=target.module, channels=info.channels, lengths=lengths)
    test = (
        f"{result.test_accuracy:.4f} of the {info.test:,} test images, measured once, with these weights."
        if result.test_accuracy is not None
        else "It was not measured."
    )
    names = ", ".join(plain(name) for name in info.class_names)
    return f"""\
# {file}

A convolutional network for {info.name}, found by MetaQNN (Baker et al., ICLR 2017) as trial {result.trial} of run
{result.run}.

| | |
|---|---|
| net | `{spec.net}` |
| input | uint8 images ({info.channels}, {lengths}), any number of them; {_INSIDE[target.fixed_size]} inside |
| output | logits for {info.classes} classes; a softmax makes probabilities of them |
| parameters | {result.params:,} |
| multiply-accumulates | {result.macs:,} for one image |

## Use

{use}

{_resizing(info, spec.images_of(), target.fixed_size)}

Classes, in the order of the logits: {names}.

## Data

{plain(info.source)}: {info.train:,} images for training, {info.validation:,} for validation, {info.test:,} for testing.
The dataset object is {spec.dataset.name}-{spec.dataset.digest}.

## Accuracy

- **Validation**: {result.val_accuracy:.4f}, after epoch {result.best_epoch}, whose weights these are.
- **Test**: {test}

The exported file, run on {proof.images:,} validation images: accuracy {proof.accuracy:.4f}; its logits differ from the
trainer's by at most {proof.difference:.1e}{_resized(proof)}.

{_classes(proof.confusion, info.class_names)}

## Recipe

{_table(recipe)}

Trained for {result.seconds:,.0f} seconds on {plain(result.device)}, with \
{", ".join(f"{plain(name)} {plain(version)}" for name, version in sorted(result.versions.items()))}.

## Limits

- The validation accuracy chose this epoch, and perhaps this net among many: it is too good by as much as that choice
  gained. The test accuracy, where there is one, is the number to believe.
- It knows its {info.classes} classes and no "none of these"; its probabilities are not calibrated.
- It was trained on images like those named above, and nothing is known of others: other cameras, other preparation,
  images that were altered on purpose.
- It was found and trained for accuracy alone. What it does for other parts of the data than classes, nobody has
  looked at.
"""


def _resized(proof: Proof) -> str:
    return "" if proof.resized is None else f", and for images of noise of other sizes by {proof.resized:.1e}"


def _resizing(info: DatasetInfo, size: int, fixed_size: bool) -> str:
    """How images of another size come to the net's."""
    made = info.images().size
    how = f"resized to {made}x{made} without regard to their proportions, bilinear, averaging where they become smaller"
    how += f", and from there to {size}x{size}" if made != size else ""
    if fixed_size:
        return f"Images of another size must be {how}. A file exported without `--fixed-size` does that itself."
    return (
        f"Images of any size are {how}. That is what `metaqnn-orch dataset push` does to a folder of images, byte for "
        f"byte. Images of {size}x{size} stay as they are. All images of a call must have one size. Turn photos upright "
        f"first (EXIF), and make them {'gray' if info.channels == 1 else 'RGB'}."
    )


def _classes(counts: list[list[int]] | None, names: Sequence[str]) -> str:
    """The accuracy of each class, and the counts themselves where they fit a page."""
    if counts is None:
        return "There are too many classes to list the accuracy of each."
    titles = [plain(name) for name in names] if len(names) == len(counts) else [*map(str, range(len(counts)))]
    rows = [
        (
            titles[row.label],
            f"{row.images:,}",
            "" if row.accuracy is None else f"{row.accuracy:.4f}",
            "" if row.mistaken is None else f"{titles[row.mistaken]} ({row.mistakes:,})",
        )
        for row in by_class(counts)
    ]
    text = "Of the validation images of each class, it classifies correctly:\n\n" + _markdown(
        ("class", "images", "accuracy", "most often taken for"), rows
    )
    if len(counts) > MATRIX:
        return text
    matrix = [(title, *(f"{count:,}" for count in row)) for title, row in zip(titles, counts, strict=True)]
    return f"{text}\n\nHow many of each class (rows) it takes for which (columns):\n\n" + _markdown(
        ("", *titles), matrix
    )


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """Foreign text for Markdown: one line, without markup."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return "".join("\\" + letter if letter in "\\`*_{}[]<>|#&!" else letter for letter in line)


def _table(values: Mapping[str, object]) -> str:
    return _markdown(("setting", "value"), [(name.replace("_", " "), _value(value)) for name, value in values.items()])


def _value(value: object) -> str:
    """A setting's value; one of several parts as a list in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {part}" for name, part in value.items())
    if isinstance(value, tuple | list):
        return "; ".join(map(_value, value)) or "none"
    return str(value)
