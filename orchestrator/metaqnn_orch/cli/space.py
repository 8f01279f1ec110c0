"""metaqnn-orch space PRESET"""

from __future__ import annotations

import os

from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_fields, print_json, print_lines, say
from metaqnn_orch.cli.stores import looking_in
from metaqnn_orch.errors import BadInput
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.spaces.base import IllegalDesign


def space(
    preset_or_file: options.PresetOrFile,
    after: options.PerhapsAfter = None,
    output: options.Output = Format.TABLE,
    assignments: options.Set = None,
    dataset_store: options.DatasetStore = None,
) -> None:
    """Show a space, or what may follow.

    Without --after it describes the space in words. With --after it lists the choices from there: of a net, the layers
    that may follow. --after '' lists the first ones.
    """
    settings = load_settings(preset_or_file, os.environ, assignments or [], {}, look=looking_in(dataset_store)).settings
    if after is None:
        if output is Format.JSON:
            print_json(settings.model_dump(mode="json")["space"])
        else:
            print_fields(settings.state_space().words())
        return
    designs = settings.state_space()
    try:
        actions = designs.following(after)
    except IllegalDesign as error:
        shown = designs.text(designs.parse(after))
        raise BadInput(f"{shown} is not in the space of {preset_or_file}: {error}") from None
    if output is Format.JSON:
        print_json({"actions": actions})
    else:
        print_lines(actions)
        if not actions:
            say("nothing may follow: the design is complete")
