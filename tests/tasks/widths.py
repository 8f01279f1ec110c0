"""A made-up family of designs: the widths of hidden layers, as `16-8`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.spaces.base import Cost, Part, Space


class WidthOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inputs: int = Field(4, ge=1)
    widths: tuple[int, ...] = (8, 16)
    most: int = Field(2, ge=1)


class Widths(Space):
    """A state is how many layers there are; move 0 ends."""

    Options: ClassVar[type[WidthOptions]] = WidthOptions

    @property
    def start(self) -> int:
        return 0

    def legal(self, state: int) -> Sequence[int]:
        return (*self.options.widths, 0) if state else self.options.widths

    def step(self, state: int, move: int) -> int | None:
        return state + 1 if move and state + 1 < self.options.most else None

    def text(self, moves: Sequence[int]) -> str:
        return "-".join(str(move) for move in moves if move)

    def parse(self, text: str) -> list[int]:
        try:
            return [int(part) for part in text.split("-")]
        except ValueError:
            raise NotationError("a width is a number", 1) from None

    def describe(self, design: str) -> list[Part]:
        sizes = [self.options.inputs, *self.parse(design), 1]
        return [Part(str(b), str(b), Cost((a + 1) * b, a * b)) for a, b in pairwise(sizes)]


PLUGIN = Widths
