"""A state space as data: every parameter of the paper's Table 1, and of Table A1 (MNIST's own space).

Plain frozen dataclasses, checked when made: whoever reads settings from outside turns them into these.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

_STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSpaced:
    """`log_spaced` whole numbers between two bounds, evenly spaced in their logarithm, repeated ones dropped."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    log_spaced: int

    def __post_init__(self) -> None:
        _require(1 <= self.log_spaced <= 16, "log_spaced lies between 1 and 16")

    def between(self, low: int, high: int) -> tuple[int, ...]:
        if high < low:
            return ()
        steps = max(1, self.log_spaced - 1)
        return tuple(sorted({round(low * (high / low) ** (step / steps)) for step in range(self.log_spaced)}))


Choices = tuple[int, ...] | LogSpaced


def _check_choices(name: str, choices: Choices) -> None:
    if not isinstance(choices, LogSpaced):
        _require(len(choices) > 0, f"{name} names no value")
        _require(len(set(choices)) == len(choices), f"{name} names a value twice")
        _require(all(1 <= choice <= 65_536 for choice in choices), f"{name} lie between 1 and 65536")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionRules:
    """C(d,f,l): every d, f and l that may be combined.

    Log-spaced fields lie between 2 and the representation's size, log-spaced strides between 1 and the field.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    filters: tuple[int, ...] = (64, 128, 256, 512)
    kernels: Choices = (1, 3, 5)
    strides: Choices = (1,)

    def __post_init__(self) -> None:
        _check_choices("filters", self.filters)
        _check_choices("kernels", self.kernels)
        _check_choices("strides", self.strides)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolingRules:
    """P(f,l): either pairs (`shapes`; none at all forbids pooling) or kernels and strides to combine."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    shapes: tuple[tuple[int, int], ...] | None = None
    kernels: Choices | None = None
    strides: Choices | None = None

    def __post_init__(self) -> None:
        pairs = self.shapes is not None
        combined = self.kernels is not None and self.strides is not None
        neither = self.kernels is None and self.strides is None
        _require((pairs and neither) or (combined and not pairs), "give either shapes, or both kernels and strides")
        _require(len(set(self.shapes or ())) == len(self.shapes or ()), "shapes names a pair twice")
        for kernel, stride in self.shapes or ():
            _require(1 <= kernel <= 65_536 and 1 <= stride <= 65_536, "shapes lie between 1 and 65536")
        if combined:
            assert self.kernels is not None
            assert self.strides is not None
            _check_choices("kernels", self.kernels)
            _check_choices("strides", self.strides)


@dataclass(frozen=True, slots=True, kw_only=True)
class FullyConnectedRules:
    """FC(d). None means no limit."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    units: tuple[int, ...] = (512, 256, 128)
    max_layers: int | None = 2
    """How many a net may have; they stand in a row."""
    max_size: int | None = 7
    """Largest representation size on which one may stand: 7 is the paper's buckets 4 and 1."""
    never_wider: bool = True
    """A layer is never wider than the one before it."""

    def __post_init__(self) -> None:
        if self.units:  # no units: no fully connected layers
            _check_choices("units", self.units)
        _require(self.max_layers is None or self.max_layers >= 0, "max_layers is not negative")
        _require(self.max_size is None or self.max_size >= 1, "max_size is at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceRules:
    """Which nets there are. The defaults are Table 1's for SVHN."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    image_size: int
    channels: int
    classes: int
    max_layers: int = 12
    """Layers before the termination."""
    size_buckets: tuple[int, ...] = (8, 4, 1)
    """Lower bounds, falling, under which representation sizes share Q-values. Empty: each size has its own."""
    kernel_limit: Literal["below_bucket", "up_to_size"] = "below_bucket"
    """below_bucket: receptive fields are smaller than the bucket (the authors' recorded nets).
    up_to_size: at most the representation's size (the paper's text)."""
    convolution: ConvolutionRules = ConvolutionRules()
    pooling: PoolingRules = PoolingRules(shapes=((5, 3), (3, 2), (2, 2)))
    fully_connected: FullyConnectedRules = FullyConnectedRules()
    terminations: tuple[Literal["GAP", "SM"], ...] = ("GAP", "SM")
    max_params: int | None = None
    """Trainable parameters of a net. Moves from which no net within the limit can be completed are no moves."""
    max_macs: int | None = None
    """Multiply-accumulates of a net for one image forward; masks moves as max_params does."""
    family: Literal["cnn"] = "cnn"
    """Which family of designs is searched: cnn, or that of an installed plug-in."""

    def __post_init__(self) -> None:
        _require(1 <= self.image_size <= 4096, "image_size lies between 1 and 4096")
        _require(1 <= self.channels <= 64, "channels lie between 1 and 64")
        _require(2 <= self.classes <= 65_536, "classes lie between 2 and 65536")
        _require(1 <= self.max_layers <= 100, "max_layers lies between 1 and 100")
        falling = all(upper > lower for upper, lower in pairwise(self.size_buckets))
        _require(falling and (not self.size_buckets or self.size_buckets[-1] == 1), "size_buckets fall and end in 1")
        _require(len(self.terminations) > 0, "terminations name GAP, SM or both")
        _require(len(set(self.terminations)) == len(self.terminations), "terminations name a layer twice")
        for limit in (self.max_params, self.max_macs):
            _require(limit is None or limit >= 1, "a limit is at least 1")

    def bucket(self, size: int) -> int:
        """The bucket of a representation size: its lower bound, or the size itself where there are no buckets."""
        return next((bound for bound in self.size_buckets if size >= bound), size)
