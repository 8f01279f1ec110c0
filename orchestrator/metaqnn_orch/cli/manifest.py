"""metaqnn-orch manifest NET: the Job of a trial, as `start --launcher kubernetes` would create it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml

from metaqnn_orch.application import datasets
from metaqnn_orch.application.assembly import job_form
from metaqnn_orch.application.release import TEMPLATE, Release
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import emit, print_json, say
from metaqnn_orch.control.record import load_record
from metaqnn_orch.errors import NotFound, SettingsError, StoreError
from metaqnn_orch.launchers.kubernetes.manifest import JobForm
from metaqnn_orch.launchers.kubernetes.manifest import manifest as job_manifest
from metaqnn_orch.launchers.kubernetes.names import MAX_ATTEMPT
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.sources import load_settings
from metaqnn_orch.settings.strict_yaml import parse_mapping
from metaqnn_trainer.contract.keys import check_name
from metaqnn_trainer.contract.messages import DatasetRef, TrainingRequest, TrialSpec
from metaqnn_trainer.spaces.cnn.notation import format_net, parse_net
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.opening import open_store

MAX_TEMPLATE: Final = 1 << 18  # bytes
NO_UID: Final = "0" * 32


class ManifestFormat(StrEnum):
    YAML = "yaml"
    JSON = "json"


def manifest(
    net: Annotated[
        str, typer.Argument(metavar="NET", help="A net, e.g. '[C(64,3,1), P(2,2), SM(10)]'.", show_default=False)
    ],
    space: Annotated[
        str, typer.Option("--space", metavar="PRESET_OR_FILE", help="Settings of the run.", show_default=False)
    ],
    run: Annotated[str, typer.Option("--run", metavar="NAME", help="Name of the run.", show_default=False)],
    store: options.Store,
    attempt: Annotated[
        int, typer.Option(min=1, max=MAX_ATTEMPT, metavar="N", help="Number of the trial's attempt.")
    ] = 1,
    output: Annotated[ManifestFormat, typer.Option("--output", "-o", help="How to print.")] = ManifestFormat.YAML,
    assignments: options.Set = None,
    release: Release | None = None,
) -> None:
    """Print the Kubernetes Job of a trial.

    As start --launcher kubernetes would create it. Launches nothing. To have a cluster judge it:
    ... | kubectl create --dry-run=server -f -
    """
    net = format_net(parse_net(net))
    check_name("run", run)
    settings = load_settings(space, os.environ, assignments or [], {}, release and release.layer()).settings
    opened = open_store(store)
    template = read_template(settings, release)
    form = job_form(opened, settings.execution.kubernetes, template)
    say_overridden(settings, opened.uri, template)
    spec, uid = _spec(opened, run, settings, net)
    body = job_manifest(TrainingRequest(run=run, trial=spec.trial_id(), spec=spec), attempt, uid, form)
    if output is ManifestFormat.JSON:
        print_json(body)
    else:
        emit(yaml.dump(body, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=False))


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


def say_overridden(settings: Settings, store: str, template: Mapping[str, Any]) -> None:
    """Where the template is not obeyed, and why."""
    form = JobForm(store, settings.execution.kubernetes, template)
    for overruled in form.overruled:
        say((f"{form.template_name}: {overruled}", "yellow"))


def _spec(store: Store, run: str, settings: Settings, net: str) -> tuple[TrialSpec, str]:
    """What the trial asks for, and the run's uid; as far as they are known before the run is there."""
    name, digest = settings.dataset.name, settings.dataset.digest
    try:
        record = load_record(store, run)
        return record.spec(settings, net), record.uid
    except NotFound:
        say(f"run {run} is not there yet: its uid will be another")
        ref = datasets.find(store, name, digest)
    except StoreError as error:
        say(f"{error}: uid and dataset are made up")
        ref = None
    if ref is None:
        say(f"dataset {name} was not found: the trial's id depends on its digest, and may be another")
        ref = DatasetRef(name=name, digest=digest or "0" * 16)
    size, model, recipe = settings.space.image_size, settings.model, settings.recipe
    return TrialSpec(net=net, dataset=ref, image_size=size, model=model, recipe=recipe), NO_UID


class _Plain(yaml.SafeDumper):
    """The same mapping twice is written twice: no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True
