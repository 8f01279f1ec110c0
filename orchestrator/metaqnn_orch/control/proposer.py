"""Decides which trials begin: the designs that the searcher proposes, and when it has ended, those that confirm its
best.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from metaqnn_orch.control import budget
from metaqnn_orch.control.budget import Limit
from metaqnn_orch.control.confirmation import is_due, is_under_way, next_repetition, reserved, shortlist
from metaqnn_orch.control.events import Event, Proposed
from metaqnn_orch.control.proposals import as_event
from metaqnn_orch.control.queue import HandQueue
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Outcome
from metaqnn_orch.control.trial import Trial
from metaqnn_trainer.store.base import Store

FRUITLESS_PROPOSALS: Final = 2_000  # proposals in a row without a new net: this epsilon finds no more
REPEATS_IN_FLIGHT: Final = 20  # per call, or one for each free place: a greedy agent repeats nets that are in flight


class Proposer:
    """Proposes the trials of one session."""

    def __init__(
        self,
        *,
        record: RunRecord,
        state: RunState,
        store: Store,
        parallel: int,
        together: int,
        goal: int,
        now: Callable[[], str],
        monotonic: Callable[[], float],
        emit: Callable[[Event], None],
    ) -> None:
        """So many trials begin `together`, as the launcher wants. `emit` has the state take in an event, and writes it
        to the journal before a trial of it is launched.
        """
        self._record = record
        self._state = state
        self._store = store
        self._parallel = parallel
        self._together = together
        self._goal = goal
        self._now = now
        self._emit = emit
        self._queue = HandQueue(store, record, state, monotonic)
        self._budget = state.settings.budget
        self._confirm = state.settings.confirm
        self._ends_at: Limit | None = None  # why no further design is proposed
        self._cut: Limit | None = None  # why the best are not confirmed any further
        self._exhausted = False

    @property
    def limit(self) -> Limit | None:
        """The limit that keeps trials from beginning, if any does."""
        return self._cut or self._ends_at

    def propose(self, *, one: bool = False) -> list[Trial]:
        """Fill the free places with new trials, which are returned; or propose `one` trial beyond them."""
        state, self._cut = self._state, None
        if not (self._confirm.top and is_under_way(state)):
            proposed = [] if self._exhausted and not state.in_flight else self._search(one)
            if state.in_flight or self._over() is None or not is_due(state, self._confirm):
                return proposed
            self._emit(shortlist(self._store, self._record, state, self._confirm, self._now()))
        return self._repeat(one)

    def withheld(self) -> Limit | None:
        """The limit that keeps further attempts of the trials in flight from beginning. What is in flight when the
        target is reached may be the best, or confirm it: then only the budget counts.
        """
        over = budget.exceeded if self._confirm.top else budget.limit
        return over(self._state, self._budget, self._now(), further=0)

    def settle(self) -> None:
        """Remove what was taken from the queue. It is called when everything that was decided is written."""
        self._queue.settle()

    def end(self) -> Outcome | None:
        """Why there is nothing left to do, where no trial is in flight; None where there is."""
        over = self._over()
        if self._confirm.top and (is_under_way(self._state) or (over and is_due(self._state, self._confirm))):
            return Outcome(self._cut.reason) if self._cut is not None else None
        return over

    def _over(self) -> Outcome | None:
        """Why the searcher proposes no further design, if it does not."""
        if self._state.unique >= self._goal:
            return Outcome.GOAL
        if self._exhausted:
            return Outcome.EXHAUSTED
        return Outcome(self._ends_at.reason) if self._ends_at is not None else None

    def _most(self, left: int) -> int:
        """How many trials may be in flight, if they begin `together`: none begins while so many places are not free.
        If only `left` trials are left to begin, and these are fewer, so many places are enough.
        """
        flying = len(self._state.in_flight)
        free = self._parallel - flying
        return self._parallel if left < self._together and left <= free else flying + free - free % self._together

    def _search(self, one: bool) -> list[Trial]:
        """Propose new nets, first those that people put into the queue; nets that the searcher proposed again meanwhile
        are recorded.
        """
        state = self._state
        step, fruitless, repeats = state.step, 0, 0
        patience = max(REPEATS_IN_FLIGHT, self._parallel - len(state.in_flight))
        self._ends_at = None
        proposed: list[Trial] = []
        goal = self._goal + sum(bool(trial.confirms) for trial in state.in_flight.values())
        flying = len(state.in_flight)
        most = flying + 1 if one else self._most(goal - state.unique - flying)
        has_room = flying < most and state.unique + flying < goal
        by_hand = self._put_in(now=goal - state.unique <= most) if has_room else []  # before the last places are taken
        while len(state.in_flight) < most and state.unique + len(state.in_flight) < goal:
            room = reserved(state, self._confirm)
            self._ends_at = budget.limit(state, self._budget, self._now(), reserved=room)
            if self._ends_at is not None:
                break
            if by_hand:
                key, put_in = by_hand.pop(0)
                self._queue.took(key)
                self._emit(put_in)
                proposed.append(state.in_flight[put_in.trial])
                continue
            epsilon = state.epsilon
            proposal = state.propose(step) if fruitless < FRUITLESS_PROPOSALS else None
            if proposal is None:
                by_hand, fruitless = self._put_in(now=True), 0
                self._exhausted = not by_hand
                if self._exhausted:
                    break
                continue
            event = as_event(self._store, self._record, state, step, epsilon, proposal)
            known = state.trials.get(event.trial)
            if known is None or known.state != "abandoned":
                self._emit(event)
            if known is None:
                proposed.append(state.in_flight[event.trial])
            step += 1
            fruitless = 0 if known is None else fruitless + 1
            repeats += known is not None and known.state == "in_flight"
            if repeats >= patience:
                break
        return proposed

    def _put_in(self, *, now: bool) -> list[tuple[str, Proposed]]:
        """What people put into the queue, as far as a look that is a few seconds old tells, or as it is `now`."""
        return self._queue.look(now=now) if not self._state.settings.nets else []

    def _repeat(self, one: bool) -> list[Trial]:
        """Begin to repeat trials of the shortlist."""
        state = self._state
        proposed: list[Trial] = []
        most = len(state.in_flight) + 1 if one else self._most(self._together)
        while len(state.in_flight) < most and (event := next_repetition(self._record, state)) is not None:
            self._cut = budget.exceeded(state, self._budget, self._now())
            if self._cut is not None:
                break
            self._emit(event)
            proposed.append(state.in_flight[event.trial])
        return proposed
