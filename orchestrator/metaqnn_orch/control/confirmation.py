"""Confirmation: before a winner is named, the best few are trained again with other seeds, and the mean decides.

One training alone picks a lucky net as easily as a good one. So when the search pauses or ends, a shortlist is written
to the journal, and each of its trials is repeated. The repetitions are trials of their own, but no designs of their
own. The searcher is told of the first training of a design alone: if the run goes on, it proposes what it would have
proposed without confirmation. Only when it chooses the next shortlist is it handed the means.
"""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import Any, Final, NamedTuple

from metaqnn_orch.control.events import Proposed, Shortlisted
from metaqnn_orch.control.faults import faults_of
from metaqnn_orch.control.proposals import weights_of
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import SearcherFailed, one_line
from metaqnn_orch.search.searcher import SEARCHERS, Confirm
from metaqnn_orch.settings.blame import BLAME_HINT
from metaqnn_trainer.store.base import Store

_SEED_BYTES: Final = 6  # every reader of JSON keeps integers of this size
_SEEDS: Final = 100  # seeds that are tried for one repetition: a space may decide the seed itself


class Repeated(NamedTuple):
    """How much of the last shortlist is confirmed."""

    done: int
    """Number of repetitions that have ended."""
    all: int
    """Number of all repetitions."""


def progress(state: RunState) -> Repeated | None:
    """How far the confirmation of the last shortlist has come; None where there is no shortlist."""
    if state.shortlist is None:
        return None
    repeats = state.shortlist.repeats
    listed = [state.trials[name].confirmations for name in state.shortlist.trials]
    ended = (sum(trial.state != "in_flight" for trial in repetitions) for repetitions in listed)
    return Repeated(sum(min(number, repeats) for number in ended), repeats * len(listed))


def is_under_way(state: RunState) -> bool:
    """Whether some of the last shortlist is in training again, or is still to be."""
    return (found := progress(state)) is not None and found.done < found.all


def is_due(state: RunState, confirm: Confirm) -> bool:
    """Whether a winner cannot be named yet: the last shortlist is not confirmed, or was chosen from fewer designs or
    with other settings.
    """
    if not confirm.top:
        return False
    last = state.shortlist
    chosen = last is not None and (last.top, last.repeats) == confirm and state.shortlisted_after == state.unique
    return not chosen or is_under_way(state)


def is_unconfirmed(state: RunState) -> bool:
    """Whether the best of a run that nobody works on are still to be confirmed, by what its last session was to do."""
    last = state.shortlist
    return is_due(state, state.settings.confirm if last is None else Confirm(last.top, last.repeats))


def still_to_come(state: RunState, confirm: Confirm, designs: int) -> int:
    """Number of repetitions, at most, that are missing when the run has so many designs."""
    if not is_due(state, confirm) and designs <= state.unique:
        return 0
    found = progress(state)
    left = found.all - found.done if found is not None else 0
    return left or min(confirm.top, designs) * confirm.repeats


def reserved(state: RunState, confirm: Confirm) -> int:
    """Number of repetitions for which the budget must have room where one more design begins."""
    return still_to_come(state, confirm, state.unique + len(state.in_flight) + 1)


def shortlist(store: Store, record: RunRecord, state: RunState, confirm: Confirm, at: str) -> Shortlisted:
    """The choice of the trials to repeat, as an event: those that the searcher chooses. It is empty where none learned
    anything, or none can be repeated: without the weights with which it began, a trial would not be the same.

    Raises:
        SearcherFailed: the searcher raised, or chose what was not trained.
        StoreError: the store did not answer.
    """
    method, found = state.settings.search.method, _candidates(state)
    ranked = [(design, trial.worth) for design, trial in found.items()]
    with faults_of(method, "choosing what to confirm"):
        chosen: list[Any] = [*islice(state.searcher.shortlist(ranked, confirm.top), confirm.top)]
    for design in chosen:
        if not isinstance(design, str) or design not in found:
            raise SearcherFailed(
                f"{SEARCHERS.find(method)} chose {one_line(repr(design))} to confirm, which was not trained",
                BLAME_HINT,
            )
    trials = (found[design] for design in dict.fromkeys(chosen))
    there = (one for one in trials if one.initial is None or weights_of(store, record.run, one.initial.trial))
    able = [trial.trial for trial in there if _repetition(record, state, trial) is not None]
    return Shortlisted(at=at, trials=tuple(able), top=confirm.top, repeats=confirm.repeats)


def next_repetition(record: RunRecord, state: RunState) -> Proposed | None:
    """The next trial that repeats one of the shortlist; None where all were begun. Each is repeated once before any is
    repeated twice, so that the means can be compared wherever the budget ends.
    """
    if state.shortlist is None:
        return None
    listed = [state.trials[name] for name in state.shortlist.trials]
    fewest = min(listed, key=lambda trial: len(trial.confirmations), default=None)
    if fewest is None or len(fewest.confirmations) >= state.shortlist.repeats:
        return None
    return _repetition(record, state, fewest)


def _candidates(state: RunState) -> dict[str, Trial]:
    """For each design that was trained to its end, its best trial, the best design first."""
    trained = [trial for trial in state.ranking() if trial.state in ("completed", "timed_out")]
    found: dict[str, Trial] = {}
    for trial in sorted(trained, key=lambda trial: -trial.worth):
        found.setdefault(trial.net, trial)
    return found


def _repetition(record: RunRecord, state: RunState, trial: Trial) -> Proposed | None:
    """The next repetition of a trial; None where no seed makes another trial of it."""
    seed = trial.recipe.get("seed", state.settings.recipe.seed)
    first = len(trial.confirmations) + 1
    for number in range(first, first + _SEEDS):
        recipe = {**trial.recipe, "seed": _seed(seed, number)}
        name = record.spec(state.settings, trial.net, recipe, trial.initial).trial_id()
        if name not in state.trials:
            return Proposed(
                step=state.step,
                epsilon=None,
                net=trial.net,
                trial=name,
                recipe=recipe,
                initial=trial.initial,
                confirms=trial.trial,
            )
    return None


def _seed(seed: int, number: int) -> int:
    """The seed of a repetition, which depends on the trial's own seed and on the number of the repetition alone."""
    digest = hashlib.sha256(f"{seed}/confirm/{number}".encode()).digest()
    return int.from_bytes(digest[:_SEED_BYTES], "big")
