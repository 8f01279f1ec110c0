"""metaqnn-orch doctor PRESET_OR_FILE: is everything there that a search needs?"""

from __future__ import annotations

import os
from functools import partial
from typing import Final

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.datasets import facts
from metaqnn_orch.application.doctor.cluster import examine_cluster
from metaqnn_orch.application.doctor.dataset import examine_dataset
from metaqnn_orch.application.doctor.diagnosis import Diagnosis, Mark
from metaqnn_orch.application.doctor.local import examine_here
from metaqnn_orch.application.doctor.plugins import examine_plugins
from metaqnn_orch.application.doctor.store import examine_store
from metaqnn_orch.application.release import Release
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_json, print_wrapped
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.errors import StoreError
from metaqnn_orch.settings.sources import load_settings

_SIGNS: Final = {Mark.GOOD: "✓", Mark.BAD: "✗", Mark.WARNING: "!", Mark.UNKNOWN: "?"}


def doctor(
    preset_or_file: options.PresetOrFile,
    store: options.Store,
    launcher: options.Launcher = LauncherName.LOCAL,
    output: options.Output = Format.TABLE,
    assignments: options.Set = None,
    release: Release | None = None,
) -> None:
    """Check everything that a search needs.

    It asks the searcher and the space of the settings, which may be plug-ins, for a design. It checks the dataset, and
    the store: reading, listing, writing, conditional writes, its clock. With --launcher local it also starts the
    trainer as a search does, and trains one step of a net of the settings: on the dataset, if the store has it, else on
    made images. It says on which device, and which extras other commands would need. With --launcher kubernetes it
    checks the cluster: credentials, every permission that is needed, the namespace's rules and quotas, GPUs, service
    account, secret. Each check gets a tick, a cross with what to do about it, an exclamation mark where a search works,
    but not as you may want it (on the CPU, although there is a GPU), or a question mark where these credentials cannot
    see it, or only some commands need it.
    Nothing is left behind. The exit code is 1 if there is a cross.
    """
    settings = load_settings(
        preset_or_file,
        os.environ,
        assignments or [],
        {},
        release and release.layer(),
        facts(partial(open_store, store)),
    ).settings
    here = launcher is LauncherName.LOCAL
    diagnoses: list[Diagnosis] = [*examine_plugins(settings, task=not here)]
    try:
        opened = open_store(store)
    except StoreError as error:  # the other checks need this one
        diagnoses.append(Diagnosis("store: a client for it", Mark.BAD, str(error), error.hint))
    else:
        diagnoses += examine_store(opened)
        diagnoses += examine_dataset(opened, settings)
        if launcher is LauncherName.KUBERNETES:
            diagnoses += examine_cluster(opened, settings, release)
        elif here:
            diagnoses += examine_here(settings, opened)
    if output is Format.JSON:
        print_json(diagnoses)
    else:
        print_wrapped(_line(diagnosis) for diagnosis in diagnoses)
    if any(diagnosis.mark is Mark.BAD for diagnosis in diagnoses):
        raise typer.Exit(1)


def _line(diagnosis: Diagnosis) -> str:
    fix = f"\n    {diagnosis.fix}" if diagnosis.fix and diagnosis.mark is not Mark.GOOD else ""
    return f"{_SIGNS[diagnosis.mark]} {diagnosis.what}" + (f": {diagnosis.detail}" if diagnosis.detail else "") + fix
