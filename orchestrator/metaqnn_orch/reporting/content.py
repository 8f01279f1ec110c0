"""The text and numbers of a report's page: a run in sentences, facts and tables."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from statistics import fmean
from typing import Final, NamedTuple

from metaqnn_orch.control.confirmation import progress
from metaqnn_orch.control.ends import Lost
from metaqnn_orch.control.losses import MANY, Spell
from metaqnn_orch.control.objective import in_words, tells_accuracy
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial, TrialState
from metaqnn_orch.control.without_plugins import Readable
from metaqnn_orch.errors import one_line
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.numbers import finite
from metaqnn_orch.reporting.dearest import LIMIT, Spent, spent
from metaqnn_orch.reporting.history import History
from metaqnn_orch.reporting.statistics import ROLLING
from metaqnn_orch.reporting.summary import RunView, estimated, method_in_words, shown_reward, stopped_early
from metaqnn_orch.search.searchers.q_learning import QLearning
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.values import flatten
from metaqnn_trainer.contract.keys import MAX_NAME
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.contract.text import amount

_REASONS: Final = 8
_AGAIN: Final = "-again"

MEANINGS: Final[dict[TrialState, str]] = {
    "completed": "trained; the reward is that of the best epoch",
    "untrainable": "at chance at every learning rate: the reward is chance",
    "too_large": "did not fit the device: the reward is chance",
    "timed_out": "reached the time limit: the best epoch so far counts",
    "stopped_early": "was not among the best in its first epochs: the reward is the one that was predicted",
    "abandoned": "lost too many attempts: the searcher never learned from it",
    "in_flight": "not ended yet",
}

WAITING: Final = ("waiting", "in flight, but nobody works on the run: the next session goes on with them")

LOST_MEANINGS: Final[dict[Lost, str]] = {
    Phase.DISRUPTED: "attempts that were interrupted: started again, for free within bounds",
    Phase.FALSE_START: "attempts that never began: started again, for free within bounds",
    Phase.CUT_OFF: "attempts that did not reach the store: free within bounds, if any attempt ever reached it",
    Phase.NO_DEVICE: "attempts that were given a GPU and found none that works: five for each trial are free",
    Phase.NO_RESULT: "attempts that exited with 0 and left no result: one for each trial is free",
    Phase.CRASHED: "attempts that ended without a result: tried again",
    Phase.REFUSED: "attempts whose result the store refused: tried again",
    Phase.UNEQUIPPED: "attempts that lacked a plug-in or the dataset, or were asked for what is wrong: no net is lost",
    Phase.HOPELESS: "attempts that would fail again: the trial was abandoned",
}

Facts = list[tuple[str, str]]


class OutcomeCount(NamedTuple):
    """How many trials, or attempts, ended in some way."""

    name: str
    number: int
    share: float
    meaning: str


class Content(NamedTuple):
    """Everything on the page but the figures."""

    run: str
    lead: str
    notes: list[str]
    """What a reader must know before reading any number."""
    numbers: Facts
    outcomes: list[OutcomeCount]
    reasons: list[tuple[str, int]]
    """Why attempts ended without a result, the most frequent reason first."""
    losses: list[tuple[str, Spell]]
    """The last spell of lost attempts by how they ended, the newest first: after an hour without one, another begins.
    """
    cost: Facts
    settings: Facts
    versions: Facts
    start: str
    """The command that starts the same search."""
    trials: list[Trial]
    """All trials with a reward, in the order in which their results came in."""
    timed: set[str]
    """Ids of the trials that the run trained itself."""
    reward: str
    """The name of the reward: accuracy, where it is one."""


def content(
    view: RunView, history: History, best: TrainingResult | None, price: float | None, *, works: bool = True
) -> Content:
    """The content of a page. `best` is the best trial's result; `price` is the price of an hour of training; `works`
    says whether somebody works on the run.
    """
    state, record = view.state, view.record
    rewards, best_trial = [item.reward for item in history.ended], state.best
    accuracy = tells_accuracy(state.settings.task.name, state.settings.objective)
    name = "accuracy" if accuracy else "reward"
    assert best_trial is not None
    words = f"validation accuracy of {best_trial.worth:.2%}" if accuracy else f"reward of {best_trial.worth:.4f}"
    if best_trial.is_confirmed:
        words += f", the mean of {len(best_trial.trainings)} trainings"
    hours = finite(sum(item.seconds for item in history.timed)) / 3600
    numbers = [
        ("nets trained", f"{state.unique:,}"),
        (f"best {name}", shown_reward(best_trial)),
        (f"mean of the last {min(ROLLING, len(rewards))}", f"{fmean(rewards[-ROLLING:]):.4f}"),
        *([] if state.epsilon is None else [("epsilon now", f"{state.epsilon:.2f}")]),
        *([("training", _duration(finite(hours * 3600)))] if history.timed else []),
    ]
    if price is not None and history.timed:
        numbers.append(("cost", f"{finite(hours * price):,.2f}"))
    return Content(
        run=record.run,
        lead=f"{amount(state.unique, 'network')} for {record.dataset.name}, {_found(state.settings)}. "
        f"The best has a {words}.",
        notes=_notes(view),
        numbers=numbers,
        outcomes=_outcomes(state, history, works=works),
        reasons=Counter(one_line(trouble.detail, 200) for trouble in history.troubles).most_common(_REASONS),
        losses=[
            (kind, replace(spell, detail=one_line(spell.detail, 200)))
            for kind, spell in reversed(state.losses.spells.items())
        ],
        cost=[*_cost(history, hours, price, _example(record)), *_dearest(view, history)],
        settings=[(key, json.dumps(value)) for key, value in flatten(record.settings)],
        versions=_versions(view, history, best),
        start=f"metaqnn-orch start settings.yaml --run {_another(record.run)} --store ./runs"
        + (" --launcher table --table FILE" if record.table else ""),
        trials=[item.trial for item in history.trained],
        timed={item.trial.trial for item in history.timed},
        reward=name,
    )


def _found(settings: Settings) -> str:
    """How the nets were found, in words: by the name with which the searcher's summary begins."""
    if settings.nets:
        return "from a list"
    words = "" if isinstance(settings, Readable) else method_in_words(settings)
    name, colon, _ = words.partition(":")
    return f"found by {name if colon else settings.search.method}"


def _notes(view: RunView) -> list[str]:
    record, guesses = view.record, estimated(view.state)
    notes = []
    if isinstance(view.state.settings, Readable):
        notes.append(f"What only its plug-ins can say is left out: {view.state.settings.lack}.")
    objective = view.state.settings.objective
    if objective.changes_reward:
        notes.append(f"The searcher was told {in_words(objective)}.")
    if record.table:
        notes.append(f"This was a rehearsal: nothing was trained, and accuracies come from the table {record.table}.")
    if guesses:
        notes.append(
            f"{amount(guesses, 'reward')} of the run {'is an estimate' if guesses == 1 else 'are estimates'} from "
            "similar nets, and not measured."
        )
    if stopped := stopped_early(view.state):
        notes.append(
            f"{amount(stopped, 'net')} {'was' if stopped == 1 else 'were'} stopped early: the reward is predicted, and "
            "not ranked."
        )
    if (confirmed := progress(view.state)) is not None and confirmed.all:
        done = "their means decide" if confirmed.done == confirmed.all else "the rest is still to come"
        times = f"{confirmed.done} of {confirmed.all} times"
        notes.append(f"The best nets were trained again with other seeds, {times}: {done}.")
    if record.imported:
        notes.append(f"The run began with {amount(record.imported.rows, 'result')} of {record.imported.file}.")
    state = view.state
    if state.finished is None:
        notes.append("The search has not ended yet.")
        if state.braked is not None:
            notes.append(f"No attempt but a probe has begun since {state.braked.at}: {state.streak.in_words()}.")
        elif state.losses.in_a_row >= MANY:
            notes.append(
                f"{state.losses.in_a_row:,} attempts in a row were lost since {state.losses.began}, and none succeeded."
            )
    return notes


def _outcomes(state: RunState, history: History, *, works: bool) -> list[OutcomeCount]:
    trials: Counter[TrialState] = Counter(trial.state for trial in state.trials.values())
    attempts = Counter(trouble.kind for trouble in history.troubles)
    found = [
        OutcomeCount(shown, trials[name], trials[name] / len(state.trials), meaning)
        for name, words in MEANINGS.items()
        for shown, meaning in [WAITING if name == "in_flight" and not works else (name.replace("_", " "), words)]
        if trials[name] or name == "completed"
    ]
    all_attempts = sum(trials.values()) + sum(attempts.values())
    for kind, meaning in LOST_MEANINGS.items():
        if attempts[kind]:
            found.append(OutcomeCount(f"attempts {kind}", attempts[kind], attempts[kind] / all_attempts, meaning))
    return found


def _cost(history: History, hours: float, price: float | None, example: str) -> Facts:
    macs = sum(item.trial.macs or 0 for item in history.trained)
    facts = [("multiply-accumulates of all nets", f"{macs:,} (one {example} each)")]
    seconds = sorted(item.seconds for item in history.timed)
    if not seconds:
        return [("training", "none: this run trained nothing"), *facts]
    times = [item.at for item in history.timed if item.at]
    facts = [
        ("hours of training", f"{hours:,.2f}"),
        ("seconds for a net", f"median {seconds[len(seconds) // 2]:,.1f}, maximum {seconds[-1]:,.1f}"),
        *facts,
    ]
    if times:
        facts.insert(0, ("from the first result to the last", _duration((max(times) - min(times)).total_seconds())))
    if price is not None:
        facts.append(("price of an hour", f"{price:,.2f}"))
        cost = finite(hours * price)
        facts.append(("cost", f"{cost:,.2f}: {cost / len(seconds):,.4f} for a net"))
    return facts


def _dearest(view: RunView, history: History) -> Facts:
    """Where the bill went; nothing for a rehearsal, in which nothing was trained."""
    found = spent(history, view.state.ranking()) if not view.record.table else None
    if found is None:
        return []
    facts = [
        (
            "the dearest tenth of the nets",
            f"{found.nets:,} of {found.of:,}, each with more than {found.max_macs:,} multiply-accumulates: "
            f"{found.time_share:.0%} of the time, {found.macs_share:.0%} of the multiply-accumulates",
        )
    ]
    if found.best is not None:
        place = "the best of all" if found.place == 1 else f"number {found.place:,} of all"
        facts.append(("the best of them", f"{shown_reward(found.best)}, {place}"))
    if hasattr(view.state.settings.space, LIMIT):
        facts.append((f"with space.{LIMIT}={found.max_macs}", _saved(found)))
    return facts


def _saved(found: Spent) -> str:
    lost = ", ".join(f"number {place} ({trial.trial})" for place, trial in found.lost)
    return f"{_duration(finite(found.seconds))} would have been saved, less the cost of other nets in their place. " + (
        f"Lost of the ten best nets: {lost}." if lost else "None of the ten best nets is lost."
    )


def _versions(view: RunView, history: History, best: TrainingResult | None) -> Facts:
    record, state = view.record, view.state
    devices = Counter(item.trial.device or "unknown" for item in history.trained)
    facts = [
        ("begun", record.created_at),
        ("metaqnn-orch, at the beginning", record.version),
        ("metaqnn-orch, last session", state.opened.version if state.opened else "-"),
        ("sessions", f"{history.sessions}"),
        ("dataset", f"{record.dataset.name}-{record.dataset.digest}"),
        ("its source", record.info.source),
        *([] if record.is_stand_in else [(f"its {_example(record)}s", _split(record))]),
        (
            "devices",
            ", ".join(f"{one_line(name, 80)} ({amount(count, 'net')})" for name, count in devices.most_common(5)),
        ),
        ("journal", amount(view.position, "entry", "entries")),
        ("Q-table, sha256" if isinstance(state.searcher, QLearning) else "all that was told, sha256", state.beliefs()),
    ]
    trained = best.versions if best is not None else {}
    return facts + [(f"{name}, for the best net", version) for name, version in sorted(trained.items())]


def _split(record: RunRecord) -> str:
    info = record.info
    return f"{info.train:,} for training, {info.validation:,} for validation, {info.test:,} for testing"


def _another(run: str) -> str:
    """The name of another run: under the same name, the same command would go on with this one."""
    return f"{run[: MAX_NAME - len(_AGAIN)]}{_AGAIN}"


def _example(record: RunRecord) -> str:
    """What one example of its dataset is called."""
    return "example" if record.info.image_size is None else "image"


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} s"
