"""metaqnn-orch manifest NET: the Job of a trial, as `start --launcher kubernetes` would create it."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer
import yaml

from metaqnn_orch.application.assembly import job_form
from metaqnn_orch.application.datasets import facts
from metaqnn_orch.application.job_template import overruled, read_template
from metaqnn_orch.application.listener import Tone
from metaqnn_orch.application.preview import trial_of
from metaqnn_orch.application.release import Release
from metaqnn_orch.cli import completion, options
from metaqnn_orch.cli.output import emit, print_json, tell
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.launchers.kubernetes.manifest import manifest as job_manifest
from metaqnn_orch.launchers.kubernetes.names import MAX_ATTEMPT
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract.keys import check_name
from metaqnn_trainer.contract.messages import TrainingRequest


class ManifestFormat(StrEnum):
    YAML = "yaml"
    JSON = "json"


def manifest(
    net: Annotated[
        str, typer.Argument(metavar="NET", help="A net, e.g. '[C(64,3,1), P(2,2), SM(10)]'.", show_default=False)
    ],
    space: Annotated[
        str,
        typer.Option(
            "--space",
            metavar="PRESET_OR_FILE",
            help="Preset or settings file of the run.",
            show_default=False,
            autocompletion=completion.preset_or_file,
        ),
    ],
    run: Annotated[
        str,
        typer.Option(
            "--run", metavar="NAME", help="Name of the run.", show_default=False, autocompletion=completion.run
        ),
    ],
    store: options.Store,
    attempt: Annotated[int, typer.Option(min=1, max=MAX_ATTEMPT, metavar="N", help="Number of the attempt.")] = 1,
    output: Annotated[ManifestFormat, typer.Option("--output", "-o", help="Output format.")] = ManifestFormat.YAML,
    assignments: options.Set = None,
    release: Release | None = None,
) -> None:
    """Print the Kubernetes Job of a trial.

    It is the Job that start --launcher kubernetes would create; nothing is launched. To let a cluster check it: ... |
    kubectl create --dry-run=server -f -
    """
    check_name("run", run)
    opened = open_store(store)
    look = facts(lambda: opened, run)
    settings = load_settings(space, os.environ, assignments or [], {}, release and release.layer(), look).settings
    net = settings.state_space().canonical(net)
    template = read_template(settings, release)
    form = job_form(opened, settings.execution.kubernetes, template)
    for line in overruled(settings, opened.uri, template):
        tell(line, Tone.CAUTION)
    if settings.execution.together > 1:
        tell("the search trains several nets in one Job; this is the Job of a net that is trained alone", Tone.CAUTION)
    spec, uid = trial_of(opened, run, settings, net, tell)
    body = job_manifest(TrainingRequest(run=run, trial=spec.trial_id(), spec=spec), attempt, uid, form)
    if output is ManifestFormat.JSON:
        print_json(body)
    else:
        emit(yaml.dump(body, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=False))


class _Plain(yaml.SafeDumper):
    """A YAML dumper without anchors: a mapping that occurs twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True
