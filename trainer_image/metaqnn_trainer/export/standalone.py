"""The Python file that goes with exported weights: a network written out layer by layer, for which torch is enough."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from typing import Final

from metaqnn_trainer.export.network import Network
from metaqnn_trainer.images.resize import fitted, pushed, pushed_rows
from metaqnn_trainer.modules.base import written

_FILE: Final = '''\
"""{net}

Found by MetaQNN; written by `metaqnn-orch export`. It needs torch and the file {weights} beside it:

    from {module} import load

    network = load()
    logits = network(images)    # uint8, (n, {channels}, {lengths})
"""

import json
{imports}from pathlib import Path

import torch
from torch import {names}

CLASSES = {classes}

_TYPES = {{"F32": torch.float32, "I64": torch.int64}}


{definitions}class Network(nn.Module):
    """Images (n, {channels}, {lengths}) uint8 to logits (n, {count})."""

    def __init__(self):
        super().__init__()
        self.register_buffer("offset", torch.zeros({normalised}))
        self.register_buffer("scale", torch.ones({normalised}))
        self.layers = nn.Sequential()
{layers}

    def forward(self, images):
        return self.layers(({values} - self.offset) / self.scale)


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


def source(network: Network, weights: str, facts: Mapping[str, str]) -> str:
    """The file's text; `weights` is the name of the file with the weights."""
    classes = json.loads(facts["classes"])
    parts = [written(name, module) for name, module in network.layers.named_children()]
    layers = [f'add_module("{name}", {text})' for part in parts for name, text in part.lines]
    definitions = dict.fromkeys(part.definition for part in parts if part.definition)
    names, values, lengths = "nn", "images.float()", f"{network.size}, {network.size}"
    if not network.fixed_size:
        definitions |= dict.fromkeys(inspect.getsource(each) for each in (pushed_rows, pushed, fitted))
        names, lengths = "Tensor, nn", "height, width"
        values = f"fitted(images, {network.made}, {network.size})"
    imports = ["from collections import OrderedDict"] if any("OrderedDict" in line for line in layers) else []
    return _FILE.format(
        net=facts["net"],
        weights=weights,
        module=module_name(weights.rpartition(".")[0]),
        channels=network.channels,
        lengths=lengths,
        names=names,
        values=values,
        classes=ascii(classes),
        count=len(classes),
        imports="".join(f"{line}\n" for line in imports),
        definitions="".join(f"{definition.strip()}\n\n\n" for definition in definitions),
        normalised=", ".join(map(str, network.offset.shape)),
        layers="\n".join(f"        self.layers.{line}" for line in layers),
    )


def module_name(stem: str) -> str:
    """`stem`, changed if necessary to a name that Python can import."""
    name = re.sub(r"\W", "_", stem, flags=re.ASCII)
    return f"net_{name}" if name[:1].isdigit() else name
