"""metaqnn-orch retrain RUN TRIAL: train trials again whose weights were lost or removed."""

from __future__ import annotations

import os
from typing import Annotated, Final, NotRequired, TypedDict

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.derived_run import derived, refuse_open, train
from metaqnn_orch.application.release import Release
from metaqnn_orch.application.retraining import SECTIONS, again
from metaqnn_orch.cli import completion, options
from metaqnn_orch.cli.ending import leave
from metaqnn_orch.cli.flags import given
from metaqnn_orch.cli.output import Format, print_json, print_rows, say, typeable
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.cli.view import Terminal
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import BadInput
from metaqnn_orch.next_command import next_command
from metaqnn_orch.reporting.answers import ShownState
from metaqnn_orch.reporting.summary import RunView, has_accuracy, read_run, reward_name, shown_state
from metaqnn_orch.settings.sources import continue_settings
from metaqnn_trainer.contract.keys import check_name

_COLUMNS: Final = {"trial": "", "state": "", "reward": ".4f", "was": ".4f", "net": ""}


class TrialAgain(TypedDict):
    """A trial that was trained again."""

    trial: str
    """Id of the trial in the new run."""
    state: ShownState
    """How it ended, or that it has not ended."""
    reward: float | None
    """Reward in the new run; None before the result."""
    was: float | None
    """Reward in the run that it comes from."""
    net: str
    """The net."""
    val_accuracy: NotRequired[float | None]
    """Validation accuracy, from 0 to 1; only where accuracy is a measure."""


class Retrained(TypedDict):
    """What was trained again."""

    run: str
    """Name of the new run."""
    trials: list[TrialAgain]
    """The trials, in the order of their proposal."""


def retrain(
    run: options.Run,
    trials: Annotated[
        list[str],
        typer.Argument(
            metavar="TRIAL...",
            help="Their ids, or the first characters of them.",
            show_default=False,
            autocompletion=completion.trial,
        ),
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
    refuse_open(source.record, opened.uri)
    base = check_name("run", name or derived(f"{run}-again"))
    options.refuse_other_sections(assignments or [], SECTIONS)
    made = again(source, trials, opened.uri)
    above = os.environ, assignments or [], given({"execution.parallel": parallel}), release and release.layer()
    present = continue_settings(source.record.settings, f"run {run}", *above)
    settings = made.model_copy(update={key: getattr(present, key) for key in SECTIONS})
    ended = train(opened, base, settings, launcher, release, Terminal())
    # By ids, else by nets: an imported trial has another id than one of the same net that was trained here.
    before = source.state.trials
    rows = [
        _row(ended.view, trial, was)
        for trial in ended.view.state.trials.values()
        if (was := before.get(trial.trial) or source.state.by_net.get(trial.net)) is not None
    ]
    if output is Format.JSON:
        found: Retrained = {"run": base, "trials": rows}
        print_json(found)
    else:
        name = reward_name(settings)
        columns = {name if column == "reward" else column: form for column, form in _COLUMNS.items()}
        print_rows(columns, [[{**row}[column] for column in _COLUMNS] for row in rows])
    if not ended.is_complete:
        leave(base, ended)
    say(typeable(f"next: {next_command(f'pull {base}', opened.uri, '--to ./again')}"))


def _row(view: RunView, trial: Trial, was: Trial) -> TrialAgain:
    row: TrialAgain = {
        "trial": trial.trial,
        "state": shown_state(trial, works=False),
        "reward": trial.reward,
        "was": was.reward,
        "net": trial.net,
    }
    if has_accuracy(view.state):
        row["val_accuracy"] = trial.val_accuracy
    return row
