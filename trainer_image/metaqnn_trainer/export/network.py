"""A trained net with its preprocessing inside: bytes of images in, logits out."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from metaqnn_trainer.images.dataset import resizing
from metaqnn_trainer.images.resize import fitted
from metaqnn_trainer.load import Trained


class Network(nn.Module):
    """Maps images (n, channels, height, width) uint8 to logits (n, classes). It resizes images as they were resized for
    training, or, with `fixed_size`, takes those of the net's own size only.
    """

    offset: Tensor
    scale: Tensor
    matrix: Tensor | None
    """The matrix of the search's own resizing, where it is done by products of matrices."""

    def __init__(self, trained: Trained, fixed_size: bool = False) -> None:
        super().__init__()
        self.channels, self.made, _ = trained.dataset.info.images()
        self.size = trained.spec.images_of()
        self.fixed_size = fixed_size
        self.register_buffer("offset", 255 * trained.dataset.mean)
        self.register_buffer("scale", 255 * trained.dataset.std)
        self.register_buffer("matrix", None)
        # Training's memory layout, channels last, is dropped: the formats cannot express it.
        self.layers = deepcopy(trained.model).to(memory_format=torch.contiguous_format)

    def forward(self, images: Tensor) -> Tensor:
        values = images.float() if self.fixed_size else fitted(images, self.made, self.size, self.matrix)
        logits: Tensor = self.layers((values - self.offset) / self.scale)
        return logits

    def by_matrices(self) -> Network:
        """The same network for a format whose own resizing rounds otherwise than torch's."""
        same = deepcopy(self)
        if self.made != self.size and not self.fixed_size:
            same.matrix = resizing(self.made, self.size)
        return same

    @property
    def free(self) -> dict[int, str]:
        """The dimensions of the images that may have any length, with their names."""
        return {0: "batch"} if self.fixed_size else {0: "batch", 2: "height", 3: "width"}

    def example(self) -> Tensor:
        """Images that it takes. If it takes any, their sizes are different numbers, so that none is taken for fixed."""
        height, width = (self.size, self.size) if self.fixed_size else (self.size + 1, self.size + 2)
        return torch.zeros(2, self.channels, height, width, dtype=torch.uint8)
