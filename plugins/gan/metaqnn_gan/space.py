"""Generators of cells (AutoGAN, Gong et al. 2019, section 3.1): each cell doubles the size of the image.

A design is one line: `pre batch nearest short; post none deconv plain skip=1`. A cell says whether the activation comes
before or after its two convolutions, how they are normalised, how it enlarges the image, whether a shortcut leads past
them, and, from the second cell on, which earlier cells it reads besides the last one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from typing import ClassVar, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.spaces.base import Cost, Follows, Part, Space

FIRST: Final = (("pre", "post"), ("none", "batch", "instance"), ("nearest", "bilinear", "deconv"), ("plain", "short"))
"""What is chosen of each cell. Of later ones than the first the skips are chosen, too."""
MOST_CELLS: Final = 4

Genes = tuple[str, ...]


class GeneratorOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    image_size: int = Field(16, ge=4, le=256, description="Width and height of the images.")
    channels: int = Field(1, ge=1, le=4, description="Channels of the images.")
    cells: int = Field(3, ge=1, le=MOST_CELLS, description="Cells, each of which doubles the size.")
    width: int = Field(16, ge=1, le=1024, description="Maps in each cell.")
    latent: int = Field(32, ge=1, le=1024, description="Random numbers from which an image is made.")
    convolutions: tuple[Literal["pre", "post"], ...] = Field(FIRST[0], min_length=1)
    norms: tuple[Literal["none", "batch", "instance"], ...] = Field(FIRST[1], min_length=1)
    upsamplings: tuple[Literal["nearest", "bilinear", "deconv"], ...] = Field(FIRST[2], min_length=1)
    shortcuts: tuple[Literal["plain", "short"], ...] = Field(FIRST[3], min_length=1)

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        whole, rest = divmod(self.image_size, 2**self.cells)
        if rest or not whole:
            raise ValueError(f"image_size must be a multiple of {2**self.cells}, for each cell doubles the size")
        if whole == 1 and "pre" in self.convolutions and set(self.norms) == {"instance"}:
            raise ValueError("norms: one pixel, which the first cell gets, cannot be normalised by itself")
        return self


class Cell(NamedTuple):
    """`skips` are the numbers, from 1, of the earlier cells that are read besides the last one."""

    text: str
    convolution: str
    norm: str
    upsampling: str
    shortcut: bool
    skips: tuple[int, ...]


class GeneratorCells(Space):
    """A state is all choices so far."""

    Options: ClassVar[type[GeneratorOptions]] = GeneratorOptions
    follows: ClassVar[Follows] = {
        "image_size": lambda info, said: said or (info.image_size or 0) // 8 * 8 or None,  # three cells make it
        "channels": lambda info, said: info.channels,
    }
    part = "cell"

    @property
    def start(self) -> Genes:
        return ()

    @property
    def bottom(self) -> int:
        """Size of the image before the first cell."""
        return int(self.options.image_size // 2**self.options.cells)

    def legal(self, state: Genes) -> Sequence[str]:
        options, (cell, place) = self.options, _place(len(state))
        if self.bottom == 1 and state == ("pre",):  # one pixel cannot be normalised by itself
            return [norm for norm in options.norms if norm != "instance"]
        return (options.convolutions, options.norms, options.upsamplings, options.shortcuts, _skips(cell))[place]

    def step(self, state: Genes, move: str) -> Genes | None:
        after = (*state, move)
        return None if _place(len(after)) == (self.options.cells, 0) else after

    def text(self, moves: Sequence[str]) -> str:
        words = ((" " if _place(number)[1] else "; ") + move for number, move in enumerate(moves))
        return "".join(words).removeprefix("; ")

    def parse(self, text: str) -> list[str]:
        found = text.replace(";", " ").split()
        for number, gene in enumerate(found):
            cell, place = _place(number)
            if cell == MOST_CELLS:
                raise NotationError(f"a design has at most {MOST_CELLS} cells", 1)
            known = (*FIRST, _skips(cell))[place]
            if gene not in known:
                raise NotationError(f"{gene[:20]!r} stands where one of {', '.join(known)} should be", 1)
        return found

    def cells(self, design: str) -> list[Cell]:
        """The cells of a design.

        Raises:
            NotationError: the design is not whole.
        """
        moves, found = self.parse(design), list[Cell]()
        if _place(len(moves)) != (self.options.cells, 0):
            raise NotationError(f"a whole design has {self.options.cells} cells", 1)
        for text in self.text(moves).split("; "):
            convolution, norm, upsampling, shortcut, *skip = text.split()
            skips = tuple(int(cell) for cell in re.findall(r"\d", "".join(skip)))
            found.append(Cell(text, convolution, norm, upsampling, shortcut == "short", skips))
        return found

    def describe(self, design: str) -> list[Part]:
        options, width, size = self.options, self.options.width, self.bottom
        begin = _convolution(options.latent, width * size**2, 1, 1)
        parts = [Part(f"{options.latent} random numbers", f"{width}x{size}x{size}", begin)]
        for cell in self.cells(design):
            size *= 2
            convolutions = [(3, size), (3, size)]  # their fields, and the sizes of their maps
            if cell.upsampling == "deconv":
                convolutions.append((2, size // 2))  # each output has one term
            if cell.shortcut:
                convolutions.append((1, size // 2))
            convolutions += [(1, self.bottom * 2**skip) for skip in cell.skips]
            norms = Cost(0 if cell.norm == "none" else 4 * width, 0)
            cost = sum((_convolution(width, width, *each) for each in convolutions), norms)
            parts.append(Part(cell.text, f"{width}x{size}x{size}", cost, (width, size, size)))
        image = (options.channels, size, size)
        head = _convolution(width, options.channels, 3, size) + Cost(2 * width, 0)
        return [*parts, Part("image", "x".join(map(str, image)), head, image)]


def _place(number: int) -> tuple[int, int]:
    """The cell of a choice, from 0, and the place of the choice in it."""
    return (0, number) if number < len(FIRST) else divmod(number + 1, len(FIRST) + 1)


def _skips(cell: int) -> tuple[str, ...]:
    earlier = range(1, cell + 1)
    some = [chosen for count in earlier for chosen in combinations(earlier, count)]
    return ("skip=none", *("skip=" + "+".join(map(str, chosen)) for chosen in some))


def _convolution(inputs: int, outputs: int, field: int, size: int) -> Cost:
    """A convolution whose maps have `size` x `size` pixels."""
    weights = field**2 * inputs * outputs
    return Cost(weights + outputs, weights * size**2)
