"""Tables as datasets: CSV files of one's own, and scikit-learn's.

A dataset object holds `train_x` (n, columns) and `train_y` (n) float32, and the same for `validation` and `test`. All
are standardised by mean and deviation of the training part. The fact `deviation` is that of the target: an error times
it is in the target's own unit.
"""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import Examples, Read, Report

SHARES: Final = {"train": 0.6, "validation": 0.2, "test": 0.2}
SEED: Final = 0  # of the split: the same table gives the same dataset
FEWEST: Final = 10  # rows
SEPARATORS: Final = ",;\t"
MOST: Final = float(np.finfo(np.float32).max)  # size of a number
FRIEDMAN_ROWS: Final = 600
FRIEDMAN_NOISE: Final = {"friedman1": 1.0, "friedman2": 125.0, "friedman3": 0.1}  # as in Friedman 1991

Numbers = NDArray[np.float64]


def split(x: Numbers, y: Numbers, source: str, names: list[str]) -> Examples:
    """A table as a dataset: shuffled, split, and standardised."""
    order = np.random.default_rng(SEED).permutation(len(y))
    ends = np.cumsum([round(share * len(y)) for share in SHARES.values()])[:-1]
    rows = dict(zip(SHARES, np.split(order, ends), strict=True))
    mean, deviation = x[rows["train"]].mean(0), x[rows["train"]].std(0)
    middle, scale = float(y[rows["train"]].mean()), float(y[rows["train"]].std())
    if scale == 0:
        raise DatasetError(f"{source}: the target is the same in all rows that are trained on")
    tensors: dict[str, NDArray[Any]] = {}
    for part, chosen in rows.items():
        tensors[f"{part}_x"] = ((x[chosen] - mean) / np.where(deviation > 0, deviation, 1)).astype(np.float32)
        tensors[f"{part}_y"] = ((y[chosen] - middle) / scale).astype(np.float32)
    if not all(np.isfinite(values).all() for values in tensors.values()):
        raise DatasetError(f"{source}: some numbers are too far from those that are trained on to be standardised")
    facts = {"columns": x.shape[1], "target": names[-1][:1000], "deviation": scale}
    return Examples(tensors, {**{part: len(chosen) for part, chosen in rows.items()}, "source": source, "facts": facts})


def read_csv(path: Path | None, report: Report) -> Examples:
    """A CSV file with a line of names, and numbers below it. The target is the column `target`, or else the last one.
    Commas, semicolons or tabs separate the columns.

    Raises:
        DatasetError: the text names the file, the line and what is wrong.
    """
    if path is None:
        raise DatasetError("table reads a CSV file: say which with --source FILE")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            rows = csv.reader(file, delimiter=max(SEPARATORS, key=first.count))
            names, *lines = [row for row in rows if any(cell.strip() for cell in row)] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read as a CSV file: {error}") from error
    if len(names) < 2 or len(lines) < FEWEST:
        found = f"{amount(len(names), 'column')} and {amount(len(lines), 'row')}"
        raise DatasetError(f"{path} has {found}; needed are at least 2 and {FEWEST}")
    if all(_number(name) is not None for name in names):
        raise DatasetError(f"{path}, row 1: a line of names is needed, and here are numbers")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DatasetError(f"{path}, row 1: the name {twice[0][:40]!r} stands over several columns")
    place = names.index("target") if "target" in names else len(names) - 1
    table = np.array([_numbers(path, number, row, names) for number, row in enumerate(lines, 2)])
    report(
        f"{path.name}: {amount(len(lines), 'row')}, {amount(len(names) - 1, 'column')}, the target is {names[place]}"
    )
    x, y = np.delete(table, place, 1), table[:, place]
    return split(x, y, f"the table {path.name}", [*names[:place], *names[place + 1 :], names[place]])


def _numbers(path: Path, number: int, row: list[str], names: list[str]) -> list[float]:
    if len(row) != len(names):
        raise DatasetError(f"{path}, row {number}: {len(row)} cells, but {len(names)} names")
    found = []
    for name, cell in zip(names, row, strict=True):
        value = _number(cell)
        if value is None:
            raise DatasetError(f"{path}, row {number}, column {name}: {cell[:40]!r} is no finite number of float32")
        found.append(value)
    return found


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) <= MOST else None


def _built_in(name: str, path: Path | None, report: Report) -> Examples:
    """
    Raises:
        DatasetError: a path was given.
    """
    if path is not None:
        raise DatasetError(f"{name} comes with scikit-learn and takes no --source")
    from sklearn import datasets

    if name == "diabetes":
        found = datasets.load_diabetes()
        return split(found.data, found.target, "scikit-learn's diabetes", [*found.feature_names, "progression"])
    x, y = getattr(datasets, f"make_{name}")(n_samples=FRIEDMAN_ROWS, noise=FRIEDMAN_NOISE[name], random_state=SEED)
    return split(x, y, f"scikit-learn's make_{name}, {FRIEDMAN_ROWS} rows", ["target"])


read_diabetes: Final[Read] = partial(_built_in, "diabetes")
read_friedman1: Final[Read] = partial(_built_in, "friedman1")
read_friedman2: Final[Read] = partial(_built_in, "friedman2")
read_friedman3: Final[Read] = partial(_built_in, "friedman3")
