"""metaqnn-orch config show | presets"""

from __future__ import annotations

import json
import os
from typing import Final

from metaqnn_orch.application.listener import Tone
from metaqnn_orch.application.release import Release
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_json, print_lines, print_rows, tell
from metaqnn_orch.errors import redacted
from metaqnn_orch.settings import presets as named
from metaqnn_orch.settings.sources import load_settings
from metaqnn_orch.settings.values import flatten, origin

HELP: Final = "Show settings, and where each comes from."


def show(
    preset_or_file: options.PresetOrFile,
    output: options.Output = Format.TABLE,
    assignments: options.Set = None,
    release: Release | None = None,
) -> None:
    """Show every setting in force.

    And where it came from. Flags win over METAQNN_* variables, those over the file, the file over what --release says
    of how the work is done, that over the preset.
    METAQNN_RECIPE__EPOCHS is the variable of recipe.epochs, and so on.
    """
    layered = load_settings(preset_or_file, os.environ, assignments or [], {}, release and release.layer())
    rows = [
        (key, redacted(value) if isinstance(value, str) else value, origin(key, layered.origins) or "default")
        for key, value in flatten(layered.settings.model_dump(mode="json"))
    ]
    if output is Format.JSON:
        print_json({key: {"value": value, "origin": where} for key, value, where in rows})
    else:
        print_rows(
            dict.fromkeys(("setting", "origin", "value"), ""), [(k, where, json.dumps(v)) for k, v, where in rows]
        )


def presets() -> None:
    """List the presets."""
    print_lines(named.presets())
    for line in named.troubles():
        tell(line, Tone.CAUTION)
