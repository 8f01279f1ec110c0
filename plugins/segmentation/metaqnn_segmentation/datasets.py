"""Labelled cases as datasets: files of one's own, synthetic ones, and the head of Debian's mricron-data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metaqnn_segmentation.space import AXES
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import Examples, Read, Report

PARTS: Final = ("train", "validation", "test")
MULTIPLE: Final = 8  # of which the edges are multiples after padding: it allows four levels
VOLUMES: Final = (".nii", ".nii.gz")

SEED: Final = 0  # of the synthetic cases
OBJECTS, KINDS, NOISE = 8, 2, 0.9  # of a synthetic case: its objects, their classes, and noise as a share of these

HEAD: Final = Path("/usr/share/mricron/templates")
STEP, EDGE = 2, 88  # millimetres: each second voxel along each axis; and the edge of a slice: what is cut off is air
SLAB, GAP = 8, 2  # slices of a slab, and between two slabs, where no part has any
ORDER: Final = ("train", "validation", "train", "test")  # of coronal slabs, from the back of the head
FEWEST: Final = 0.02  # share of labelled voxels: a slab with fewer is left out
DEEP: Final = (37, 38, 41, 42, *range(71, 79))  # AAL's hippocampus, amygdala, basal ganglia and thalamus: class 2
CEREBELLUM: Final = 91  # and all regions after it: class 3; all other regions are cortex, class 1


class Case(NamedTuple):
    """`image` (channels, *edges) and `labels` (*edges), whole numbers from 0, the background."""

    image: NDArray[np.float64]
    labels: NDArray[np.int64]


def examples(parts: Mapping[str, Sequence[Case]], source: str, report: Report = lambda line: None) -> Examples:
    """A dataset of cases that are already split. Each channel of each case is standardised by itself. Cases are padded
    to the same edges, multiples of 8, with the background and what is darkest. The labels that occur are numbered.

    Raises:
        DatasetError: the cases do not fit each other.
    """
    cases = [case for part in PARTS for case in parts[part]]
    if len({(case.image.ndim, len(case.image)) for case in cases}) > 1:
        raise DatasetError(f"{source}: some cases are images and others volumes, or their channels differ")
    edges = [int(-(-edge // MULTIPLE) * MULTIPLE) for edge in np.max([case.labels.shape for case in cases], axis=0)]
    values = np.unique(np.concatenate([[0], *(np.unique(case.labels) for case in cases)]))
    classes, channels = len(values), len(cases[0].image)
    if not 2 <= classes <= 256 or values[0] < 0:
        raise DatasetError(f"{source}: labels are whole numbers, 0 for the background and 1 to 255 others above it")
    if values[-1] >= classes:
        report(f"labels {', '.join(map(str, values))} -> {', '.join(map(str, range(classes)))}")
    tensors: dict[str, NDArray[Any]] = {}
    for part in PARTS:
        padded = [_padded(case, edges, values) for case in parts[part]]
        tensors[f"{part}_x"] = np.array([one.image for one in padded], np.float32).reshape(-1, channels, *edges)
        tensors[f"{part}_y"] = np.array([one.labels for one in padded], np.uint8).reshape(-1, *edges)
    facts = {"channels": channels, "classes": classes, **dict(zip(AXES[-len(edges) :], edges, strict=True))}
    return Examples(tensors, {**{part: len(parts[part]) for part in PARTS}, "source": source, "facts": facts})


def _padded(case: Case, edges: Sequence[int], values: NDArray[np.int64]) -> Case:
    axes = tuple(range(1, case.image.ndim))
    deviation = case.image.std(axes, keepdims=True)
    standard = (case.image - case.image.mean(axes, keepdims=True)) / np.where(deviation > 0, deviation, 1)
    wanted = [(0, edge - have) for edge, have in zip(edges, case.labels.shape, strict=True)]
    image = np.stack([np.pad(channel, wanted, constant_values=channel.min()) for channel in standard])
    return Case(image, np.pad(np.searchsorted(values, case.labels), wanted))


def read_cases(path: Path | None, report: Report) -> Examples:
    """A folder with `train`, `validation` and `test`, each of which holds `images` and `labels`, whose NIfTI or PNG
    files have the same names.

    Raises:
        DatasetError: the text names the folder or the file, and what is wrong with it.
    """
    if path is None:
        raise DatasetError("labelled-cases reads a folder with images and labels: say which with --source FOLDER")
    return examples({part: _read(path / part) for part in PARTS}, f"the folder {path.name}", report)


def _read(folder: Path) -> list[Case]:
    names = sorted(file.name for file in (folder / "images").glob("[!.]*") if file.name.endswith((*VOLUMES, ".png")))
    if not names:
        raise DatasetError(f"{folder / 'images'} has no NIfTI or PNG files")
    return [_case(folder / "images" / name, folder / "labels" / name) for name in names]


def _case(image: Path, labels: Path) -> Case:
    values, named = read_file(image), read_file(labels)
    channels = values[None] if values.ndim == named.ndim else np.moveaxis(values, -1, 0)
    if named.ndim not in (2, 3) or channels.shape[1:] != named.shape:
        raise DatasetError(f"{image} has the shape {values.shape}, but its labels {named.shape}")
    if not np.isfinite(channels).all() or not np.array_equal(named, np.rint(named)):
        raise DatasetError(f"{image} has values that are no numbers, or {labels} some that are not whole")
    return Case(channels, named.astype(np.int64))


def read_file(path: Path) -> NDArray[np.float64]:
    """The values of a NIfTI or PNG file: the edges, and then the channels if there are several."""
    try:
        if path.name.endswith(VOLUMES):
            import nibabel

            return np.asarray(nibabel.loadsave.load(path).get_fdata())  # type: ignore[attr-defined]
        from PIL import Image

        with Image.open(path) as opened:
            return np.asarray(opened, np.float64)
    except Exception as error:  # the readers of files have no error of their own
        raise DatasetError(f"{path} cannot be read: {error}") from error


def _drawn(edges: tuple[int, ...], radius: int, rng: np.random.RandomState) -> Case:
    """Discs or balls of two classes, of which later ones lie over earlier ones, in noise. It gives the same numbers as
    MONAI's `create_test_image_2d` and `create_test_image_3d`, which take seconds to be imported.
    """
    labels = np.zeros(edges)
    for _ in range(OBJECTS):
        middle = [rng.randint(radius, edge - radius) for edge in edges]
        reach = rng.randint(radius // 2, radius)
        away = sum((axis - at) ** 2 for axis, at in zip(np.indices(edges), middle, strict=True))
        labels[away <= reach**2] = np.ceil(KINDS * rng.random())
    image = np.maximum(labels, rng.uniform(0, KINDS * NOISE, edges)).astype(np.float32)
    return Case(((image - image.min()) / (image.max() - image.min()))[None], labels.astype(np.int64))


def _made(edges: tuple[int, ...], radius: int, counts: dict[str, int], path: Path | None, report: Report) -> Examples:
    """Synthetic cases, so many in each part.

    Raises:
        DatasetError: a path was given.
    """
    if path is not None:
        raise DatasetError("synthetic data need no --source")
    rng = np.random.RandomState(SEED)
    parts = {part: [_drawn(edges, radius, rng) for _ in range(count)] for part, count in counts.items()}
    return examples(parts, f"MONAI's create_test_image_{len(edges)}d, {'x'.join(map(str, edges))}, seed {SEED}")


read_images: Final[Read] = partial(_made, (48, 48), 8, {"train": 32, "validation": 16, "test": 16})
read_volumes: Final[Read] = partial(_made, (16, 16, 16), 5, {"train": 16, "validation": 8, "test": 8})


def read_head(path: Path | None, report: Report) -> Examples:
    """The head `ch2`, with regions of `aal` (Tzourio-Mazoyer et al. 2002) in three groups, in coronal slabs.

    Raises:
        DatasetError: the files are not there.
    """
    files = [(path or HEAD) / f"{name}.nii.gz" for name in ("ch2", "aal")]
    if not all(file.is_file() for file in files):
        raise DatasetError(f"{files[0]} is missing: apt install mricron-data, or --source FOLDER")
    head, regions = (read_file(file)[::STEP, ::STEP, ::STEP] for file in files)
    labels = np.select([regions >= CEREBELLUM, np.isin(regions, DEEP), regions > 0], [3, 2, 1]).astype(np.int64)
    parts: dict[str, list[Case]] = {part: [] for part in PARTS}
    for number, begin in enumerate(range(0, head.shape[1] - SLAB + 1, SLAB + GAP)):
        slab = np.s_[:EDGE, begin : begin + SLAB, :EDGE]
        image, named = np.moveaxis(head[slab], 1, 0), np.moveaxis(labels[slab], 1, 0)
        if (named > 0).mean() > FEWEST:
            parts[ORDER[number % len(ORDER)]].append(Case(image[None], named))
    return examples(parts, "the head ch2 of mricron-data with groups of AAL's regions, in coronal slabs")
