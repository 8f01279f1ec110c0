"""What every space of the family says, whatever the layer kinds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from metaqnn_trainer.spaces.cnn.choices import STRICT, require

if TYPE_CHECKING:
    from metaqnn_trainer.spaces.cnn.layer import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonRules:
    """Which nets there are, whatever the layers. The defaults are Table 1's for SVHN."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
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
    terminations: tuple[str, ...] = ("GAP", "SM")
    max_params: int | None = None
    """Trainable parameters of a net. Moves from which no net within the limit can be completed are no moves."""
    max_macs: int | None = None
    """Multiply-accumulates of a net for one image forward; masks moves as max_params does."""
    family: Literal["cnn"] = "cnn"
    """Which family of designs is searched: cnn, or that of an installed plug-in."""

    def __post_init__(self) -> None:
        require(1 <= self.image_size <= 4096, "image_size lies between 1 and 4096")
        require(1 <= self.channels <= 64, "channels lie between 1 and 64")
        require(2 <= self.classes <= 65_536, "classes lie between 2 and 65536")
        require(1 <= self.max_layers <= 100, "max_layers lies between 1 and 100")
        falling = all(upper > lower for upper, lower in pairwise(self.size_buckets))
        require(falling and (not self.size_buckets or self.size_buckets[-1] == 1), "size_buckets fall and end in 1")
        require(len(self.terminations) > 0, "terminations name GAP, SM or both")
        require(len(set(self.terminations)) == len(self.terminations), "terminations name a layer twice")
        for limit in (self.max_params, self.max_macs):
            require(limit is None or limit >= 1, "a limit is at least 1")

    def bucket(self, size: int) -> int:
        """The bucket of a representation size: its lower bound, or the size itself where there are no buckets."""
        return next((bound for bound in self.size_buckets if size >= bound), size)

    def of(self, kind: type[Layer]) -> Any:
        """The section of a kind; None where it has none."""
        return getattr(self, kind.section) if kind.section else None
