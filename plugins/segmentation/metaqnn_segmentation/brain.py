"""One real head: the T1 volume with labels that Debian's package mricron-data ships.

The head (`ch2`, at 2 mm here) is cut into coronal slabs with gaps between them, of which each second one is trained on.
The labels are regions of the atlas AAL (`aal`, Tzourio-Mazoyer et al. 2002) in three groups.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from metaqnn_segmentation.cases import PARTS, Case, examples, read_file
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import Examples, Report

FOLDER: Final = Path("/usr/share/mricron/templates")
STEP: Final = 2  # millimetres: each second voxel along each axis
SLAB: Final = 8  # slices
GAP: Final = 2  # slices between two slabs, which no part has
EDGE: Final = 88  # of a slice: what is cut off is air
FEWEST: Final = 0.02  # share of labelled voxels: a slab with fewer is left out
ORDER: Final = ("train", "validation", "train", "test")  # of the slabs, from the back of the head
DEEP: Final = (37, 38, 41, 42, *range(71, 79))  # hippocampus, amygdala, basal ganglia, thalamus
CEREBELLUM: Final = 91  # and all regions after it
CORTEX, DEEP_GREY, HIND = 1, 2, 3


def slabs(slices: int) -> list[tuple[str, range]]:
    """The part and the slices of each slab of a head of so many slices."""
    begins = range(0, slices - SLAB + 1, SLAB + GAP)
    return [(ORDER[number % len(ORDER)], range(begin, begin + SLAB)) for number, begin in enumerate(begins)]


def read_brain(path: Path | None, report: Report) -> Examples:
    """
    Raises:
        DatasetError: the package is not installed.
    """
    folder = path or FOLDER
    files = [folder / f"{name}.nii.gz" for name in ("ch2", "aal")]
    if not all(file.is_file() for file in files):
        raise DatasetError(f"{files[0]} is missing: apt install mricron-data, or --source FOLDER")
    head, regions = (read_file(file)[::STEP, ::STEP, ::STEP] for file in files)
    labels = np.where(regions > 0, CORTEX, 0).astype(np.int64)
    labels[np.isin(regions, DEEP)] = DEEP_GREY
    labels[regions >= CEREBELLUM] = HIND
    parts: dict[str, list[Case]] = {part: [] for part in PARTS}
    for part, those in slabs(head.shape[1]):
        slab = np.s_[:EDGE, those.start : those.stop, :EDGE]
        image, named = np.moveaxis(head[slab], 1, 0), np.moveaxis(labels[slab], 1, 0)
        if (named > 0).mean() > FEWEST:
            parts[part].append(Case(image[None], named))
    return examples(parts, "the head ch2 of mricron-data with groups of AAL's regions, in coronal slabs")
