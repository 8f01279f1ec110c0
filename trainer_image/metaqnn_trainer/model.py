"""A net's text made flesh: layers to a torch module, with the weights that training starts from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaqnn_trainer.contract.layers import FC, GAP, SM, Conv, Layer, Net, Pool, Shape, output_shape
from metaqnn_trainer.contract.messages import ModelOptions


def build_model(
    net: Net, shape: Shape, options: ModelOptions, dropout: Mapping[int, float], generator: torch.Generator
) -> nn.Sequential:
    """The network for images of `shape`, normalised: (n, channels, size, size) to logits (n, classes).

    The softmax is the loss's. `dropout` gives the probability after the layer at an index of the net. Weights are
    Xavier uniform (Glorot and Bengio 2010) from `generator`, which must be the CPU's; biases are zero. A module is
    named after its layer's index and kind, so that weights tell where they belong.

    Raises:
        ShapeError: a layer does not fit.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    after_gap = False
    for index, layer in enumerate(net):
        for kind, module in _modules(layer, shape, options, after_gap=after_gap):
            modules[f"{index}_{kind}"] = module
        if index in dropout:
            modules[f"{index}_dropout"] = Dropout(dropout[index])
        shape = output_shape(layer, shape)
        after_gap = isinstance(layer, GAP)
    model = nn.Sequential(modules)
    for module in model:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return model.to(memory_format=torch.channels_last)


def _modules(layer: Layer, shape: Shape, options: ModelOptions, *, after_gap: bool) -> list[tuple[str, nn.Module]]:
    match layer:
        case Conv(filters, kernel, stride):
            return [
                ("conv", SameConv2d(shape.channels, filters, kernel, stride, shape.size)),
                *([("norm", nn.BatchNorm2d(filters))] if options.batch_norm else []),
                ("activation", _activation(options)),
            ]
        case Pool(kernel, stride):
            return [("pool", nn.MaxPool2d(kernel, stride))]
        case FC(units):
            return [
                ("flatten", nn.Flatten()),
                ("fc", nn.Linear(shape.features, units)),
                ("activation", _activation(options)),
            ]
        case GAP(classes):
            return [
                ("maps", ClassMaps(shape.channels, classes, 1)),
                *([("activation", nn.ReLU(inplace=True))] if options.gap_head == "code" else []),
                ("mean", SpatialMean()),
            ]
        case SM(classes):
            if after_gap and options.gap_head == "paper":
                return []
            return [("flatten", nn.Flatten()), ("logits", nn.Linear(shape.features, classes))]


def _activation(options: ModelOptions) -> nn.Module:
    return nn.ReLU(inplace=True) if options.activation == "relu" else nn.ELU(inplace=True)


class SameConv2d(nn.Conv2d):
    """A convolution from size n to ceil(n / stride). Where the padding cannot be even, right and bottom get more."""

    def __init__(self, channels: int, filters: int, kernel: int, stride: int, size: int) -> None:
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        before, after = total // 2, total - total // 2
        super().__init__(channels, filters, kernel, stride, padding=before)
        self.uneven = (before, after, before, after) if before != after else None
        if self.uneven:
            self.padding = (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.uneven) if self.uneven else x)


class ClassMaps(nn.Conv2d):
    """The convolution in front of global average pooling. After a fully connected layer it finds one flat pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.dim() == 4 else x[:, :, None, None])


class SpatialMean(nn.Module):
    """Global average pooling: (n, channels, h, w) to (n, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class Dropout(nn.Module):
    """Zeroes each number with probability `p` while training, and scales the others by 1 / (1 - p).

    On a CPU torch draws one number for each element, which takes as long as a convolution; here one draw of 64 bits
    serves four, and `p` is rounded to a multiple of 2 ** -16.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        kept = draws[: x.numel()].as_strided(x.shape, x.stride()) >= round(self.p * 2**16) - 2**15
        return x * kept * (1 / (1 - self.p)) if self.p < 1 else x * 0
