"""What every layer kind has to say, and whether it is true: of a class, a list of complaints that name it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from docs.document import PAGES, layer_row
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from metaqnn_orch.replay.estimate import features
from metaqnn_orch.reporting.drawing import drawing
from metaqnn_orch.reporting.palette import LIGHT
from metaqnn_orch.settings.values import known_keys
from metaqnn_trainer.contract.errors import ContractError
from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.modules.base import builder_of, written
from metaqnn_trainer.modules.model import build_model
from metaqnn_trainer.spaces.cnn.dropout import dropout_places
from metaqnn_trainer.spaces.cnn.layer import Layer, Net, Shape, describe
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.layers.softmax import SM
from metaqnn_trainer.spaces.cnn.notation import format_net, parse_net
from metaqnn_trainer.spaces.cnn.registry import check_kind, kinds, registry
from metaqnn_trainer.spaces.cnn.rules import SpaceRules

IMAGE = Shape(3, 9)
OPTIONS = [
    ModelOptions(),
    ModelOptions(batch_norm=True, activation="elu"),
    ModelOptions(gap_head="code"),
]


Check = Callable[[type[Layer]], Iterator[str]]


def lacking(kind: type[Layer], pages: Path = PAGES) -> list[str]:
    """A line for each thing that the kind does not say, or that is not true of its module; empty where all is well."""
    found: list[str] = []
    checks: dict[str, Check] = {**CHECKS, "docs": partial(the_page, pages / "layers.md")}
    for what, check in checks.items():
        try:
            complaints = list(check(kind))
        except Exception as error:  # whatever a kind does, the other checks go on
            complaints = [f"{type(error).__name__}: {error}"]
        found += [f"layer kind {getattr(kind, 'name', kind.__name__)}, {what}: {complaint}" for complaint in complaints]
    return found


def layers(kind: type[Layer]) -> Iterator[Layer]:
    """Some of a kind, small ones."""
    samples = ((3, 3, 1), (2, 2, 1), (4, 3, 2), (5, 1, 3))
    yield from dict.fromkeys(kind(*numbers[: len(kind.__match_args__)]) for numbers in samples)


def net_of(layer: Layer) -> Net:
    """A net that has the layer at index 1."""
    return (Conv(3, 3), layer, *(layer.tail if layer.ends else (SM(4),)))


def fitting(kind: type[Layer]) -> Iterator[tuple[Net, ModelOptions]]:
    """Nets with a layer of the kind that can be built for IMAGE, with each kind of options."""
    for layer in layers(kind):
        for options in OPTIONS:
            try:
                describe(net_of(layer), IMAGE, options)
            except ContractError:
                continue
            yield net_of(layer), options


def facts(kind: type[Layer]) -> Iterator[str]:
    check_kind(kind)
    if not (kind.__doc__ or "").strip() or (kind.__doc__ or "").startswith(f"{kind.__name__}("):
        yield "a docstring that says what it does is missing"
    if kind.colour not in LIGHT._fields:
        yield f"there is no colour {kind.colour}"
    if kind.dropout not in ("every_second", "each", "none"):
        yield f"there is no dropout {kind.dropout}"
    same = [name for name, other in kinds().items() if other.words == kind.words and other is not kind]
    if same:
        yield f"{kind.words} is what {same[0]} is called"


def the_text(kind: type[Layer]) -> Iterator[str]:
    if kinds().get(kind.name) is not kind:
        yield "the registry does not have it"
        return
    for layer in layers(kind):
        text = format_net(net_of(layer))
        if not re.fullmatch(r"[A-Z]+\([0-9,]*\)", str(layer)) or parse_net(text) != net_of(layer):
            yield f"{text} is not read as it was written"


def the_settings(kind: type[Layer]) -> Iterator[str]:
    rules = SpaceRules(image_size=32, channels=3, classes=10)
    offered = list(kind.choices(rules.of(kind), 9, 4))
    if not kind.paper and offered:
        yield f"every space offers it: {offered[0]}"
    if not all(isinstance(layer, kind) for layer in offered):
        yield "it offers layers of another kind"
    if kind.section:
        wanted = {f"space.{kind.section}.{name}" for name in asdict(kind.rules)}
        if missing := wanted - set(known_keys()):
            yield f"no settings: {', '.join(sorted(missing))}"


def the_builder(kind: type[Layer]) -> Iterator[str]:
    builder_of(kind)
    if not any(True for _ in fitting(kind)):
        yield f"no layer of it fits an image of {IMAGE}"
    plugin = registry().sources.get(kind.name)
    if plugin is not None and not plugin.distribution:
        module = kind.__module__.rpartition(".")[2]
        if kind.builder != f"metaqnn_trainer.modules.{module}:build":
            yield f"its builder is not metaqnn_trainer.modules.{module}:build"


def shapes_and_costs(kind: type[Layer]) -> Iterator[str]:
    for net, options in fitting(kind):
        reports = describe(net, IMAGE, options)
        model = build_model(net, IMAGE, options, {}, torch.Generator().manual_seed(0)).eval()
        first, own = (
            nn.Sequential(*(part for name, part in model.named_children() if name.startswith(f"{index}_")))
            for index in (0, 1)
        )
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            before = first(torch.randn(1, IMAGE.channels, IMAGE.size, IMAGE.size))
            spent = counter.get_total_flops()
            x = own(before)
        layer, output, cost = reports[1]
        if x[0].numel() != output.features or (layer.pixels and x.shape[1:] != (output.channels, *output[1:] * 2)):
            yield f"{layer} gives {tuple(x.shape[1:])}, and says {output}"
        params = sum(parameter.numel() for parameter in own.parameters())
        if params != cost.params:
            yield f"{layer} has {params} parameters, and says {cost.params}"
        if (macs := (counter.get_total_flops() - spent) // 2) != cost.macs:
            yield f"{layer} takes {macs} multiply-accumulates, and says {cost.macs}"


def memory(kind: type[Layer]) -> Iterator[str]:
    for net, options in fitting(kind):
        shape = net[0].output(IMAGE)
        numbers = net[1].kept(shape, options, Conv), net[1].backward(shape), net[1].forward(shape, options)
        if not all(isinstance(number, int) and number >= 0 for number in numbers):
            yield f"{net[1]}: {numbers}"


def the_export(kind: type[Layer]) -> Iterator[str]:
    for net, options in fitting(kind):
        model = build_model(net, IMAGE, options, {}, torch.Generator().manual_seed(0)).eval()
        parts = [written(name, part) for name, part in model.named_children()]
        code = "from collections import OrderedDict\nfrom torch import nn\n"
        code += "\n".join(dict.fromkeys(part.definition for part in parts))
        lines = [f'("{name}", {text})' for part in parts for name, text in part.lines]
        code += f"\nnetwork = nn.Sequential(OrderedDict([{', '.join(lines)}]))\n"
        space: dict[str, Any] = {}
        exec(code, space)  # our own text, as an exported file holds it
        space["network"].load_state_dict(model.state_dict())
        x = torch.randn(2, IMAGE.channels, IMAGE.size, IMAGE.size)
        if not torch.allclose(space["network"].eval()(x), model(x), atol=1e-6):
            yield f"{net[1]} computes something else as it is written out"


def the_reports(kind: type[Layer]) -> Iterator[str]:
    for net, options in fitting(kind):
        name, detail = net[1].label
        if not (name and detail):
            yield f"{net[1]} has no label"
        drawing(describe(net, IMAGE, options), IMAGE, LIGHT)
        if not all(map(isfinite, features(net, IMAGE))):
            yield f"{net[1]} is no number for the estimator"
        dropout_places(net)


def the_end(kind: type[Layer]) -> Iterator[str]:
    for layer in layers(kind):
        classes = layer.for_classes(7).output(Shape(2, 1)).channels if kind.ends else 7
        if classes != 7:
            yield f"{layer} for 7 classes has {classes}"


def the_page(page: Path, kind: type[Layer]) -> Iterator[str]:
    plugin = registry().sources.get(kind.name)
    built_in = plugin is not None and not plugin.distribution
    if built_in and f"| {layer_row(kind.name)} |" not in page.read_text().splitlines():
        yield f"its row is missing in docs/{page.name}: make docs"


CHECKS: dict[str, Check] = {
    "facts": facts,
    "text": the_text,
    "settings": the_settings,
    "builder": the_builder,
    "shapes and costs": shapes_and_costs,
    "memory": memory,
    "export": the_export,
    "reports": the_reports,
    "termination": the_end,
}
