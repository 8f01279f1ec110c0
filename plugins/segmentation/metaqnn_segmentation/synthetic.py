"""Discs and balls in noise, by MONAI's generators: datasets that need no files."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from metaqnn_segmentation.cases import PARTS, Case, examples
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import Examples, Report

SEED: Final = 0
NOISE: Final = 0.9
CLASSES: Final = 2  # beside the background
IMAGES: Final = {"train": 32, "validation": 16, "test": 16}
VOLUMES: Final = {"train": 16, "validation": 8, "test": 8}
EXTRAS: Final = ("torchvision", "mlflow", "pandas", "sklearn", "matplotlib", "optuna", "tensorboard", "tensorboardX")


@contextmanager
def without_extras() -> Iterator[None]:
    """MONAI imports all of its extras that are installed, which takes longer than a short search. Those that are not
    yet imported cannot be within this context.
    """
    hidden = [name for name in EXTRAS if name not in sys.modules]
    nothing: dict[str, Any] = dict.fromkeys(hidden)  # None: there is no such module
    sys.modules.update(nothing)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in hidden:
            del sys.modules[name]


def monai(module: str) -> Any:
    """A module of MONAI."""
    with without_extras():
        return import_module(f"monai.{module}")


def _made(path: Path | None, counts: dict[str, int], name: str, edges: tuple[int, ...], radius: int) -> Examples:
    if path is not None:
        raise DatasetError("synthetic data need no --source")
    make, state = getattr(monai("data.synthetic"), name), np.random.RandomState(SEED)

    def case() -> Case:
        image, labels = make(
            *edges,
            num_objs=8,
            rad_max=radius,
            rad_min=radius // 2,
            noise_max=NOISE,
            num_seg_classes=CLASSES,
            random_state=state,
        )
        return Case(image[None], labels.astype(np.int64))

    parts = {part: [case() for _ in range(counts[part])] for part in PARTS}
    return examples(parts, f"MONAI's {name}, {'x'.join(map(str, edges))}, seed {SEED}")


def read_images(path: Path | None, report: Report) -> Examples:
    """
    Raises:
        DatasetError: a path was given.
    """
    return _made(path, IMAGES, "create_test_image_2d", (48, 48), 8)


def read_volumes(path: Path | None, report: Report) -> Examples:
    """
    Raises:
        DatasetError: a path was given.
    """
    return _made(path, VOLUMES, "create_test_image_3d", (16, 16, 16), 5)
