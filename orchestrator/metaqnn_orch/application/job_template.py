"""An administrator's template of Jobs: where it is read from, and which of its fields are overruled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from metaqnn_orch.application.release import TEMPLATE, Release
from metaqnn_orch.errors import SettingsError
from metaqnn_orch.launchers.kubernetes.manifest import JobForm
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.strict_yaml import parse_mapping

MAX_TEMPLATE: Final = 1 << 18  # bytes


def read_template(settings: Settings, release: Release | None = None) -> Mapping[str, Any]:
    """The Job template that the settings name, or else the release's; an empty one where there is none.

    Raises:
        SettingsError: it cannot be read.
    """
    name = settings.execution.kubernetes.template
    if name is None:
        return release.document(TEMPLATE) if release is not None else {}
    try:
        with Path(name).open("rb") as file:
            data = file.read(MAX_TEMPLATE + 1)
        text = data.decode("utf-8")
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or "not UTF-8 text"
        raise SettingsError(f"execution.kubernetes.template: cannot read {name[:200]!r}: {cause}") from None
    if len(data) > MAX_TEMPLATE:
        raise SettingsError(f"execution.kubernetes.template: {name[:200]!r} has more than {MAX_TEMPLATE} bytes")
    return parse_mapping(text, name, as_written=True)


def overruled(settings: Settings, store: str, template: Mapping[str, Any]) -> list[str]:
    """The fields of the template that are overruled, and why: a line for each."""
    form = JobForm(store, settings.execution.kubernetes, template)
    return [f"{form.template_name}: {reason}" for reason in form.overruled]
