"""How well an untrained net tells images apart: the log-determinant of the kernel of its binary activation patterns."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from metaqnn_spiking.neurons import Neurons

ACTIVATIONS = (Neurons, nn.ReLU, nn.ELU)


@torch.no_grad()
def kernel_score(model: nn.Module, images: Tensor) -> float:
    """The score of `model` on normalised images (n, channels, size, size). `model` stays as it is.

    An entry of the kernel is the number of units that are active for both images or for neither. A spiking neuron is a
    unit at each step. The unit matrix is added: so the score of a net that takes two images for one is finite, too.
    """
    kernel = torch.eye(len(images), dtype=torch.float64)

    def add(module: nn.Module, inputs: Any, output: Tensor) -> None:
        steps = output.unflatten(0, (-1, len(images)))
        active = (steps > 0).transpose(0, 1).flatten(1).float()  # sums up to 2 ** 24 are exact
        both, alone = (active @ active.T).double(), active.sum(1).double()
        kernel.add_(active.shape[1] - alone[:, None] - alone[None, :] + 2 * both)

    twin = deepcopy(model).eval()
    for module in twin.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()  # its running means are still those of no data at all
        if isinstance(module, ACTIVATIONS):
            module.register_forward_hook(add)
    twin(images)
    return float(torch.linalg.slogdet(kernel).logabsdet)
