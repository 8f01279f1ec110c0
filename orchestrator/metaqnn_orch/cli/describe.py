"""metaqnn-orch describe NET"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_json, print_lines, print_rows
from metaqnn_orch.control.objective import in_words
from metaqnn_orch.errors import BadInput
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract.errors import ShapeError
from metaqnn_trainer.spaces.base import IllegalDesign
from metaqnn_trainer.spaces.cnn.dropout import format_with_dropout
from metaqnn_trainer.spaces.cnn.layer import LayerReport, Net, Shape, describe, total_cost
from metaqnn_trainer.spaces.cnn.notation import format_net, parse_net


def describe_net(
    net: Annotated[
        str, typer.Argument(metavar="NET", help="A net, e.g. '[C(64,3,1), P(2,2), SM(10)]'.", show_default=False)
    ],
    space: Annotated[
        str, typer.Option("--space", metavar="PRESET_OR_FILE", help="Whose space it is.", show_default=False)
    ],
    dropout: Annotated[
        bool, typer.Option("--dropout", help="Print the net as the authors write it, with its dropouts D(i,n).")
    ] = False,
    output: options.Output = Format.TABLE,
    assignments: options.Set = None,
) -> None:
    """Show a net layer by layer.

    Output shapes, trainable parameters, multiply-accumulates for one image, whether the space holds the net, and what
    the searcher would be told of it where an objective is set.
    """
    layers = parse_net(net)
    settings = load_settings(space, os.environ, assignments or [], {}).settings
    if dropout and settings.recipe.dropout != "every_second":
        raise BadInput(
            f"D(i,n) writes down the dropout of every second layer, but the recipe of {space} says "
            f"recipe.dropout={settings.recipe.dropout}",
            hint="leave out --dropout, or say --set recipe.dropout=every_second",
        )
    reports, reason = _reports(settings, layers)
    total = total_cost(reports)
    objective = settings.objective if settings.objective.changes_reward else None
    written = format_with_dropout(layers) if dropout else None
    if output is Format.JSON:
        print_json(
            {
                "net": format_net(layers),
                "legal": not reason,
                "reason": reason or None,
                "layers": [
                    {
                        "layer": str(layer),
                        "output_shape": [shape.channels, shape.size, shape.size],
                        "params": cost.params,
                        "macs": cost.macs,
                    }
                    for layer, shape, cost in reports
                ],
                "params": total.params,
                "macs": total.macs,
                **({"dropout": written} if written is not None else {}),
                **({"objective": in_words(objective)} if objective is not None else {}),
            }
        )
        return
    rows = [(str(layer), str(shape), cost.params, cost.macs) for layer, shape, cost in reports]
    print_lines([written or format_net(layers)])
    if reports:
        print_rows({"layer": "", "output": "", "params": ",d", "MACs": ",d"}, [*rows, ("total", "", *total)])
    print_lines([f"not in the space {space}: {reason}" if reason else f"legal in the space {space}"])
    if objective is not None:
        print_lines([f"objective: {in_words(objective)}"])


def _reports(settings: Settings, layers: Net) -> tuple[list[LayerReport], str]:
    """Each layer, none if they cannot be built at this image size; and why the space does not hold the net."""
    reason = ""
    try:
        settings.state_space().walk(format_net(layers))
    except IllegalDesign as error:
        reason = str(error)
    shape = Shape(settings.space.channels, settings.space.image_size)
    try:
        return describe(layers, shape, settings.model), reason
    except ShapeError as error:
        return [], reason or str(error)
