"""Runs that a command makes out of another run, as finals and retrain do: they train a list of its nets."""

from __future__ import annotations

import hashlib
from typing import Final

from metaqnn_orch.application.assembly import LauncherName, make_launcher
from metaqnn_orch.application.job_template import read_template
from metaqnn_orch.application.listener import Listener
from metaqnn_orch.application.release import Release
from metaqnn_orch.application.session import SessionEnd, run
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.errors import BadInput
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.keys import MAX_NAME
from metaqnn_trainer.store.base import Store

_DIGEST: Final = 8  # characters


def derived(name: str) -> str:
    """A run's name that nobody typed: where it is too long, its end gives way to a digest of the whole, so that the
    same command finds the same run, and no other does."""
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    return f"{name[: MAX_NAME - _DIGEST - 1].rstrip('-')}-{digest}"


def refuse_open(record: RunRecord) -> None:
    """
    Raises:
        BadInput: the run was imported, and on which dataset its nets are to be trained is not decided.
    """
    if record.is_open:
        raise BadInput(
            f"run {record.run} was imported, and has no dataset yet",
            hint=f"choose one by going on with the run: metaqnn-orch start PRESET_OR_FILE --run {record.run}",
        )


def train(
    store: Store,
    name: str,
    settings: Settings,
    launcher: LauncherName,
    release: Release | None,
    listener: Listener,
) -> SessionEnd:
    """Train the nets of `settings` as the run of that name, from wherever it is to its end."""
    template = read_template(settings, release) if launcher is LauncherName.KUBERNETES else {}
    launcher_of = make_launcher(launcher, store, settings, None, template)
    return run(store, name, settings, launcher_of, listener)
