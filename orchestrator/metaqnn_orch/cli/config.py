"""metaqnn-orch config show | presets | plugins"""

from __future__ import annotations

import json
import os
from typing import Final

from metaqnn_orch.application.installed import list_plugins
from metaqnn_orch.application.listener import Tone
from metaqnn_orch.application.release import Release
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_json, print_lines, print_listed, print_rows, tell
from metaqnn_orch.cli.stores import looking_in
from metaqnn_orch.settings import presets as named
from metaqnn_orch.settings.sources import in_force, load_settings

HELP: Final = "Show settings, and where each came from."


def show(
    preset_or_file: options.PresetOrFile,
    output: options.Output = Format.TABLE,
    assignments: options.Set = None,
    dataset_store: options.DatasetStore = None,
    release: Release | None = None,
) -> None:
    """Show every setting in force.

    For each it shows where the value came from. A flag wins over a METAQNN_* variable, the variable over the file, the
    file over the release, and the release over the preset. METAQNN_RECIPE__EPOCHS is the variable of recipe.epochs, and
    so on. Some settings of the space follow from the dataset where nobody says them: image size, channels and classes
    of the cnn family. `--set objective=null` takes away what weaker sources say of a section: its defaults hold.
    """
    layered = load_settings(
        preset_or_file, os.environ, assignments or [], {}, release and release.layer(), looking_in(dataset_store)
    )
    found = in_force(layered)
    if output is Format.JSON:
        print_json(found)
    else:
        rows = [(key, setting["origin"], json.dumps(setting["value"])) for key, setting in found.items()]
        print_listed(("setting", "origin", "value"), rows)


def presets() -> None:
    """List the presets."""
    print_lines(named.presets())
    for line in named.troubles():
        tell(line, Tone.CAUTION)


def plugins(output: options.Output = Format.TABLE) -> None:
    """List the plug-ins: built in, installed, and what failed to load.

    Searchers decide what is trained next (search.method), spaces say which designs there are (space.family), tasks
    train them (task.name), layers extend the cnn space, presets are for `start`. An installed distribution adds to them
    by entry points.
    A plug-in that cannot be loaded is shown with its error, and disturbs nothing else.
    """
    found = list_plugins()
    if output is Format.JSON:
        print_json(found)
    else:
        rows = [
            (plugin.kind, plugin.name, plugin.distribution or "built in", plugin.trouble or "ok") for plugin in found
        ]
        print_rows(dict.fromkeys(("kind", "name", "distribution", "state"), ""), rows)
