"""A trained net with its preprocessing inside: bytes of images in, logits out."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from metaqnn_trainer.load import Trained


class Network(nn.Module):
    """Maps images (n, channels, size, size) uint8 to logits (n, classes)."""

    offset: Tensor
    scale: Tensor

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        self.register_buffer("offset", 255 * trained.dataset.mean)
        self.register_buffer("scale", 255 * trained.dataset.std)
        # Training's memory layout, channels last, is dropped: the formats cannot express it.
        self.layers = deepcopy(trained.model).to(memory_format=torch.contiguous_format)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers((images.float() - self.offset) / self.scale)
        return logits
