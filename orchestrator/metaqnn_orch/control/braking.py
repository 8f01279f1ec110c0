"""A session's brake: when it is put on and released, and which attempt is the next probe. What it decides is in the
journal (Braked, Released), so the next session goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from metaqnn_orch.control.attempts import Attempts, waiting_of
from metaqnn_orch.control.brake import LAST_PROBES, next_probe, wants_another
from metaqnn_orch.control.events import Braked, Event, Released
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Surroundings
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.launchers.base import Observation, Phase


class Braking:
    """Puts the brake of a run on, and releases it."""

    def __init__(
        self,
        state: RunState,
        attempts: Attempts,
        parallel: int,
        surroundings: Surroundings,
        emit: Callable[[Event], None],
    ) -> None:
        self._state = state
        self._attempts = attempts
        self._parallel = parallel
        self._world = surroundings
        self._emit = emit
        self._brake_after = state.settings.execution.brake_after
        self._next = 0.0  # when the next probe may begin: a session that finds the brake on begins with one

    @property
    def is_on(self) -> bool:
        return self._state.braked is not None

    @property
    def trouble(self) -> str:
        """What the run waits for; empty where the brake is not on."""
        return self._state.streak.in_words() if self.is_on else ""

    def lost(self, cause: str, *, probe: bool, observations: Mapping[str, Observation]) -> bool:
        """Take note of an attempt that was lost, which the state has taken in. `cause` was the streak's before, and
        `probe` says whether the attempt was one. Returns whether the brake was put on just now.
        """
        state, streak = self._state, self._state.streak
        if self.is_on:
            if probe and streak.cause != cause:
                self.release(f"an attempt ended in another way: {streak.kind}: {streak.detail}"[:400])
            elif probe:
                self._wait()
            return False
        if not state.has_trained or not streak.puts_on(self._brake_after, len(state.in_flight)):
            return False
        waiting = {trial.trial for trial in waiting_of(state.in_flight, observations)}
        under_way = {name: trial.attempt for name, trial in state.in_flight.items() if name not in waiting}
        self._emit(Braked(at=self._world.now(), given_back=dict(streak.charged), under_way=under_way))
        self._wait()
        return True

    def told(self, trial: str) -> None:
        """Take note of a result."""
        if self.is_on:
            self.release(f"trial {trial} delivered its result")

    def consider(self, observations: Mapping[str, Observation]) -> None:
        """Release the brake if a probe has outlived what it probes, or the settings want no brake any more."""
        if not self.is_on:
            return
        if not self._brake_after:
            self.release("execution.brake_after is 0")
            return
        for trial in self._probes(observations):
            seen = observations[trial.trial]
            ran = self._attempts.running_for(trial.trial) if seen.phase is Phase.RUNNING else 0.0
            if ran > self._state.streak.outlived:
                self.release(f"trial {trial.trial} has run for {ran:.0f} s, longer than those that ended")
                return

    def probe(
        self, waiting: Sequence[Trial], observations: Mapping[str, Observation], propose: Callable[[], list[Trial]]
    ) -> list[Trial]:
        """The trial with which it is tried now whether it is over, if it is time to; `propose` proposes a new one."""
        state, streak = self._state, self._state.streak
        if self._world.monotonic() < self._next or self._probes(observations):
            return []
        names = [trial.trial for trial in waiting]
        if wants_another(names, streak, len(state.in_flight), self._parallel):
            if proposed := propose():
                return proposed[:1]
            blamed = bool(names) and not streak.spares_nets
            if blamed and streak.probes >= max(LAST_PROBES, 2 * len(state.in_flight)):
                self.release("no other net is left to try it with, so these nets are to blame", blamed=True)
                return []
        chosen = next_probe(names, streak)
        return [state.in_flight[chosen]] if chosen is not None else []

    def release(self, why: str, *, blamed: bool = False) -> None:
        self._emit(Released(at=self._world.now(), why=why, blamed=blamed))
        self._attempts.hurry(self._state.in_flight)

    def _probes(self, observations: Mapping[str, Observation]) -> list[Trial]:
        """The probes that are under way."""
        state = self._state
        waiting = {trial.trial for trial in waiting_of(state.in_flight, observations)}
        return [
            trial
            for name, trial in state.in_flight.items()
            if name not in waiting and state.is_probe(name, trial.attempt)
        ]

    def _wait(self) -> None:
        self._next = self._world.monotonic() + self._state.streak.pause
