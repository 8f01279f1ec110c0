"""The times of this session's attempts: when they began, how long they were seen to run, when the next ones are due."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from metaqnn_orch.control.ends import pause_before
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.launchers.base import Observation, Phase
from metaqnn_orch.numbers import seconds_between

_SLACK: Final = 60.0  # seconds that two clocks may differ by, and a little


class Attempts:
    """Times of the attempts, by trial. The wall clock may be set, and the monotonic clock stands still while a machine
    sleeps; so the longer of the two spans is taken for the time that has passed.
    """

    def __init__(self, now: Callable[[], str], monotonic: Callable[[], float], run_began: str) -> None:
        """`now`: the wall clock, ISO 8601. `run_began`: when the run was created, by the clock of the machine that
        created it.
        """
        self._now = now
        self._monotonic = monotonic
        self._run_began = run_began
        self._launched: dict[str, tuple[str, float]] = {}
        self._running: dict[str, tuple[str, float]] = {}
        self._due: dict[str, float] = {}

    def launched(self, trial: str) -> None:
        self._launched.setdefault(trial, self._moment())

    def was_launched(self, trial: str) -> bool:
        """Whether this session launched the trial's current attempt."""
        return trial in self._launched

    def running(self, trial: str) -> None:
        self._running.setdefault(trial, self._moment())

    def ended(self, trial: str) -> float:
        """Seconds for which the attempt was seen to run."""
        began = self._running.pop(trial, None)
        return self._since(*began) if began is not None else 0.0

    def running_for(self, trial: str) -> float:
        """Seconds for which the attempt has been seen to run so far."""
        return self._since(*self._running[trial]) if trial in self._running else 0.0

    def running_seconds(self, trials: Iterable[str]) -> tuple[float, ...]:
        """Seconds for which each of these trials was seen to run; trials that were not seen to run are left out."""
        return tuple(self._since(*self._running[trial]) for trial in trials if trial in self._running)

    def forget(self, trial: str) -> None:
        """Forget the trial: it has ended, and needs no further attempt."""
        for known in (self._launched, self._running, self._due):
            known.pop(trial, None)

    def postpone(self, trial: Trial) -> None:
        """Let the trial's next attempt wait as long as its number demands."""
        self._due[trial.trial] = self._monotonic() + pause_before(trial.lost + 1)

    def hurry(self, trials: Iterable[str]) -> None:
        """Let the next attempts of these trials begin at once: what stood in their way is over."""
        for trial in trials:
            self._due.pop(trial, None)

    def is_due(self, trial: str) -> bool:
        return self._monotonic() >= self._due.get(trial, 0.0)

    def longest(self, trial: str) -> float | None:
        """The longest time in seconds that an attempt of the trial can have taken; None where the clocks do not
        tell.
        """
        launched = self._launched.get(trial)
        if launched is not None:
            return self._since(*launched) + _SLACK
        since = seconds_between(self._run_began, self._now())
        return since + _SLACK if since else None

    def _moment(self) -> tuple[str, float]:
        return self._now(), self._monotonic()

    def _since(self, at: str, moment: float) -> float:
        return max(seconds_between(at, self._now()), self._monotonic() - moment)


def waiting_of(in_flight: Mapping[str, Trial], observations: Mapping[str, Observation]) -> list[Trial]:
    """The trials in flight that are not under way."""
    return [
        trial
        for trial in in_flight.values()
        if (seen := observations.get(trial.trial)) is None or seen.attempt < trial.attempt
    ]


def running_of(in_flight: Mapping[str, Trial], observations: Mapping[str, Observation]) -> list[str]:
    """The trials that are seen to run."""
    return [trial for trial in in_flight if trial in observations and observations[trial].phase is Phase.RUNNING]


def pausing(waiting: Sequence[Trial], due: Sequence[Trial], in_flight: int) -> str:
    """What the run waits for, where every trial in flight pauses before its next attempt; empty otherwise."""
    if not waiting or due or len(waiting) < in_flight:
        return ""
    last = max(waiting, key=lambda trial: trial.attempt)
    many = len(waiting)
    who = "the only trial in training pauses" if many == 1 else f"all {many} trials in parallel pause"
    return f"{who} before {'its' if many == 1 else 'their'} next attempt; the last one ended with: {last.trouble}"
