"""Runs that a command makes out of another run, as finals and retrain do: they train a list of the other run's nets."""

from __future__ import annotations

import hashlib
from typing import Final

from metaqnn_orch.application.assembly import LauncherName, make_launcher
from metaqnn_orch.application.job_template import read_template
from metaqnn_orch.application.listener import Listener
from metaqnn_orch.application.machine import lines_of
from metaqnn_orch.application.release import Release
from metaqnn_orch.application.session import SessionEnd, run
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.errors import BadInput
from metaqnn_orch.next_command import next_command
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.keys import MAX_NAME
from metaqnn_trainer.store.base import Store

_DIGEST: Final = 8  # characters


def derived(name: str) -> str:
    """The name of a derived run. Where it would be too long, its end is replaced by a digest of the whole name, so that
    the same command finds the same run, and no other command does.
    """
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    return f"{name[: MAX_NAME - _DIGEST - 1].rstrip('-')}-{digest}"


def refuse_open(record: RunRecord, store: str) -> None:
    """Refuse a run of the store at this address whose nets cannot be trained again.

    Raises:
        BadInput: the run was imported, so that the dataset to train its nets on is not decided.
    """
    if record.is_open:
        start = next_command(f"start PRESET_OR_FILE --run {record.run}", store)
        raise BadInput(
            f"run {record.run} was imported, and has no dataset yet",
            hint=f"choose one by going on with the run: {start}",
        )


def train(
    store: Store,
    name: str,
    settings: Settings,
    launcher: LauncherName,
    release: Release | None,
    listener: Listener,
) -> SessionEnd:
    """Train the nets of `settings` as the run of that name: begin the run, or go on with it, until it is complete. In a
    cluster each net has a Job of its own, because these are few nets, and their trainings long.
    """
    kubernetes = settings.execution.kubernetes.model_copy(update={"trials_per_job": 1})
    execution = settings.execution.model_copy(update={"kubernetes": kubernetes})
    settings = settings.model_copy(update={"execution": execution})
    template = read_template(settings, release) if launcher is LauncherName.KUBERNETES else {}
    launching = make_launcher(launcher, store, settings, None, template, lines_of(store.uri, name))
    return run(store, name, settings, launching, listener)
