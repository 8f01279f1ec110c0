"""What the searcher believes after the beginning of a design, what it would choose there, and what was trained
there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from math import isfinite
from typing import Any, NamedTuple

from metaqnn_orch.control.faults import faults_of
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.control.without_plugins import Readable
from metaqnn_orch.errors import BadInput
from metaqnn_orch.reporting.findings import findings_of
from metaqnn_orch.search.searcher import Belief, Finding
from metaqnn_trainer.spaces.base import IllegalDesign


class Move(NamedTuple):
    """One legal move."""

    layer: str
    """The move; in the cnn space, a layer."""
    q_value: float | None
    """The value that the searcher gives the move, for Q-learning its Q-value; None where it gives none."""
    updates: int | None
    """Number of updates of the value, where the searcher counts them."""
    probability: float | None
    """Probability that the searcher chooses the move next, where it is known."""
    is_best: bool
    """Whether the searcher values no other move more."""
    completion: str | None
    """The design to which the move leads if the best move follows each time; among tied moves, the first."""
    trained: int
    """Number of trained designs with this beginning."""
    best_trained: str | None
    """The best of them; None where there is none."""
    best_reward: float | None
    """Reward of the best of them; the mean over its trainings where it is confirmed."""
    best_accuracy: float | None
    """Validation accuracy of its first training, where `accuracy` is a measure."""


class Explanation(NamedTuple):
    """The explanation of one state."""

    after: str
    """The beginning of a design that is explained."""
    epsilon: float | None
    """Epsilon for the next net; None for a method without one, and where the settings list the nets."""
    moves: list[Move]
    """The moves, the best first, in the order of the space among equals. There are none where the design is
    complete.
    """
    choice: str
    """What the searcher would choose, in words."""
    trained: int
    """Number of trained designs with this beginning."""
    best_trained: str | None
    """The best of them; None where there is none."""
    best_reward: float | None
    """Reward of the best of them; the mean over its trainings where it is confirmed."""
    best_accuracy: float | None
    """Validation accuracy of its first training, where `accuracy` is a measure."""
    findings: list[Finding]
    """What the searcher has learned of the space as a whole; only where no beginning was asked for."""


class _Told(NamedTuple):
    """A design that the searcher was told of, as a sequence of moves."""

    moves: Sequence[Any]
    trial: Trial


def explain(state: RunState, beginning: str) -> Explanation:
    """The explanation of the state after a beginning. Where the searcher is not installed here, it is what was trained
    there.

    Raises:
        BadInput: the space of the run does not hold the beginning.
        PluginsMissing: the space is not installed here.
        NotationError: the text is no beginning of a design.
    """
    space = state.space
    prefix = space.beginning(beginning)
    after = space.text(prefix)
    try:
        here = space.after(after)
        legal = {str(move): move for move in space.legal(here)} if here is not None else {}
        with faults_of(state.settings.search.method, "explaining"):
            beliefs, choice = state.searcher.explain(after, state.known)
            beliefs = [_checked(belief, legal) for belief in beliefs]
        if isinstance(state.settings, Readable):
            choice = str(state.settings.lack)
    except IllegalDesign as error:
        raise BadInput(f"{after} is not in the space of the run: {error}") from None
    ended = [trial for trial in state.trials.values() if trial.reward is not None and not trial.confirms]
    told = [_Told(space.parse(trial.net), trial) for trial in ended]
    told = [one for one in told if one.moves[: len(prefix)] == prefix]
    moves = [_move(belief, [one for one in told if one.moves[len(prefix)] == legal[belief.move]]) for belief in beliefs]
    best = _best(told)
    return Explanation(
        after, state.epsilon, moves, str(choice), len(told), *_net_and_worth(best), [] if prefix else findings_of(state)
    )


def _checked(belief: Belief, legal: Collection[str]) -> Belief:
    """The belief, in plain types: it may come from a plug-in.

    Raises:
        TypeError, ValueError: it is about no legal move, or a number is none.
    """
    if belief.move not in legal:
        raise ValueError(f"{belief.move!r} is not one of the moves that may follow")
    value, updates, probability = (None if number is None else float(number) for number in belief[1:4])
    if not all(number is None or isfinite(number) for number in (value, updates, probability)):
        raise ValueError(f"what it says of {belief.move} is not finite")
    completion = None if belief.completion is None else str(belief.completion)
    count = None if updates is None else int(updates)
    return Belief(belief.move, value, count, probability, bool(belief.is_best), completion)


def _move(belief: Belief, told: Sequence[_Told]) -> Move:
    return Move(
        belief.move,
        belief.value,
        belief.updates,
        belief.probability,
        belief.is_best,
        belief.completion,
        len(told),
        *_net_and_worth(_best(told)),
    )


def _best(told: Iterable[_Told]) -> Trial | None:
    """The best trial whose net was trained: a confirmed one, if there is any; the first told among equals."""
    trained = (trial for _, trial in told if trial.was_trained)
    return max(trained, key=lambda trial: (trial.is_confirmed, trial.worth), default=None)


def _net_and_worth(trial: Trial | None) -> tuple[str | None, float | None, float | None]:
    return (trial.net, trial.worth, trial.val_accuracy) if trial else (None, None, None)
