"""What a command prints when a session ends: how it ended, what can be done next, and the exit code."""

from __future__ import annotations

from typing import Final, NoReturn

import typer

from metaqnn_orch.application.session import SessionEnd
from metaqnn_orch.cli.output import Format, print_json, print_rows, say, typeable
from metaqnn_orch.control.confirmation import progress
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Outcome
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.next_command import next_command
from metaqnn_orch.reporting.summary import estimated, leaderboard, reward_name, shown_reward, stopped_early, summary
from metaqnn_trainer.contract.text import amount

_LEADERS: Final = {
    "rank": "d",
    "reward": ".4f",
    "mean of": "d",
    "params": ",d",
    "seconds": ".1f",
    "epsilon": ".2f",
    "net": "",
}


def report(ended: SessionEnd, store: str, output: Format) -> int:
    """Print how a session of a run in the store at this address ended, and what can be done next. Returns the exit
    code.
    """
    run, state = ended.view.record.run, ended.view.state
    if output is Format.JSON:
        print_json(summary(ended.view, None))
    else:
        _epilogue(ended.view.record, store, state)
    match ended.outcome:
        case Outcome.GOAL:
            return 0
        case Outcome.EXHAUSTED:
            at = "" if state.epsilon is None else "at this epsilon "
            say(f"many proposals in a row gave no new net: {at}the space has no more")
            return 0
        case Outcome.TARGET:
            say(f"stopped: {ended.reason}")
            return 0
        case Outcome.BUDGET:
            say(f"stopped: {ended.reason}; to go on, repeat the command with a larger budget")
            return 0
        case Outcome.INTERRUPTED:
            say(f"run {run} was stopped; the same command goes on with it")
            return 128 + ended.signal


def _epilogue(record: RunRecord, store: str, state: RunState) -> None:
    run, rehearsed = record.run, record.table is not None
    best = leaderboard(state, 5)
    if not best:
        return
    name, confirmed = reward_name(state.settings), any(trial.is_confirmed for trial in best)
    left_out = {"epsilon"} if all(trial.epsilon is None for trial in best) else set()
    left_out |= set() if confirmed else {"mean of"}
    shown = [column for column in _LEADERS if column not in left_out]
    print_rows(
        {name if column == "reward" else column: _LEADERS[column] for column in shown},
        [[_cell(column, rank, trial) for column in shown] for rank, trial in enumerate(best, 1)],
    )
    lost = f", {amount(state.attempts_lost, 'attempt')} lost" if state.attempts_lost else ""
    abandoned = f", {amount(state.abandoned, 'trial')} abandoned" if state.abandoned else ""
    done = "answered" if rehearsed else "trained"
    done += f", {stopped} of them stopped early" if (stopped := stopped_early(state)) else ""
    if (again := progress(state)) is not None and again.all:
        done += f", the best confirmed by {again.done} of {amount(again.all, 'further training')}"
    say(f"{amount(state.unique, 'net')} {done}, learned from {amount(state.told, 'time')}{lost}{abandoned}")
    say("best architecture: ", (best[0].net, "bold"))
    say(f"{name.replace('val ', 'validation ')}: ", (shown_reward(best[0]), "bold"))
    if rehearsed:
        say(
            f"a rehearsal with the table {record.table}: nothing was trained; "
            f"estimated: {amount(estimated(state), 'accuracy', 'accuracies')}"
        )
    say("next:")
    for command, purpose in (
        (next_command(f"explain {run}", store), "what the searcher believes")
        if rehearsed
        else (next_command(f"pull {run}", store, "--top 3 --to ./best"), "weights of the best three"),
        (next_command(f"trials {run}", store), "every trial"),
    ):
        say(typeable(f"  {command}   "), (f"# {purpose}", "dim"))


def _cell(column: str, rank: int, trial: Trial) -> object:
    """A cell of the table of the best."""
    match column:
        case "rank":
            return rank
        case "reward":
            return trial.worth
        case "mean of":
            return len(trial.trainings) if trial.is_confirmed else 1
        case _:
            return getattr(trial, column)


def leave(name: str, ended: SessionEnd) -> NoReturn:
    """Leave a command whose run a signal or the budget ended before all its nets were trained.

    Raises:
        typer.Exit: always.
    """
    say(f"run {name} {f'stopped: {ended.reason}' if ended.reason else 'was stopped'}; the same command goes on")
    raise typer.Exit(128 + ended.signal if ended.outcome is Outcome.INTERRUPTED else 0)
