"""A run in a few numbers, and its trials as rows. Scripts rely on the field names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, get_args

from metaqnn_orch.control.budget import used
from metaqnn_orch.control.confirmation import progress
from metaqnn_orch.control.ends import Lost
from metaqnn_orch.control.holder import Holder, living, read_holder
from metaqnn_orch.control.objective import tells_accuracy
from metaqnn_orch.control.queue import waiting
from metaqnn_orch.control.record import RunRecord, load_record
from metaqnn_orch.control.resume import resume
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.control.without_plugins import Readable, missing, of_trials, pip_install
from metaqnn_orch.errors import SettingsError, StoreError, one_line
from metaqnn_orch.replay.table import ESTIMATED
from metaqnn_orch.reporting.answers import (
    BestTrial,
    RunStanding,
    RunStatus,
    RunSummary,
    ShownState,
    Trainings,
    TrialRow,
)
from metaqnn_orch.search.searcher import SEARCHERS
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import CLASSIFICATION
from metaqnn_trainer.store.base import Store

Rows = list[dict[str, Any]]

ACCURACY: Final = "val_accuracy"  # fields of runs in which `accuracy` is a measure
MEASURE: Final = "measure."  # prefix of a measure's name, where each has a column of its own
_FIELDS: Final = (
    *("trial", "net", "epsilon", "state", "reward", ACCURACY, "params", "macs", "seconds"),
    *("started", "ended", "attempts", "estimated"),
    *("measured", "predicted", "spread"),
)


_PARTICULARS: Final = ("recipe", "initial", "origin")
_ENDED: Final[Mapping[str, RunStanding]] = {"goal": "complete", "target": "complete", "budget": "out_of_budget"}
REPEATED: Final = (*Trainings.__annotations__,)  # fields of trials that were trained several times


class RunView(NamedTuple):
    """A run as read from a store, at one moment."""

    record: RunRecord
    state: RunState
    position: int


def read_run(store: Store, run: str, *, learning: bool = True) -> RunView:
    """The run according to its journal. Nothing is changed. Without `learning` its state has no searcher, and is read
    in a fraction of the time.

    Raises:
        NotFound: no run of this name.
        RunConflict: its import was cut short.
        JournalError: the journal is damaged.
    """
    record = load_record(store, run)
    state, journal = resume(store, record, record.settings_as_run(), learning=learning)
    return RunView(record, state, journal.position)


def read_only(store: Store, run: str) -> RunView:
    """The run for those who only look at its trials: none of its plug-ins need be installed. Its state has no searcher.
    Raises as `read_run` does, but of missing plug-ins.
    """
    record = load_record(store, run)
    state, journal = resume(store, record, record.settings_to_read(), learning=False)
    return RunView(record, state, journal.position)


def read_known(store: Store, run: str) -> RunView:
    """The run as `read_run` reads it, or as `read_only` does where a plug-in is missing. Raises as they do."""
    try:
        return read_run(store, run)
    except SettingsError:
        return read_only(store, run)


def needs(view: RunView) -> str:
    """What the run needs that is not installed here, with the command that installs it, or why a plug-in of it cannot
    be used; empty where all is there, and where a run is complete and needs it for nothing but going on.
    """
    settings = view.state.settings
    if not isinstance(settings, Readable) and view.state.finished is not None:
        return ""
    plugins = view.record.plugins if isinstance(settings, Readable) else of_trials(view.record.plugins)
    if found := missing(plugins):
        return f"{found}: {pip_install(plugins)}"
    return one_line(str(settings.lack)) if isinstance(settings, Readable) else ""


def summary(view: RunView, holder: Holder | None) -> RunSummary:
    """The fields of `metaqnn-orch start -o json`."""
    state, best = view.state, view.state.best
    budget = state.opened.budget if state.opened else state.settings.budget
    so_far, confirmed = used(state, budget, state.heard), progress(state)
    alive, works = living(holder), at_work(state, holder)
    return {
        "run": view.record.run,
        "state": run_state(state, alive),
        "method": None if state.settings.nets else state.settings.search.method,
        "epsilon": state.epsilon,
        "told": state.told,
        "unique": state.unique,
        "in_flight": len(state.in_flight) if works else 0,
        "waiting": 0 if works else len(state.in_flight),
        "failed": state.abandoned,
        "attempts_lost": state.attempts_lost,
        "disruptions": state.disruptions,
        "lost": dict(state.lost),
        "last_lost": state.last_lost,
        "losses": state.losses.spells,
        "lost_in_a_row": state.losses.in_a_row,
        "braked_since": state.braked.at if state.braked is not None else None,
        "estimated": estimated(state),
        "stopped_early": stopped_early(state),
        "confirmations": confirmed,
        "best": None if best is None else _best(state, best),
        "goal": state.opened.goal if state.opened else state.settings.goal,
        "dataset": f"{view.record.dataset.name}-{view.record.dataset.digest}",
        "warm_start": state.recalled.run if state.recalled else None,
        "gpu_hours": so_far.gpu_hours,
        "money": so_far.money,
        "currency": budget.currency,
        "wall_clock_hours": so_far.wall_clock_hours,
        "ended_because": state.finished.detail if state.finished else "",
        "holder": alive.owner if alive is not None else None,
        "trouble": alive.trouble if alive is not None else needs(view),
        "q_digest": "" if isinstance(state.settings, Readable) else state.beliefs(),
        "journal_position": view.position,
    }


def method_in_words(settings: Settings) -> str:
    """The method of a search and what it is good for, in one line; the method's name where it says nothing."""
    return one_line(str(SEARCHERS.load(settings.search.method).summary)) or settings.search.method


def lost_attempts(state: RunState) -> dict[str, int]:
    """Number of attempts that ended without a result, over all sessions, by how they ended; ends that did not occur are
    0.
    """
    return {kind: state.lost.get(kind, 0) for kind in get_args(Lost)}


def status_of(store: Store, view: RunView, holder: Holder | None) -> RunStatus:
    """The fields of `metaqnn-orch status -o json`."""
    return {
        **summary(view, holder),
        "late_results": late_results(store, view),
        "queued": len(waiting(store, view.record.run, view.state)),
    }


def late_results(store: Store, view: RunView) -> int:
    """Number of abandoned trials that have a result all the same: it came too late, and the searcher was not told.
    One that cannot be read is not counted.
    """
    late = 0
    for trial in view.state.trials.values():
        if trial.state == "abandoned":
            with suppress(StoreError):
                late += bool(store.get(keys.result(view.record.run, trial.trial), first=1))
    return late


def run_state(state: RunState, alive: Holder | None) -> RunStanding:
    """The state of the run: new, running, complete, exhausted (no new net was found), out_of_budget or interrupted
    (start it again to go on).
    """
    if state.finished is not None:
        return _ENDED.get(state.finished.reason, "exhausted")
    if state.opened is None:
        return "new"
    return "running" if alive is not None else "interrupted"


def at_work(state: RunState, holder: Holder | None) -> bool:
    """Whether a search of the run goes on. Otherwise trials in flight wait, wherever they are shown. Who renames or
    removes the run holds it, too, and searches for nothing.
    """
    alive, opened = living(holder), state.opened
    return state.finished is None and alive is not None and opened is not None and alive.session == opened.session


def goes_on(store: Store, run: str, state: RunState) -> bool:
    """Whether a search of the run goes on, by what the store says of its holder."""
    return at_work(state, read_holder(store, run))


def shown_state(trial: Trial, *, works: bool) -> ShownState:
    """The state of a trial as it is shown; `works` says whether somebody works on the run."""
    return "waiting" if trial.state == "in_flight" and not works else trial.state


def trial_rows(state: RunState, trials: Sequence[Trial] | None = None, *, works: bool) -> list[TrialRow]:
    """The fields of `metaqnn-orch trials -o json`; by default for all trials. `works` says whether somebody works on
    the run.

    A trial that is not its design by the run's recipe also has `recipe`, the settings that differ, or `initial`, the
    trial with whose weights it begins. One that a person put into the search has `origin`, `by hand`. One that was
    repeated has `trainings`, `mean_reward` and `confirmed` (whether the mean decides its rank); one that repeats it has
    `confirms`, the other's id.
    """
    accuracy = has_accuracy(state)
    return [
        _row(trial, accuracy=accuracy, works=works) for trial in (state.trials.values() if trials is None else trials)
    ]


def _row(trial: Trial, *, accuracy: bool, works: bool) -> TrialRow:
    row: TrialRow = {
        "trial": trial.trial,
        "net": trial.net,
        "epsilon": trial.epsilon,
        "state": shown_state(trial, works=works),
        "reward": trial.reward,
        "val_accuracy": trial.val_accuracy,
        "params": trial.params,
        "macs": trial.macs,
        "seconds": trial.seconds,
        "started": trial.began or None,
        "ended": trial.ended or None,
        "attempts": trial.attempt,
        "estimated": is_estimated(trial),
        "measured": trial.measured,
        "predicted": trial.predicted,
        "spread": trial.spread,
        "measures": trial.measures,
    }
    if not accuracy:
        del row["val_accuracy"]
    if trial.recipe:
        row["recipe"] = trial.recipe
    if trial.initial is not None:
        row["initial"] = trial.initial.trial
    if trial.confirms:
        row["confirms"] = trial.confirms
    if trial.origin:
        row["origin"] = trial.origin
    if trial.confirmations:
        row["trainings"], row["mean_reward"], row["confirmed"] = (
            len(trial.trainings),
            trial.mean_reward,
            trial.is_confirmed,
        )
    return row


def repeated(trial: Trial) -> Trainings:
    """How often a trial was trained, the mean of the rewards, and whether the mean decides its rank."""
    return {
        "trainings": len(trial.trainings),
        "mean_reward": trial.mean_reward,
        "confirmed": trial.is_confirmed,
    }


def trial_table(state: RunState, trials: Sequence[Trial] | None = None, *, works: bool) -> tuple[list[str], Rows]:
    """The columns and rows of `metaqnn-orch trials -o csv`: the fields of trial_rows, with a column `measure.NAME` for
    each measure. The fields of confirmation are there where the run has any.
    """
    measures = sorted({name for trial in state.trials.values() for name in trial.measures})
    columns = [name for name in _FIELDS if name != ACCURACY or has_accuracy(state)]
    columns += ["confirms", *REPEATED] if state.shortlist is not None else []
    rows: Rows = [{**row} for row in trial_rows(state, trials, works=works)]
    for row in rows:
        found = row.pop("measures")
        for name in _PARTICULARS:
            row.pop(name, None)
        row.update({MEASURE + name: found.get(name) for name in measures})
    return [*columns, *(MEASURE + name for name in measures)], rows


def has_accuracy(state: RunState) -> bool:
    """Whether `accuracy` is a measure of the run."""
    classifies = state.settings.task.name == CLASSIFICATION.name
    return classifies or any("accuracy" in trial.measures for trial in state.trials.values())


def reward_name(settings: Settings) -> str:
    """The name of the reward that is shown to people."""
    return "val accuracy" if tells_accuracy(settings.task.name, settings.objective) else "reward"


def _best(state: RunState, trial: Trial) -> BestTrial:
    best: BestTrial = {
        "net": trial.net,
        "trial": trial.trial,
        "reward": trial.reward,
        "measures": trial.measures,
        "trainings": len(trial.trainings),
        "mean_reward": trial.mean_reward,
        "confirmed": trial.is_confirmed,
    }
    if has_accuracy(state):
        best["val_accuracy"] = trial.val_accuracy
    return best


def shown_reward(trial: Trial) -> str:
    """The reward that a person is shown of a trained net: the one that decides its rank."""
    return f"{trial.worth:.4f}" + (f" (mean of {len(trial.trainings)})" if trial.is_confirmed else "")


def is_estimated(trial: Trial) -> bool:
    """Whether the reward was estimated from similar nets in a table, and not measured."""
    return trial.device == ESTIMATED


def estimated(state: RunState) -> int:
    """Number of told rewards that are estimates."""
    return sum(map(is_estimated, state.trials.values()))


def stopped_early(state: RunState) -> int:
    """Number of told rewards that are predictions."""
    return sum(trial.state == "stopped_early" for trial in state.trials.values())


def leaderboard(state: RunState, top: int) -> list[Trial]:
    """The best trials: confirmed ones by their means, then the others by their rewards; among equals, smaller nets
    first. Nets that were stopped early are left out.
    """
    return state.ranking()[:top]
