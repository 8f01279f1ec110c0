"""The rules of a cnn space that do not depend on the layer kinds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from metaqnn_trainer.spaces.cnn.choices import STRICT, require

if TYPE_CHECKING:
    from metaqnn_trainer.spaces.cnn.layer import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonRules:
    """All nets that a search may propose, apart from the layer kinds. The defaults are those of Table 1 for SVHN."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    image_size: int
    """Width and height of the images. Images of another size are resized once."""
    channels: int
    """Channels of the images."""
    classes: int
    """Number of classes."""
    max_layers: int = 12
    """Largest number of layers before the termination (SM, or GAP and SM)."""
    size_buckets: tuple[int, ...] = (8, 4, 1)
    """Sizes share their Q-values in buckets. This lists the lower bounds of the buckets, from the largest down to 1. If
    it is empty, each size has Q-values of its own."""
    kernel_limit: Literal["below_bucket", "up_to_size"] = "below_bucket"
    """Which kernel sizes are legal. below_bucket: those smaller than the lower bound of the size's bucket (as in the
    authors' recorded nets). up_to_size: those up to the size itself (the paper's text)."""
    terminations: tuple[str, ...] = ("GAP", "SM")
    """How a net may end: SM (softmax), GAP (global average pooling, then softmax), or both."""
    gap_after_fc: bool = False
    """Whether GAP may stand where it only repeats SM: after a fully connected layer, and, with `model.gap_head: paper`,
    on a single pixel. In spaces without SM it may stand there anyway. Runs of earlier releases keep it."""
    gap_at_depth_limit: bool = True
    """Whether GAP may follow `max_layers` layers (the paper's text). false counts GAP as a layer (as in the authors'
    code)."""
    max_params: int | None = None
    """Largest number of trainable parameters of a net. A layer is illegal if no net within the limit can follow it."""
    max_macs: int | None = None
    """Largest number of multiply-accumulates of a net, for one image forward. It makes layers illegal like
    `max_params`."""
    family: Literal["cnn"] = "cnn"
    """Family of the space: cnn, or that of an installed plug-in."""

    def __post_init__(self) -> None:
        require(1 <= self.image_size <= 4096, "image_size must be between 1 and 4096")
        require(1 <= self.channels <= 64, "channels must be between 1 and 64")
        require(2 <= self.classes <= 65_536, "classes must be between 2 and 65536")
        require(1 <= self.max_layers <= 100, "max_layers must be between 1 and 100")
        falling = all(upper > lower for upper, lower in pairwise(self.size_buckets))
        require(
            falling and (not self.size_buckets or self.size_buckets[-1] == 1),
            "size_buckets must be falling numbers, the last of them 1",
        )
        require(len(self.terminations) > 0, "terminations must be GAP, SM or both")
        require(len(set(self.terminations)) == len(self.terminations), "terminations has a layer twice")
        require(
            self.gap_at_depth_limit or "SM" in self.terminations,
            "gap_at_depth_limit: false needs SM in terminations, because nothing else could end the deepest nets",
        )
        for limit in (self.max_params, self.max_macs):
            require(limit is None or limit >= 1, "a limit must be at least 1")

    def bucket(self, size: int) -> int:
        """The bucket of a representation size: its lower bound, or the size itself where there are no buckets."""
        return next((bound for bound in self.size_buckets if size >= bound), size)

    def of(self, kind: type[Layer]) -> Any:
        """The section of a kind; None where it has no section."""
        return getattr(self, kind.section) if kind.section else None
