"""metaqnn-orch space PRESET"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_fields, print_json, print_lines, say
from metaqnn_orch.errors import BadInput
from metaqnn_orch.search.rules import LogSpaced, SpaceRules
from metaqnn_orch.search.state_space import IllegalNet
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract.notation import format_net, parse_prefix


def space(
    preset_or_file: options.PresetOrFile,
    after: Annotated[
        str | None, typer.Option("--after", metavar="NET_PREFIX", help="The first layers of a net.")
    ] = None,
    output: options.Output = Format.TABLE,
    assignments: options.Set = None,
) -> None:
    """Show a state space, or what may follow.

    In words; with --after, the layers that the agent may choose from there. --after '[]' lists the first layers.
    """
    settings = load_settings(preset_or_file, os.environ, assignments or [], {}).settings
    if after is None:
        if output is Format.JSON:
            print_json(settings.model_dump(mode="json")["space"])
        else:
            print_fields(in_words(settings.space))
        return
    prefix = parse_prefix(after)
    try:
        actions = [str(layer) for layer in settings.state_space().after(prefix)]
    except IllegalNet as error:
        raise BadInput(f"{format_net(prefix)} is not in the space {preset_or_file}: {error}") from None
    if output is Format.JSON:
        print_json({"actions": actions})
    else:
        print_lines(actions)
        if not actions:
            say("nothing may follow: the net is whole")


def in_words(rules: SpaceRules) -> list[tuple[str, object]]:
    """The rules of a space, one sentence each."""
    convolution, pooling, dense = rules.convolution, rules.pooling, rules.fully_connected
    if pooling.shapes is not None:
        pools = ", ".join(f"P({kernel},{stride})" for kernel, stride in pooling.shapes) or "none"
    else:
        pools = _fields_and_strides(pooling.kernels, pooling.strides)
    limit = "smaller than the size's bucket" if rules.kernel_limit == "below_bucket" else "at most the size"
    many = "any number" if dense.max_layers is None else f"at most {dense.max_layers}"
    where = "at any size" if dense.max_size is None else f"at sizes up to {dense.max_size}"
    wider = ", never wider than the one before" if dense.never_wider else ""
    units, filters = ", ".join(map(str, dense.units)), ", ".join(map(str, convolution.filters))
    limits = [f"{name} up to {value:,}" for name, value in _limits(rules) if value is not None]
    return [
        ("images", f"{rules.channels} x {rules.image_size} x {rules.image_size}, {rules.classes} classes"),
        ("depth", f"at most {rules.max_layers} layers before the termination"),
        ("convolution", f"{filters} filters; {_fields_and_strides(convolution.kernels, convolution.strides)}"),
        ("pooling", f"{pools}; never first, never twice in a row"),
        ("receptive fields", limit),
        ("fully connected", f"{many} of {units} units, {where}{wider}" if dense.units else "none"),
        ("termination", " or ".join(rules.terminations) + ", from any state"),
        ("size buckets", ", ".join(map(str, rules.size_buckets)) or "none: every size has its own Q-values"),
        ("limits", ", ".join(limits) or "none"),
    ]


def _fields_and_strides(
    kernels: tuple[int, ...] | LogSpaced | None, strides: tuple[int, ...] | LogSpaced | None
) -> str:
    return f"fields {_choices(kernels, '2 to the size')}; strides {_choices(strides, '1 to the field')}"


def _choices(choices: tuple[int, ...] | LogSpaced | None, bounds: str) -> str:
    if isinstance(choices, LogSpaced):
        return f"{choices.log_spaced} log-spaced from {bounds}"
    return ", ".join(map(str, choices or ()))


def _limits(rules: SpaceRules) -> list[tuple[str, int | None]]:
    return [("parameters", rules.max_params), ("multiply-accumulates", rules.max_macs)]
