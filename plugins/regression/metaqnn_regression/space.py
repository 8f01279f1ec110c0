"""Nets as wires (Cartesian genetic programming): each node has an activation and reads some earlier nodes.

A design is one line: `tanh 0-2; relu 0 _ 4; linear 3 _ _`. Each node is its activation and `arity` places for wires.
A wire is the number of what it reads: first the columns of the table, then the nodes in their order. `0-2` is `0 1 2`,
and `_` is a place without a wire. The last node is the output. Nodes that nothing reads stay in the text, as in CGP: a
later mutation may wire them in. They cost nothing, and are not computed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from random import Random
from typing import ClassVar, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.spaces.base import Cost, Follows, Part, Space, fact

NONE: Final = "_"
GENE: Final = re.compile(r"(?P<wire>0|[1-9][0-9]{0,3})(-(?P<last>[1-9][0-9]{0,3}))?|(?P<none>_)|(?P<activation>[a-z]+)")
OUTPUT: Final = "linear"
TRIES: Final = 1000  # mutations, until one changes what is computed


class WiredOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inputs: int = Field(ge=1, le=1000, description="Columns of the table.")
    rows: int = Field(8, ge=1, le=100, description="Nodes in each layer.")
    layers: int = Field(2, ge=1, le=20, description="Layers of nodes before the output.")
    arity: int = Field(10, ge=1, le=100, description="Places for wires of each node.")
    levels_back: int = Field(
        3, ge=1, le=21, description="How many layers back a wire may reach; the table is the first."
    )
    activations: tuple[str, ...] = ("tanh", "relu", "sigmoid", "linear")


class Node(NamedTuple):
    """`wires` has `arity` places; None where there is no wire."""

    activation: str
    wires: tuple[int | None, ...]


class Wired(Space):
    """A state is the number of genes so far; so moves are the same wherever they are made."""

    Options: ClassVar[type[WiredOptions]] = WiredOptions
    follows: ClassVar[Follows] = {"inputs": fact("columns")}
    noun = "gene"
    part = "node"

    @property
    def start(self) -> int:
        return 0

    @property
    def nodes(self) -> int:
        """Number of nodes, with the output."""
        return int(self.options.rows * self.options.layers + 1)

    def legal(self, state: int) -> Sequence[str]:
        node, place = divmod(state, self.options.arity + 1)
        choices: Sequence[str] = self._choices[node][min(place, 2)]
        return choices

    @cached_property
    def _choices(self) -> list[tuple[Sequence[str], ...]]:
        """Each node has the activations that it may take, what its first wire may read, and what its others may."""
        found: list[tuple[Sequence[str], ...]] = []
        for node in range(self.nodes):
            wires = [str(number) for number in self._readable(node)]
            activations = self.options.activations if node < self.nodes - 1 else (OUTPUT,)
            found.append((activations, wires, [*wires, NONE]))  # a node reads something
        return found

    def _readable(self, node: int) -> range:
        """What a node may read."""
        inputs, rows = self.options.inputs, self.options.rows
        layer = node // rows  # 0 reads the table alone
        first = layer - self.options.levels_back  # -1 is the table
        return range(0 if first < 0 else inputs + first * rows, inputs + layer * rows)

    def step(self, state: int, move: str) -> int | None:
        return state + 1 if state + 1 < self.nodes * (self.options.arity + 1) else None

    def text(self, moves: Sequence[str]) -> str:
        size = self.options.arity + 1
        return "; ".join(" ".join(_in_ranges(moves[begin : begin + size])) for begin in range(0, len(moves), size))

    def parse(self, text: str) -> list[str]:
        found: list[str] = []
        for written in text.replace(";", " ").split():
            gene, place = GENE.fullmatch(written), len(found) % (self.options.arity + 1)
            if gene is None or (gene["activation"] is None) != (place > 0):
                wanted = "the number of what is read, or _" if place else "an activation"
                raise NotationError(f"{written[:20]!r} stands where {wanted} should be", 1)
            first, last = gene["wire"], gene["last"]
            found += [str(wire) for wire in range(int(first), int(last) + 1)] if last else [written]
        return found

    def graph(self, design: str) -> list[Node]:
        """The nodes of a design in order; the last is the output.

        Raises:
            NotationError: the design is not whole.
        """
        genes, size = self.parse(design), self.options.arity + 1
        if len(genes) != self.nodes * size:
            raise NotationError(f"a whole design has {self.nodes} nodes of {size} genes, not {len(genes)} genes", 1)
        nodes = [genes[begin : begin + size] for begin in range(0, len(genes), size)]
        return [Node(act, tuple(None if wire == NONE else int(wire) for wire in wires)) for act, *wires in nodes]

    def active(self, design: str) -> list[int]:
        """The nodes that the output depends on, itself among them, in order."""
        graph, found = self.graph(design), {self.nodes - 1}
        for node in range(self.nodes - 1, -1, -1):
            if node in found:
                reads = (wire - self.options.inputs for wire in graph[node].wires if wire is not None)
                found |= {read for read in reads if read >= 0}
        return sorted(found)

    def describe(self, design: str) -> list[Part]:
        graph, parts = self.graph(design), []
        for node in self.active(design):
            wires = [wire for wire in graph[node].wires if wire is not None]
            if any(wire not in self._readable(node) for wire in wires):
                raise NotationError(f"node {node} reads what does not come before it", 1)
            name = f"{self.options.inputs + node}: {graph[node].activation} of {', '.join(map(str, wires))}"
            parts.append(Part(name, "1", Cost(len(wires) + 1, len(wires))))
        return parts

    def measures(self, design: str) -> dict[str, float]:
        """Also the number of active weights, and of active nodes."""
        cost = self.cost(design)
        return {**cost._asdict(), "active_weights": cost.macs, "active_nodes": len(self.active(design))}

    def mutated(self, design: str, rng: Random) -> str:
        """Genes change one after another until one changes what is computed (Goldman and Punch 2013): changes of nodes
        that nothing reads are kept on the way.
        """
        before, found = self.describe(design), design
        for _ in range(TRIES):
            found = super().mutated(found, rng)
            if found == design or self.describe(found) != before:
                break
        return found

    def feed_forward(self) -> str:
        """The design in which each node reads the whole layer before it, as far as there are places, with the first
        activation.
        """
        genes: list[str] = []
        for node in range(self.nodes):
            readable = self._readable(node)
            layer = readable[-self.options.rows :] if node >= self.options.rows else readable
            wires = [str(number) for number in layer][: self.options.arity]
            activation = OUTPUT if node == self.nodes - 1 else self.options.activations[0]
            genes += [activation, *wires, *[NONE] * (self.options.arity - len(wires))]
        return self.text(genes)


def _in_ranges(genes: Sequence[str]) -> Iterator[str]:
    """Genes as they are written: three wires or more that follow each other are one word."""
    place = 0
    while place < len(genes):
        end = place + 1
        while genes[place].isdecimal() and end < len(genes) and genes[end] == str(int(genes[end - 1]) + 1):
            end += 1
        if end - place >= 3:
            yield f"{genes[place]}-{genes[end - 1]}"
        else:
            yield from genes[place:end]
        place = end
