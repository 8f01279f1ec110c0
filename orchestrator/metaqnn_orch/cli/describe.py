"""metaqnn-orch describe NET"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from metaqnn_orch.application.describing import describe, parts_of
from metaqnn_orch.cli import completion, options
from metaqnn_orch.cli.output import Format, print_json, print_lines, print_rows
from metaqnn_orch.cli.stores import looking_in
from metaqnn_orch.settings.sources import load_settings


def describe_net(
    net: Annotated[
        str, typer.Argument(metavar="NET", help="A net, e.g. '[C(64,3,1), P(2,2), SM(10)]'.", show_default=False)
    ],
    space: Annotated[
        str,
        typer.Option(
            "--space",
            metavar="PRESET_OR_FILE",
            help="Preset or settings file with the space.",
            show_default=False,
            autocompletion=completion.preset_or_file,
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
    found = describe(settings, space, net, dropout=dropout)
    if output is Format.JSON:
        print_json(found)
        return
    designs = settings.state_space()
    parts, _ = parts_of(designs, net)
    print_lines([found.get("dropout", found["net"])])
    if parts:
        rows = [(part.name, part.output, *part.cost) for part in parts]
        total = ("total", "", found["params"], found["macs"])
        print_rows({designs.part: "", "output": "", "params": ",d", "MACs": ",d"}, [*rows, total])
    reason = found["reason"]
    print_lines([f"not in the space {space}: {reason}" if reason else f"legal in the space {space}"])
    if "objective" in found:
        print_lines([f"objective: {found['objective']}"])
