"""metaqnn-orch retrain RUN TRIAL: train trials again whose weights were lost or removed."""

from __future__ import annotations

import os
from typing import Annotated, Final

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.derived_run import derived, refuse_open, train
from metaqnn_orch.application.release import Release
from metaqnn_orch.application.retraining import SECTIONS, again
from metaqnn_orch.cli import options
from metaqnn_orch.cli.ending import leave
from metaqnn_orch.cli.output import Format, print_json, print_rows, say, typeable
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.cli.view import Terminal
from metaqnn_orch.errors import BadInput
from metaqnn_orch.reporting.summary import RunView, has_accuracy, read_run, reward_name
from metaqnn_orch.settings.sources import continue_settings
from metaqnn_trainer.contract.keys import check_name

_COLUMNS: Final = {"trial": "", "state": "", "reward": ".4f", "was": ".4f", "net": ""}


def retrain(
    run: options.Run,
    trials: Annotated[
        list[str],
        typer.Argument(metavar="TRIAL...", help="Their ids, or the first characters of them.", show_default=False),
    ],
    store: options.Store,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the run that trains them (default RUN-again).")
    ] = None,
    launcher: options.Launcher = LauncherName.LOCAL,
    parallel: options.Parallel = None,
    assignments: options.Set = None,
    output: options.Output = Format.TABLE,
    release: Release | None = None,
) -> None:
    """Train trials again whose weights are gone.

    This is for weights that were lost, damaged or removed. It makes a run of its own, RUN-again, with the same recipe,
    dataset and seed. The same command goes on with it; `pull`, `export` and the others work with it as with any run.
    RUN itself does not change. To train other trials later, give another --name.

    On a CPU, and with the same --parallel, this gives the same weights, bit for bit; otherwise nearly the same.
    """
    opened = open_store(store)
    source = read_run(opened, run)
    if source.record.table is not None:
        raise BadInput(f"run {run} is a rehearsal: its accuracies come from a table, and nothing was trained")
    refuse_open(source.record)
    base = check_name("run", name or derived(f"{run}-again"))
    options.refuse_other_sections(assignments or [], SECTIONS)
    made = again(source, trials)
    above = os.environ, assignments or [], {"execution.parallel": parallel}, release and release.layer()
    present = continue_settings(source.record.settings, f"run {run}", *above)
    settings = made.model_copy(update={key: getattr(present, key) for key in SECTIONS})
    ended = train(opened, base, settings, launcher, release, Terminal())
    # By ids, else by nets: an imported trial has another id than one of the same net that was trained here.
    before = source.state.trials
    rows = [
        (trial.trial, trial.state, trial.reward, was.reward, trial.net)
        for trial in ended.view.state.trials.values()
        if (was := before.get(trial.trial) or source.state.by_net.get(trial.net)) is not None
    ]
    if output is Format.JSON:
        print_json({"run": base, "trials": [_as_json(ended.view, row) for row in rows]})
    else:
        name = reward_name(settings)
        print_rows({name if column == "reward" else column: form for column, form in _COLUMNS.items()}, rows)
    if not ended.is_complete:
        leave(base, ended)
    where = release.words if release else f"--store {store}"
    say(typeable(f"next: metaqnn-orch pull {base} {where} --to ./again"))


def _as_json(view: RunView, row: tuple[object, ...]) -> dict[str, object]:
    named = dict(zip(_COLUMNS, row, strict=True))
    accuracy = {"val accuracy": view.state.trials[str(named["trial"])].val_accuracy} if has_accuracy(view.state) else {}
    return named | accuracy
