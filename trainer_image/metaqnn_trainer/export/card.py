"""The model card: what a network is, what it was trained on, how well it does, and what it must not be used for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.load import Trained

_USE: Final = {
    "onnx": """\
```python
import onnxruntime

session = onnxruntime.InferenceSession("{file}")
(logits,) = session.run(["logits"], {{"images": images}})    # numpy, uint8, (n, {channels}, {size}, {size})
```""",
    "torch": """\
```python
import torch

network = torch.export.load("{file}").module()
logits = network(images)    # uint8, (n, {channels}, {size}, {size})
```""",
    "safetensors": """\
```python
from {module} import load    # {module}.py, beside {file}; needs torch alone

network = load()
logits = network(images)    # uint8, (n, {channels}, {size}, {size})
```""",
}


def card(
    trained: Trained, result: TrainingResult, form: str, file: str, module: str, measured: Mapping[str, str]
) -> str:
    """The card's Markdown. `measured` are the numbers of the export's own proof, by their names."""
    spec, info = trained.spec, trained.dataset.info
    recipe = spec.recipe.model_dump()
    use = _USE[form].format(file=file, module=module, channels=info.channels, size=spec.image_size)
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
| input | uint8 images ({info.channels}, {spec.image_size}, {spec.image_size}), any number of them; normalised inside |
| output | logits for {info.classes} classes; a softmax makes probabilities of them |
| parameters | {result.params:,} |
| multiply-accumulates | {result.macs:,} for one image |

## Use

{use}

Images of another size are resized first, bilinear and without aliasing, as training did.

Classes, in the order of the logits: {names}.

## Data

{plain(info.source)}: {info.train:,} images for training, {info.validation:,} for validation, {info.test:,} for testing.
The dataset object is {spec.dataset.name}-{spec.dataset.digest}.

## Accuracy

- **Validation**: {result.val_accuracy:.4f}, after epoch {result.best_epoch}, whose weights these are.
- **Test**: {test}

The exported file, run on {measured["images"]} validation images: accuracy {measured["accuracy"]}; its logits differ
from the trainer's by at most {measured["difference"]}.

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
- It was found and trained for accuracy alone. What it does for parts of the data, nobody has looked at.
"""


def plain(text: str) -> str:
    """Foreign text for Markdown: one line, without markup."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return "".join("\\" + letter if letter in "\\`*_{}[]<>|#&!" else letter for letter in line)


def _table(values: Mapping[str, object]) -> str:
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in values.items())
    return f"| setting | value |\n|---|---|\n{rows}"
