"""Labelled cases as datasets: files of one's own, MONAI's synthetic ones, and the head of Debian's mricron-data."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metaqnn_segmentation.space import AXES
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import Examples, Read, Report

PARTS: Final = ("train", "validation", "test")
SHARES: Final = (0.6, 0.8)  # of cases: where validation begins, and where the test
SEED: Final = 0  # of the split, and of the synthetic cases
MULTIPLE: Final = 8  # of which the edges are multiples after padding: it allows four levels
VOLUMES: Final = (".nii", ".nii.gz")
EXTRAS: Final = ("torchvision", "mlflow", "pandas", "sklearn", "matplotlib", "optuna", "tensorboard", "tensorboardX")

HEAD: Final = Path("/usr/share/mricron/templates")
STEP: Final = 2  # millimetres: each second voxel along each axis
SLAB, GAP = 8, 2  # slices of a slab, and between two slabs, where no part has any
EDGE: Final = 88  # of a slice: what is cut off is air
ORDER: Final = ("train", "validation", "train", "test")  # of coronal slabs, from the back of the head
FEWEST: Final = 0.02  # share of labelled voxels: a slab with fewer is left out
DEEP: Final = (37, 38, 41, 42, *range(71, 79))  # AAL's hippocampus, amygdala, basal ganglia and thalamus: class 2
CEREBELLUM: Final = 91  # and all regions after it: class 3; all other regions are cortex, class 1


class Case(NamedTuple):
    """`image` (channels, *edges) and `labels` (*edges), whole numbers from 0, the background."""

    image: NDArray[np.float64]
    labels: NDArray[np.int64]


def examples(parts: Mapping[str, Sequence[Case]], source: str) -> Examples:
    """A dataset of cases that are already split. Each channel of each case is standardised by itself. Cases are padded
    to the same edges, multiples of 8, with the background and what is darkest.

    Raises:
        DatasetError: the cases do not fit each other.
    """
    cases = [case for part in PARTS for case in parts[part]]
    if len({(case.image.ndim, len(case.image)) for case in cases}) > 1:
        raise DatasetError(f"{source}: some cases are images and others volumes, or their channels differ")
    edges = [int(-(-edge // MULTIPLE) * MULTIPLE) for edge in np.max([case.labels.shape for case in cases], axis=0)]
    classes, channels = max(int(case.labels.max()) for case in cases) + 1, len(cases[0].image)
    if not 2 <= classes <= 256 or min(int(case.labels.min()) for case in cases) < 0:
        raise DatasetError(f"{source}: labels are whole numbers from 0, the background, to 1 at least and 255 at most")
    tensors: dict[str, NDArray[Any]] = {}
    for part in PARTS:
        padded = [_padded(case, edges) for case in parts[part]]
        tensors[f"{part}_x"] = np.array([one.image for one in padded], np.float32).reshape(-1, channels, *edges)
        tensors[f"{part}_y"] = np.array([one.labels for one in padded], np.uint8).reshape(-1, *edges)
    facts = {"channels": channels, "classes": classes, **dict(zip(AXES[-len(edges) :], edges, strict=True))}
    return Examples(tensors, {**{part: len(parts[part]) for part in PARTS}, "source": source, "facts": facts})


def _padded(case: Case, edges: Sequence[int]) -> Case:
    axes = tuple(range(1, case.image.ndim))
    deviation = case.image.std(axes, keepdims=True)
    standard = (case.image - case.image.mean(axes, keepdims=True)) / np.where(deviation > 0, deviation, 1)
    wanted = [(0, edge - have) for edge, have in zip(edges, case.labels.shape, strict=True)]
    image = np.stack([np.pad(channel, wanted, constant_values=channel.min()) for channel in standard])
    return Case(image, np.pad(case.labels, wanted))


def read_cases(path: Path | None, report: Report) -> Examples:
    """A folder with `images` and `labels`, whose NIfTI or PNG files have the same names; or with `train`, `validation`
    and `test`, each of which holds these two.

    Raises:
        DatasetError: the text names the folder or the file, and what is wrong with it.
    """
    if path is None:
        raise DatasetError("labelled-cases reads a folder with images and labels: say which with --source FOLDER")
    if (path / "train").is_dir():
        return examples({part: _read(path / part) for part in PARTS}, f"the folder {path.name}")
    found = _read(path)
    if len(found) < len(PARTS):
        raise DatasetError(f"{path} has {len(found)} cases; {len(PARTS)} are needed, one for each part")
    ends = [min(round(share * len(found)), len(found) - left) for share, left in zip(SHARES, (2, 1), strict=True)]
    split = np.split(np.random.default_rng(SEED).permutation(len(found)), ends)
    parts = {part: [found[index] for index in some] for part, some in zip(PARTS, split, strict=True)}
    return examples(parts, f"the folder {path.name}")


def _read(folder: Path) -> list[Case]:
    names = sorted(file.name for file in (folder / "images").glob("*") if file.name.endswith((*VOLUMES, ".png")))
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


def monai(module: str) -> Any:
    """A module of MONAI, which imports all of its extras that are installed: that takes longer than a short search. So
    there are none until it is imported.
    """
    hidden: dict[str, Any] = dict.fromkeys(name for name in EXTRAS if name not in sys.modules)
    sys.modules.update(hidden)  # None: there is no such module
    try:
        with warnings.catch_warnings(action="ignore"):
            return import_module(f"monai.{module}")
    finally:
        for name in hidden:
            del sys.modules[name]


def _made(edges: tuple[int, ...], radius: int, counts: tuple[int, ...], path: Path | None, report: Report) -> Examples:
    """Discs or balls of two classes in noise.

    Raises:
        DatasetError: a path was given.
    """
    if path is not None:
        raise DatasetError("synthetic data need no --source")
    make = getattr(monai("data.synthetic"), f"create_test_image_{len(edges)}d")
    how: dict[str, Any] = {
        "num_objs": 8,
        "rad_max": radius,
        "rad_min": radius // 2,
        "noise_max": 0.9,
        "num_seg_classes": 2,
    }
    how["random_state"] = np.random.RandomState(SEED)
    pairs = {part: [make(*edges, **how) for _ in range(count)] for part, count in zip(PARTS, counts, strict=True)}
    parts = {part: [Case(x[None], y.astype(np.int64)) for x, y in some] for part, some in pairs.items()}
    return examples(parts, f"MONAI's {make.__name__}, {'x'.join(map(str, edges))}, seed {SEED}")


read_images: Final[Read] = partial(_made, (48, 48), 8, (32, 16, 16))
read_volumes: Final[Read] = partial(_made, (16, 16, 16), 5, (16, 8, 8))


def slabs(slices: int) -> list[tuple[str, range]]:
    """The part and the slices of each slab of a head of so many slices."""
    begins = range(0, slices - SLAB + 1, SLAB + GAP)
    return [(ORDER[number % len(ORDER)], range(begin, begin + SLAB)) for number, begin in enumerate(begins)]


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
    for part, those in slabs(head.shape[1]):
        slab = np.s_[:EDGE, those.start : those.stop, :EDGE]
        image, named = np.moveaxis(head[slab], 1, 0), np.moveaxis(labels[slab], 1, 0)
        if (named > 0).mean() > FEWEST:
            parts[part].append(Case(image[None], named))
    return examples(parts, "the head ch2 of mricron-data with groups of AAL's regions, in coronal slabs")
