"""Generators of cells (AutoGAN, Gong et al. 2019, section 3.1): each cell doubles the size of the image.

A design is one line: `pre batch nearest short; post none deconv plain skip=1`. A cell says whether the activation comes
before or after its two convolutions, how they are normalised, how it enlarges the image, whether a shortcut leads past
them, and, from the second cell on, which earlier cells it reads besides the last one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import ClassVar, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.spaces.base import Cost, Part, Space

CONVOLUTIONS: Final = ("pre", "post")
NORMS: Final = ("none", "batch", "instance")
UPSAMPLINGS: Final = ("nearest", "bilinear", "deconv")
SHORTCUTS: Final = ("plain", "short")
SKIP: Final = "skip="
NO_SKIP: Final = f"{SKIP}none"
MOST_CELLS: Final = 4
GENES: Final = 4  # of the first cell; later ones have a fifth, the skips

Genes = tuple[str, ...]


class GeneratorOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    image_size: int = Field(16, ge=4, le=256, description="Width and height of the images.")
    channels: int = Field(1, ge=1, le=4, description="Channels of the images.")
    cells: int = Field(3, ge=1, le=MOST_CELLS, description="Cells, each of which doubles the size.")
    width: int = Field(16, ge=1, le=1024, description="Maps in each cell.")
    latent: int = Field(32, ge=1, le=1024, description="Random numbers from which an image is made.")
    convolutions: tuple[Literal["pre", "post"], ...] = Field(CONVOLUTIONS, min_length=1)
    norms: tuple[Literal["none", "batch", "instance"], ...] = Field(NORMS, min_length=1)
    upsamplings: tuple[Literal["nearest", "bilinear", "deconv"], ...] = Field(UPSAMPLINGS, min_length=1)
    shortcuts: tuple[Literal["plain", "short"], ...] = Field(SHORTCUTS, min_length=1)

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        whole, rest = divmod(self.image_size, 2**self.cells)
        if rest or not whole:
            raise ValueError(f"image_size must be a multiple of {2**self.cells}, for each cell doubles the size")
        return self


class Cell(NamedTuple):
    """`skips` are the numbers, from 1, of the earlier cells that are read besides the last one."""

    convolution: str
    norm: str
    upsampling: str
    shortcut: bool
    skips: tuple[int, ...]


class GeneratorCells(Space):
    """A state is all choices so far."""

    Options: ClassVar[type[GeneratorOptions]] = GeneratorOptions
    part = "cell"

    @property
    def start(self) -> Genes:
        return ()

    @property
    def bottom(self) -> int:
        """Size of the image before the first cell."""
        return int(self.options.image_size // 2**self.options.cells)

    def legal(self, state: Genes) -> Sequence[str]:
        cell, place = _place(len(state))
        options, norms = self.options, self.options.norms
        if self.bottom == 1 and state == ("pre",):  # one pixel cannot be normalised by itself
            norms = tuple(norm for norm in norms if norm != "instance")
        return (options.convolutions, norms, options.upsamplings, options.shortcuts, _skips(cell))[place]

    def step(self, state: Genes, move: str) -> Genes | None:
        after = (*state, move)
        return None if _place(len(after)) == (self.options.cells, 0) else after

    def text(self, moves: Sequence[str]) -> str:
        cells: dict[int, list[str]] = {}
        for number, move in enumerate(moves):
            cells.setdefault(_place(number)[0], []).append(move)
        return "; ".join(" ".join(genes) for genes in cells.values())

    def parse(self, text: str) -> list[str]:
        found: list[str] = []
        for number, written in enumerate(text.split(";")):
            for gene in written.split():
                cell, place = _place(len(found))
                if cell == MOST_CELLS:
                    raise NotationError(f"a design has at most {MOST_CELLS} cells", 1)
                known = (CONVOLUTIONS, NORMS, UPSAMPLINGS, SHORTCUTS, _skips(cell))[place]
                if gene not in known or cell != number:
                    raise NotationError(f"{gene[:20]!r} stands where one of {', '.join(known)} should be", 1)
                found.append(gene)
        return found

    def cells(self, design: str) -> list[Cell]:
        """The cells of a design.

        Raises:
            NotationError: the design is not whole.
        """
        moves = self.parse(design)
        if _place(len(moves)) != (self.options.cells, 0):
            raise NotationError(f"a whole design has {self.options.cells} cells", 1)
        found = []
        for begin in (0, *(place for place in range(GENES, len(moves), GENES + 1))):
            convolution, norm, upsampling, shortcut, *skip = moves[begin : begin + GENES + (begin > 0)]
            skips = tuple(
                int(cell) for written in skip if written != NO_SKIP for cell in written[len(SKIP) :].split("+")
            )
            found.append(Cell(convolution, norm, upsampling, shortcut == "short", skips))
        return found

    def describe(self, design: str) -> list[Part]:
        options, cells, size = self.options, self.cells(design), self.bottom
        width, pixels = options.width, self.bottom**2
        parts = [
            Part(f"{options.latent} random numbers", f"{width}x{size}x{size}", _linear(options.latent, width * pixels))
        ]
        for cell, text in zip(cells, design.split("; "), strict=True):
            size *= 2
            cost = _convolution(width, width, 3, size) + _convolution(width, width, 3, size)
            if cell.norm != "none":
                cost += Cost(4 * width, 0)
            if cell.upsampling == "deconv":
                cost += Cost(_convolution(width, width, 2, size).params, width**2 * size**2)
            if cell.shortcut:
                cost += _convolution(width, width, 1, size // 2)
            for skip in cell.skips:
                cost += _convolution(width, width, 1, self.bottom * 2**skip)
            parts.append(Part(text, f"{width}x{size}x{size}", cost, (width, size, size)))
        image = (options.channels, size, size)
        head = _convolution(width, options.channels, 3, size) + Cost(2 * width, 0)
        return [*parts, Part("image", "x".join(map(str, image)), head, image)]

    def mismatches(self, info: DatasetInfo) -> Mapping[str, tuple[object, object]]:
        return (
            {} if info.channels == self.options.channels else {"space.channels": (self.options.channels, info.channels)}
        )


def _place(number: int) -> tuple[int, int]:
    """The cell of a choice, from 0, and the place of the choice in it."""
    return (0, number) if number < GENES else divmod(number + 1, GENES + 1)


def _skips(cell: int) -> tuple[str, ...]:
    earlier = range(1, cell + 1)
    some = [chosen for count in earlier for chosen in combinations(earlier, count)]
    return (NO_SKIP, *(SKIP + "+".join(map(str, chosen)) for chosen in some))


def _linear(inputs: int, outputs: int) -> Cost:
    return Cost((inputs + 1) * outputs, inputs * outputs)


def _convolution(inputs: int, outputs: int, field: int, size: int) -> Cost:
    """A convolution whose maps have `size` x `size` pixels."""
    weights = field**2 * inputs * outputs
    return Cost(weights + outputs, weights * size**2)
