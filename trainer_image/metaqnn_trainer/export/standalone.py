"""The Python file that goes with exported weights: a network written out layer by layer, for which torch is enough."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from torch import nn

from metaqnn_trainer.export.network import Network
from metaqnn_trainer.model import ClassMaps, Dropout, SameConv2d, SpatialMean

_FILE: Final = '''\
"""{net}

Found by MetaQNN; written by `metaqnn-orch export`. It needs torch and the file {weights} beside it:

    from {module} import load

    network = load()
    logits = network(images)    # uint8, (n, {channels}, {size}, {size})
"""

import json
from pathlib import Path

import torch
from torch import nn

CLASSES = {classes}

_TYPES = {{"F32": torch.float32, "I64": torch.int64}}


class Network(nn.Module):
    """Images (n, {channels}, {size}, {size}) uint8 to logits (n, {count})."""

    def __init__(self):
        super().__init__()
        self.register_buffer("offset", torch.zeros({normalised}))
        self.register_buffer("scale", torch.ones({normalised}))
        self.layers = nn.Sequential()
{layers}

    def forward(self, images):
        return self.layers((images.float() - self.offset) / self.scale)


def load(file=Path(__file__).with_name({weights!r})):
    """The network with its weights, ready to classify."""
    data = Path(file).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")  # safetensors: a length, a JSON header, numbers
    weights = {{}}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            numbers = torch.frombuffer(bytearray(data[start + begin : start + end]), dtype=_TYPES[entry["dtype"]])
            weights[name] = numbers.reshape(entry["shape"])
    network = Network()
    network.load_state_dict(weights)
    return network.eval()
'''


def source(network: Network, image: tuple[int, ...], weights: str, facts: Mapping[str, str]) -> str:
    """The file's text. `image` is (channels, size, size); `weights` the name of the file with the weights."""
    classes = json.loads(facts["classes"])
    layers: list[str] = []
    flat = False
    for name, module in network.layers.named_children():
        layers += _lines(name, module, flat)
        flat = flat or isinstance(module, nn.Flatten)
    return _FILE.format(
        net=facts["net"],
        weights=weights,
        module=module_name(weights.rpartition(".")[0]),
        channels=image[0],
        size=image[1],
        classes=ascii(classes),
        count=len(classes),
        normalised=", ".join(map(str, network.offset.shape)),
        layers="\n".join(f"        self.layers.{line}" for line in layers),
    )


def module_name(stem: str) -> str:
    """`stem`, if need be changed to what Python can import."""
    name = re.sub(r"\W", "_", stem, flags=re.ASCII)
    return f"net_{name}" if name[:1].isdigit() else name


def _lines(name: str, module: nn.Module, flat: bool) -> list[str]:
    """How to add a module under its name, in torch's own words; `flat` says that what it gets has no pixels."""
    written: list[tuple[str, str]] = []
    match module:
        case SameConv2d() | ClassMaps():
            if isinstance(module, ClassMaps) and flat:
                written.append((f"{name}_pixel", f"nn.Unflatten(1, ({module.in_channels}, 1, 1))"))
            if isinstance(module, SameConv2d) and module.uneven:
                written.append((f"{name}_padding", f"nn.ZeroPad2d({module.uneven})"))
            numbers = f"{module.in_channels}, {module.out_channels}, {module.kernel_size[0]}"
            written.append((name, f"nn.Conv2d({numbers}, stride={module.stride[0]}, padding={module.padding[0]})"))
        case nn.BatchNorm2d():
            written.append((name, f"nn.BatchNorm2d({module.num_features})"))
        case nn.MaxPool2d():
            written.append((name, f"nn.MaxPool2d({module.kernel_size}, {module.stride})"))
        case nn.Linear():
            written.append((name, f"nn.Linear({module.in_features}, {module.out_features})"))
        case SpatialMean():
            written += [(name, "nn.AdaptiveAvgPool2d(1)"), (f"{name}_flat", "nn.Flatten()")]
        case nn.ReLU() | nn.ELU() | nn.Flatten():
            written.append((name, f"nn.{type(module).__name__}()"))
        case Dropout():
            pass
        case _:
            raise TypeError(f"{type(module).__name__} cannot be written out")
    return [f'add_module("{key}", {text})' for key, text in written]
