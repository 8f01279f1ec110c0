"""metaqnn-orch space PRESET"""

from __future__ import annotations

import os

from metaqnn_orch.application.describing import following
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_fields, print_json, print_lines, say
from metaqnn_orch.cli.stores import looking_in
from metaqnn_orch.settings.sources import load_settings


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
    found = following(settings, preset_or_file, after)
    if output is Format.JSON:
        print_json(found)
    else:
        print_lines(found["actions"])
        if not found["actions"]:
            say("nothing may follow: the design is complete")
