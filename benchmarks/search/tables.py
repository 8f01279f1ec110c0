"""Reads the tables that other distributions bring along as pickles, without importing them or running anything."""

from __future__ import annotations

import io
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

_SCALARS: Final = {(f"numpy.{core}.multiarray", "scalar"): "scalar" for core in ("core", "_core")} | {
    ("numpy", "dtype"): "dtype"
}


class TableMissing(Exception):
    """The distribution with the table is not installed."""


class _Numbers(pickle.Unpickler):
    """Accepts containers, texts and numbers; of NumPy, its scalars."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _SCALARS:
            raise pickle.UnpicklingError(f"the table holds {module}.{name}, which is no number")
        if name == "dtype":
            import numpy as np

            return np.dtype
        from numpy._core.multiarray import scalar

        return scalar


def numbers(data: bytes) -> Any:
    """The pickled dictionary."""
    return _Numbers(io.BytesIO(data)).load()


def is_installed(package: str) -> bool:
    return find_spec(package) is not None


def table_of(package: str, file: str, distribution: str) -> bytes:
    """A file of an installed package, which is not imported.

    Raises:
        TableMissing: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise TableMissing(f"the tables of {distribution} are not installed: pip install {distribution}")
    return (Path(spec.submodule_search_locations[0]) / file).read_bytes()
