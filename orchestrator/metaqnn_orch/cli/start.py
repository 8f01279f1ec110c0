"""metaqnn-orch start PRESET_OR_FILE"""

from __future__ import annotations

import os
import shlex
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import typer

from metaqnn_orch.application.assembly import LauncherName, make_launcher, refuse_unsafe_store
from metaqnn_orch.application.cluster_dataset import push_in_cluster
from metaqnn_orch.application.rehearsal import Rehearsal, read_rehearsal
from metaqnn_orch.application.release import Release
from metaqnn_orch.application.session import Ended, begin, search
from metaqnn_orch.application.signals import surely_closing
from metaqnn_orch.cli import options
from metaqnn_orch.cli.dry_run import dry_run as print_bill
from metaqnn_orch.cli.manifest import read_template, say_overridden
from metaqnn_orch.cli.output import Format, print_json, print_rows, say, typeable
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Outcome
from metaqnn_orch.errors import BadInput
from metaqnn_orch.reporting.summary import estimated, leaderboard, reward_name, stopped_early, summary
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract.keys import check_name
from metaqnn_trainer.store.opening import open_store

_LEADERS: Final = {"rank": "d", "reward": ".4f", "params": ",d", "seconds": ".1f", "epsilon": ".2f", "net": ""}


def start(
    preset_or_file: options.PresetOrFile,
    run: options.RunName,
    store: options.Store,
    launcher: options.Launcher = LauncherName.LOCAL,
    parallel: options.Parallel = None,
    max_trials: options.MaxTrials = None,
    seed: options.Seed = None,
    warm_start_from: options.WarmStartFrom = None,
    gpu_hours: options.GpuHours = None,
    money: options.Money = None,
    wall_clock_hours: options.WallClockHours = None,
    target: options.Target = None,
    target_accuracy: options.TargetAccuracy = None,
    price_per_gpu_hour: options.PricePerGpuHour = None,
    mlflow: options.Mlflow = None,
    tensorboard: options.Tensorboard = None,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of --launcher table: accuracies by net, as CSV.")
    ] = None,
    table_delay: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, max=86_400, help="Of --launcher table: how long each trial takes."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what it would cost and create, and leave it at that.")
    ] = False,
    trial_seconds: Annotated[
        float | None,
        typer.Option(metavar="S", min=0, max=1e7, help="Of --dry-run: what a trial takes, if you know better."),
    ] = None,
    assignments: options.Set = None,
    output: options.Output = Format.TABLE,
    unsafe_single_writer: options.UnsafeSingleWriter = False,
    metrics_port: options.MetricsPort = None,
    release: Release | None = None,
) -> None:
    """Search, or go on with a search.

    Samples architectures, has them trained, and learns from their rewards: their validation accuracies,
    unless task or objective say otherwise.

    A run that exists goes on from its journal, whatever ended it. Its settings may not change, but --parallel,
    --max-trials, the budget and everything under execution may. Ctrl-C once waits for the trials in training, twice
    leaves at once; nothing is lost either way. Trials in a cluster go on without you, so there once is enough.

    \b
    Budget
      Whichever limit comes first ends the run. No trial begins that would probably end beyond it, none in training is
      cut. With a larger budget the same command goes on.

    \b
    Rehearsals
      --launcher table --table FILE.csv trains nothing: the file answers. It has the columns net and accuracy, or is a
      replay database of the authors. A net that it does not have gets an estimate from those most like it, marked so
      in `trials`; that takes SciPy: pip install 'metaqnn-orch[table]'. No dataset is needed. A rehearsal is
      gone on with by the same table alone, and no other run by a table.

    \b
    Exit codes
      0          complete, or the budget is used, or no new net was found
      1          nothing ever worked
      2          wrong input: nothing was created
      3          the journal is damaged
      4          another orchestrator holds the run
      5          the store fails
      6          nothing can be launched here
      130        stopped by Ctrl-C, ready to go on
      143        the same by SIGTERM
      129        the same by SIGHUP: the terminal is gone, and nobody said nohup
    """
    check_name("run", run)
    flags = {
        "execution.parallel": parallel,
        "execution.max_trials": max_trials,
        "seed": seed,
        "warm_start.run": warm_start_from,
        "tracking.mlflow": mlflow,
        "tracking.tensorboard": tensorboard,
        "budget.gpu_hours": gpu_hours,
        "budget.money": money,
        "budget.wall_clock_hours": wall_clock_hours,
        "budget.target": target,
        "budget.target_accuracy": target_accuracy,
        "budget.price_per_gpu_hour": price_per_gpu_hour,
    }
    settings = load_settings(preset_or_file, os.environ, assignments or [], flags, release and release.layer()).settings
    opened, rehearsal = open_store(store), _rehearsal(launcher, table, table_delay, settings)
    template = read_template(settings, release) if launcher is LauncherName.KUBERNETES else {}
    launcher_of = make_launcher(launcher, opened, settings, rehearsal, template)
    if template:
        say_overridden(settings, opened.uri, template)
    if dry_run:
        return print_bill(opened, run, settings, launcher, rehearsal, trial_seconds, output)
    check_store = (lambda store: None) if unsafe_single_writer else refuse_unsafe_store
    make = None
    if launcher is LauncherName.KUBERNETES and find_spec("torch") is None:
        cluster = settings.execution.kubernetes
        make = partial(push_in_cluster, opened, options=[], settings=cluster, template=template)
    record = begin(opened, run, settings, check_store, rehearsal and rehearsal.binding(settings), make)
    with surely_closing(launcher_of(record)) as workers:
        ended = search(opened, record, record.settings_as_run(settings), workers, metrics_port)
    raise typer.Exit(report(ended, release.words if release else f"--store {shlex.quote(store)}", output))


def _rehearsal(launcher: LauncherName, table: Path | None, delay: float | None, settings: Settings) -> Rehearsal | None:
    """What the table launcher needs to know, where it is that one.

    Raises:
        BadInput: a table for another launcher, or one that cannot be read.
    """
    if launcher is not LauncherName.TABLE:
        if table is not None or delay is not None:
            raise BadInput("--table and --table-delay are the table launcher's", hint="add --launcher table")
        return None
    if table is None:
        return None
    rehearsal = read_rehearsal(table, settings, delay or 0.0)
    say(f"{table}: the accuracies of {len(rehearsal.table)} nets")
    if rehearsal.table.refusals.count:
        say(str(rehearsal.table.refusals))
    return rehearsal


def report(ended: Ended, where: str, output: Format) -> int:
    """Say how a session ended, and what can be done next. Returns the exit code."""
    run, state = ended.view.record.run, ended.view.state
    if output is Format.JSON:
        print_json(summary(ended.view, None))
    else:
        _epilogue(ended.view.record, where, state)
    match ended.outcome:
        case Outcome.GOAL:
            return 0
        case Outcome.EXHAUSTED:
            say("no new net was found in a long row of proposals: at this epsilon the space holds no more")
            return 0
        case Outcome.TARGET:
            say(f"stopped: {ended.reason}")
            return 0
        case Outcome.BUDGET:
            say(f"stopped: {ended.reason}; the same command with a larger budget goes on")
            return 0
        case Outcome.INTERRUPTED:
            say(f"run {run} was stopped; the same command goes on with it")
            return 128 + ended.signal


def _epilogue(record: RunRecord, where: str, state: RunState) -> None:
    run, rehearsed = record.run, record.table is not None
    best = leaderboard(state, 5)
    if not best:
        return
    rows = [(rank, t.reward, t.params, t.seconds, t.epsilon, t.net) for rank, t in enumerate(best, 1)]
    name = reward_name(state.settings)
    print_rows({name if column == "reward" else column: form for column, form in _LEADERS.items()}, rows)
    lost = f", {state.attempts_lost} attempts lost" if state.attempts_lost else ""
    abandoned = f", {state.abandoned} trials abandoned" if state.abandoned else ""
    done = "answered" if rehearsed else "trained"
    done += f", {stopped} of them not to the end" if (stopped := stopped_early(state)) else ""
    say(f"{state.unique} nets {done}, learned from {state.told} times{lost}{abandoned}")
    say("best architecture: ", (best[0].net, "bold"))
    say(f"{name.replace('val ', 'validation ')}: ", (f"{best[0].worth:.4f}", "bold"))
    if rehearsed:
        say(f"a rehearsal with the table {record.table}: nothing was trained, {estimated(state)} answers are estimates")
    say("next:")
    for command, purpose in (
        (f"explain {run} {where}", "what the agent believes")
        if rehearsed
        else (f"pull {run} {where} --top 3 --to ./best", "weights of the best three"),
        (f"trials {run} {where}", "every trial"),
    ):
        say(typeable(f"  metaqnn-orch {command}   "), (f"# {purpose}", "dim"))
