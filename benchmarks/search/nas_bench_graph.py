"""NAS-Bench-Graph (Qin and others 2022): 26,206 different graph neural networks, trained on each of eight graphs.

A network has four nodes. Its link structure says from which node each takes its input, and each node has one of nine
operations. Many of the 59,049 combinations are the same network; each network has one representative, by the rules of
the benchmark's own distribution, and the space holds the representatives alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from random import Random
from typing import Any, ClassVar, Final

from benchmarks.search.choices import Choices, Moves
from benchmarks.search.landscape import Landscape
from benchmarks.search.tables import TableMissing, numbers, table_of
from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Cost, Part

FAMILY: Final = "nas-bench-graph"
TABLES: Final = ("cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv")
LINKS: Final = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
OPERATIONS: Final = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")  # in the tables' order
NODES: Final = 4


@dataclass(frozen=True)
class GraphOptions:
    """The graph that the networks are trained on."""

    graph: str = "cora"


class Graphs(Choices):
    """A network is its link structure and four operations, for example `0112 gcn gin fc cheb`."""

    Options: ClassVar[Any] = GraphOptions
    noun = "operation"
    part = "node"
    places = (LINKS, *(OPERATIONS,) * NODES)

    def __init__(self, options: GraphOptions, model: ModelOptions, params: dict[str, int]) -> None:
        """`params`: trainable parameters of each network, which depend on the graph's numbers of features and
        classes.
        """
        super().__init__(options, model)
        self._params = params

    def options_at(self, moves: Moves) -> Sequence[str]:
        """A network of four skips is none."""
        return [move for move in self.places[len(moves)] if moves[1:] != ("skip",) * (NODES - 1) or move != "skip"]

    def representative(self, moves: Sequence[str]) -> list[str]:
        return [*_representative(tuple(moves))]

    def legal(self, state: Moves) -> Sequence[str]:
        return _tree()[state]

    def text(self, moves: Sequence[str]) -> str:
        return " ".join(moves)

    def parse(self, text: str) -> list[str]:
        moves = text.split(" ")
        if not all(move in LINKS or move in OPERATIONS for move in moves):
            raise NotationError(
                "a network is written: link structure, then four operations, for example 0112 gcn gin fc cheb", 1
            )
        return moves

    def describe(self, design: str) -> list[Part]:
        links, *operations = self.parse(design)
        nodes = [Part(f"{links[node]} to {node + 1}: {move}", "", Cost(0, 0)) for node, move in enumerate(operations)]
        return [*nodes, Part("all nodes", self.options.graph, Cost(self._params.get(design, 0), 0))]

    def neighbours(self, design: str) -> Iterator[str]:
        """The networks that differ by one choice, whichever combination represents them."""
        moves, seen = tuple(self.parse(design)), {design}
        for place, chosen in enumerate(moves):
            for other in self.options_at(moves[:place]):
                changed = (*moves[:place], other, *moves[place + 1 :])
                if other == chosen or changed[1:] == ("skip",) * NODES:
                    continue
                found = self.text(self.representative(changed))
                if found not in seen:
                    seen.add(found)
                    yield found

    def mutated(self, design: str, rng: Random) -> str:
        neighbours = [*self.neighbours(design)]
        return neighbours[int(rng.random() * len(neighbours))]


@cache
def _representative(moves: Moves) -> Moves:
    """The moves to the representative of a network, as the benchmark's own distribution chooses it."""
    try:
        from nas_bench_graph.architecture import Arch
    except ImportError:
        raise TableMissing("NAS-Bench-Graph is not installed: pip install nas-bench-graph") from None
    links, *operations = moves
    arch = Arch([*map(int, links)], operations).regularize()
    arch.move_skip_op()
    arch.equalpart_sort()
    return "".join(map(str, arch.link)), *arch.ops


def _number(moves: Moves) -> int:
    """The number of a representative in the tables."""
    links, *operations = moves
    number = LINKS.index(links)
    for operation in operations:
        number = number * (len(OPERATIONS) + 1) + OPERATIONS.index(operation)
    return number


@cache
def _tree() -> dict[Moves, list[str]]:
    """The moves to representatives, by the moves before them."""
    found: dict[Moves, list[str]] = {}
    for moves in product(LINKS, *(OPERATIONS,) * NODES):
        if moves[1:] != ("skip",) * NODES and _representative(moves) == moves:
            for place, move in enumerate(moves):
                following = found.setdefault(moves[:place], [])
                if move not in following:
                    following.append(move)
    return found


def landscape(table: str) -> Landscape:
    """The landscape of one graph.

    Raises:
        TableMissing: nas-bench-graph is not installed.
    """
    rows = numbers(table_of("nas_bench_graph", f"light/{table}.bench", "nas-bench-graph"))
    designs = [" ".join((*before, move)) for before, moves in _tree().items() if len(before) == NODES for move in moves]
    by_design = {design: rows[_number(tuple(design.split(" ")))] for design in designs}
    values = {design: float(row["valid_perf"]) for design, row in by_design.items()}
    params = {design: round(float(row["para"]) * 1e6) for design, row in by_design.items()}
    return Landscape(
        name=f"{FAMILY}/{table}",
        space=Graphs(GraphOptions(table), ModelOptions(), params),
        reward=lambda design, seed, training: values[design],
        truth=values.__getitem__,
        optimum=max(values.values()),
        about="reward and true value: mean validation accuracy of three trainings, without further noise, because the "
        "tables hold no more",
    )
