"""The rules by which a session gives its run up: so many trials in a row are abandoned that their designs cannot be the
cause; or trainers say that what every net asks for is wrong, or missing, which costs no trial. Pure.
"""

from __future__ import annotations

from typing import Final

from metaqnn_orch.control.brake import ADVICE, HOPELESS_ATTEMPTS, Streak
from metaqnn_orch.control.ingest import Refused
from metaqnn_orch.control.state import RunState, nothing_worked
from metaqnn_orch.errors import RunFailed
from metaqnn_orch.launchers.base import Phase
from metaqnn_trainer.contract.text import amount

HOPELESS_TRIALS: Final = 3  # before any was told, or in a row where others would end the same
ABANDONED_TRIALS: Final = 10  # in a row for any reason, or `parallel` in a row if that is more


class Abandonments:
    """Counts the trials that a session has abandoned since the last trial was told."""

    def __init__(self, state: RunState, parallel: int, again: str) -> None:
        """`again` is the command that goes on with the run."""
        self._state = state
        self._again = again
        self._most = max(ABANDONED_TRIALS, parallel)
        self._before = state.abandoned
        self._hopeless = self._in_a_row = 0
        self._advice = ""
        self._lacks = False  # whether what every net asks for was wrong, or missing, in an attempt of this session
        self._unmet = ""  # why the objective can have no value, where the first result shows it

    def lost(self, end: Phase, *, ours: bool) -> None:
        """Note that an attempt was lost. `ours`: this session began it, with what is installed now."""
        self._lacks |= ours and end is Phase.UNEQUIPPED

    def add(self, end: Phase) -> None:
        """Count another abandoned trial; its last attempt ended with `end`."""
        self._in_a_row += 1
        self._advice = ADVICE.get(end, "")
        self._hopeless += end in (Phase.HOPELESS, Phase.REFUSED)

    def refused(self, result: Refused) -> Phase:
        """How an attempt ended whose result was refused. If the objective needs a measure that the first net that
        learned anything does not have, no other one will have it: then no net is to blame, and this is noted.
        """
        learned = any(trial.state in ("completed", "stopped_early") for trial in self._state.trials.values())
        if not result.lacks_measure or learned:
            return Phase.CRASHED
        self._unmet = result.reason
        return Phase.UNEQUIPPED

    def clear(self) -> None:
        """A trial was told, or the brake was put on."""
        self._hopeless = self._in_a_row = 0
        self._lacks = False

    def failure(self, *, ended: bool) -> RunFailed | None:
        """The reason to give the run up, if there is one. `ended`: no trial is left to train anyway."""
        if self._unmet:
            return RunFailed(
                f"no result of this run can be used: {self._unmet}",
                hint="an objective belongs to its run: start another one, --run OTHER, and name one of these measures",
            )
        streak = self._state.streak
        if self._lacks and streak.spares_nets and streak.attempts >= HOPELESS_ATTEMPTS and self._state.braked is None:
            return self._lacking(streak)
        abandoned = self._state.abandoned - self._before
        if abandoned >= HOPELESS_TRIALS and not self._state.told:
            return self._failed(f"{abandoned} trials were abandoned, and none was trained")
        if self._hopeless >= HOPELESS_TRIALS or self._in_a_row >= self._most:
            count = max(self._hopeless, self._in_a_row)
            return self._failed(f"{count} trials in a row were abandoned")
        if ended and nothing_worked(self._state):
            all_of_them = self._state.abandoned
            were = "the only trial was" if all_of_them == 1 else f"all {all_of_them} trials that ended were"
            return self._failed(f"{were} abandoned, and none was trained")
        return None

    def _lacking(self, streak: Streak) -> RunFailed:
        last = amount(streak.attempts, "attempt")
        what = f"what every net of this run asks for was wrong, or missing, in the last {last}"
        none = "" if self._state.told else ", and none was trained"
        return RunFailed(
            f"{what}{none}; the last one: {streak.detail}",
            hint=f"{ADVICE[Phase.UNEQUIPPED]}. No net is lost: {self._again} goes on with the same ones",
        )

    def _failed(self, what: str) -> RunFailed:
        trouble = [trial.trouble for trial in self._state.trials.values() if trial.state == "abandoned"]
        next_step = (
            "repair the cause, then start again: other nets are tried, abandoned ones are not. Where a setting of the "
            "task, the space or the recipe is the cause, it is another run: --run OTHER"
        )
        return RunFailed(f"{what}; the last one: {trouble[-1]}", hint=f"{self._advice} {next_step}".lstrip())
