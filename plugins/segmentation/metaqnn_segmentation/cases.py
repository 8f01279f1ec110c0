"""Labelled cases as datasets: images or volumes with a label for each voxel, from files of one's own.

A folder holds `images` and `labels`, with files of the same names: NIfTI (`.nii`, `.nii.gz`) or PNG. Where it holds
`train`, `validation` and `test`, each with these two, these are the parts; otherwise cases are shuffled and split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metaqnn_segmentation.space import AXES
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import Examples, Report

PARTS: Final = ("train", "validation", "test")
SHARES: Final = (0.6, 0.2)  # of training and validation; the rest is for the test
SEED: Final = 0  # of the split: the same folder gives the same dataset
MULTIPLE: Final = 8  # of which the edges are multiples after padding: it allows four levels
FEWEST: Final = 3  # cases
VOLUMES: Final = (".nii", ".nii.gz")


class Case(NamedTuple):
    """`image` (channels, *edges) and `labels` (*edges), whole numbers from 0."""

    image: NDArray[np.float64]
    labels: NDArray[np.int64]


def examples(parts: Mapping[str, Sequence[Case]], source: str) -> Examples:
    """A dataset of cases that are already split.

    Each channel of each case is standardised by itself. Cases are padded to the same edges, multiples of 8, with the
    background and what is darkest.

    Raises:
        DatasetError: the cases do not fit each other.
    """
    cases = [case for part in PARTS for case in parts[part]]
    if len({(case.image.ndim, len(case.image)) for case in cases}) > 1:
        raise DatasetError(f"{source}: some cases are images and others volumes, or their channels differ")
    largest = np.max([case.labels.shape for case in cases], axis=0)
    edges = [int(-(-edge // MULTIPLE) * MULTIPLE) for edge in largest]
    classes = max(int(case.labels.max()) for case in cases) + 1
    if not 2 <= classes <= 256 or min(int(case.labels.min()) for case in cases) < 0:
        raise DatasetError(f"{source}: labels are whole numbers from 0, the background, to 1 at least and 255 at most")
    tensors: dict[str, NDArray[Any]] = {}
    for part in PARTS:
        padded = [_padded(case, edges) for case in parts[part]]
        channels, shape = len(cases[0].image), tuple(edges)
        tensors[f"{part}_x"] = np.array([one.image for one in padded], np.float32).reshape(-1, channels, *shape)
        tensors[f"{part}_y"] = np.array([one.labels for one in padded], np.uint8).reshape(-1, *shape)
    facts = {"channels": len(cases[0].image), "classes": classes, **dict(zip(AXES[-len(edges) :], edges, strict=True))}
    return Examples(tensors, {**{part: len(parts[part]) for part in PARTS}, "source": source, "facts": facts})


def _padded(case: Case, edges: Sequence[int]) -> Case:
    axes = tuple(range(1, case.image.ndim))
    deviation = case.image.std(axes, keepdims=True)
    standard = (case.image - case.image.mean(axes, keepdims=True)) / np.where(deviation > 0, deviation, 1)
    wanted = [(0, edge - have) for edge, have in zip(edges, case.labels.shape, strict=True)]
    image = np.stack([np.pad(channel, wanted, constant_values=channel.min()) for channel in standard])
    return Case(image, np.pad(case.labels, wanted))


def read_cases(path: Path | None, report: Report) -> Examples:
    """Pairs of files of one's own.

    Raises:
        DatasetError: the text names the folder or the file, and what is wrong with it.
    """
    if path is None:
        raise DatasetError("labelled-cases reads a folder with images and labels: say which with --source FOLDER")
    if (path / "train").is_dir():
        parts = {part: _read(path / part) for part in PARTS}
    else:
        found = _read(path)
        if len(found) < FEWEST:
            raise DatasetError(f"{path} has {len(found)} cases; {FEWEST} are needed, one for each part")
        order = np.random.default_rng(SEED).permutation(len(found))
        held = [max(1, round(share * len(found))) for share in (SHARES[1], 1 - sum(SHARES))]
        ends = [len(found) - sum(held), len(found) - held[1]]
        split = np.split(order, ends)
        parts = {part: [found[index] for index in some] for part, some in zip(PARTS, split, strict=True)}
    report(f"{path.name}: " + ", ".join(f"{len(some)} for {part}" for part, some in parts.items()))
    return examples(parts, f"the folder {path.name}"[:500])


def _read(folder: Path) -> list[Case]:
    images, labels = folder / "images", folder / "labels"
    names = sorted(file.name for file in images.glob("*") if file.name.endswith((*VOLUMES, ".png")))
    if not names:
        raise DatasetError(f"{images} has no NIfTI or PNG files")
    if missing := [name for name in names if not (labels / name).is_file()]:
        raise DatasetError(f"{labels / missing[0]} is missing: images and labels have the same names")
    return [_case(images / name, labels / name) for name in names]


def _case(image: Path, labels: Path) -> Case:
    values, named = read_file(image), read_file(labels)
    channels = values[None] if values.ndim == named.ndim else np.moveaxis(values, -1, 0)
    if named.ndim not in (2, 3) or channels.shape[1:] != named.shape:
        raise DatasetError(f"{image} has the shape {values.shape}, but its labels {named.shape}")
    if not np.isfinite(channels).all() or not np.array_equal(named, np.rint(named)):
        raise DatasetError(f"{image} has values that are no numbers, or {labels} some that are not whole")
    return Case(channels, named.astype(np.int64))


def read_file(path: Path) -> NDArray[np.float64]:
    """The values of a NIfTI or PNG file: the edges, and then the channels if there are several. A palette's PNG gives
    its indices.
    """
    try:
        if path.name.endswith(VOLUMES):
            import nibabel

            return np.asarray(nibabel.loadsave.load(path).get_fdata())  # type: ignore[attr-defined]
        from PIL import Image

        with Image.open(path) as opened:
            return np.asarray(opened, np.float64)
    except Exception as error:  # the readers of files have no error of their own
        raise DatasetError(f"{path} cannot be read: {error}") from error
