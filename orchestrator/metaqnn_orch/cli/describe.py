"""metaqnn-orch describe NET"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_json, print_lines, print_rows
from metaqnn_orch.cli.stores import looking_in
from metaqnn_orch.control.objective import in_words
from metaqnn_orch.errors import BadInput
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract.errors import ShapeError
from metaqnn_trainer.spaces.base import DEFAULT_FAMILY, Cost, IllegalDesign, Part, Space
from metaqnn_trainer.spaces.cnn.dropout import format_with_dropout
from metaqnn_trainer.spaces.cnn.notation import parse_net


def describe_net(
    net: Annotated[
        str, typer.Argument(metavar="NET", help="A net, e.g. '[C(64,3,1), P(2,2), SM(10)]'.", show_default=False)
    ],
    space: Annotated[
        str,
        typer.Option(
            "--space", metavar="PRESET_OR_FILE", help="Preset or settings file with the space.", show_default=False
        ),
    ],
    dropout: Annotated[
        bool, typer.Option("--dropout", help="Print the net in the authors' notation, with its dropouts D(i,n).")
    ] = False,
    output: options.Output = Format.TABLE,
    assignments: options.Set = None,
    dataset_store: options.DatasetStore = None,
) -> None:
    """Show a design: a net layer by layer.

    Output shapes, trainable parameters, multiply-accumulates for one image, whether the space holds the net, and what
    the searcher would be told of it where an objective is set.
    """
    settings = load_settings(space, os.environ, assignments or [], {}, look=looking_in(dataset_store)).settings
    designs = settings.state_space()
    parts, reason = _parts(designs, net)
    design = designs.canonical(net)
    if dropout and settings.space.family != DEFAULT_FAMILY:
        raise BadInput(
            f"--dropout writes nets of the cnn family, and space.family of {space} is {settings.space.family}"
        )
    if dropout and settings.recipe.dropout != "every_second":
        raise BadInput(
            f"D(i,n) stands for dropout after every second layer, but the recipe of {space} has "
            f"recipe.dropout={settings.recipe.dropout}",
            hint="leave out --dropout, or use --set recipe.dropout=every_second",
        )
    total = sum((part.cost for part in parts), Cost(0, 0))
    objective = settings.objective if settings.objective.changes_reward else None
    written = format_with_dropout(parse_net(design)) if dropout else None
    if output is Format.JSON:
        print_json(
            {
                "net": design,
                "legal": not reason,
                "reason": reason or None,
                "layers": [
                    {
                        "layer": part.name,
                        "output_shape": list(part.shape),
                        "params": part.cost.params,
                        "macs": part.cost.macs,
                    }
                    for part in parts
                ],
                "params": total.params,
                "macs": total.macs,
                **({"dropout": written} if written is not None else {}),
                **({"objective": in_words(objective)} if objective is not None else {}),
            }
        )
        return
    rows = [(part.name, part.output, *part.cost) for part in parts]
    print_lines([written or design])
    if rows:
        print_rows({designs.part: "", "output": "", "params": ",d", "MACs": ",d"}, [*rows, ("total", "", *total)])
    print_lines([f"not in the space {space}: {reason}" if reason else f"legal in the space {space}"])
    if objective is not None:
        print_lines([f"objective: {in_words(objective)}"])


def _parts(designs: Space, design: str) -> tuple[list[Part], str]:
    """Each part with its cost, no part where they do not fit each other; and why the space does not hold the design."""
    reason = ""
    try:
        designs.walk(design)
    except IllegalDesign as error:
        reason = str(error)
    try:
        return designs.describe(design), reason
    except ShapeError as error:
        return [], reason or str(error)
