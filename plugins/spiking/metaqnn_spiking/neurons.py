"""Nets whose activations are leaky integrate-and-fire neurons, run for several steps on the same image."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from snntorch import Leaky, SpikingNeuron
from torch import Tensor, nn


class Neurons(nn.Module):
    """Leaky integrate-and-fire neurons with reset by subtraction, for currents (steps x n, ...) to spikes 0 or 1 of the
    same shape. All potentials begin at 0. The gradient of a spike is that of an arc tangent.
    """

    def __init__(self, steps: int, leak: float, threshold: float) -> None:
        """`leak` is the share of its potential that a neuron keeps from one step to the next."""
        super().__init__()
        self.steps = steps
        # A tuple hides the module from torch: the constants that it registers are none of the net's weights.
        self._neuron = (Leaky(beta=leak, threshold=threshold),)
        SpikingNeuron.instances.remove(self._neuron[0])  # snnTorch would keep it for as long as the process lives

    def forward(self, currents: Tensor) -> Tensor:
        neuron = self._neuron[0].to(currents.device)
        each = currents.chunk(self.steps)
        potential, spikes = torch.zeros_like(each[0]), []
        for current in each:
            spike, potential = neuron(current, potential)
            spikes.append(spike)
        neuron.mem = torch.zeros(0, device=currents.device)  # else it keeps the graph of this batch
        return torch.cat(spikes)


class SpikingNet(nn.Sequential):
    """A net with neurons in place of its activations, and the same parameters by the same names."""

    def __init__(self, net: nn.Sequential, steps: int, neurons: Callable[[], Neurons]) -> None:
        super().__init__(OrderedDict(net.named_children()))
        self.steps = steps
        _replace(self, neurons)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (n, channels, size, size) to logits (n, classes), the mean of all steps. Each step sees the
        same image, so that the first layer turns pixels into currents (direct coding).
        """
        x = torch.cat([images] * self.steps)
        for module in self:
            x = module(x)
        logits: Tensor = x.unflatten(0, (self.steps, -1)).mean(0)
        return logits


def _replace(module: nn.Module, neurons: Callable[[], Neurons]) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU | nn.ELU):
            setattr(module, name, neurons())
        else:
            _replace(child, neurons)
