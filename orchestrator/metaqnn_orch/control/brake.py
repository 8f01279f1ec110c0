"""The brake: when attempts of different trials end in the same way, one after another, the nets cannot be the cause.

Then launching pauses, no trial is charged or abandoned, and one attempt at a time, a probe, finds out when it is over.
The journal says when the brake was put on and released, so a session that takes over goes on with it. Pure.

What counts is how an attempt ended and why, without what differs from Pod to Pod. Disruptions are the cluster's
business and count only where a trial's free attempts are used up. A result ends every streak. A run in which no trial
was ever trained has no brake: it fails early, because its settings are probably wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from metaqnn_orch.control.ends import COUNTS_AS_A_CRASH, LONGEST_PAUSE, Lost
from metaqnn_orch.control.events import Braked, Opened
from metaqnn_orch.launchers.base import Phase
from metaqnn_trainer.contract.text import amount

FIRST_PAUSE: Final = 15.0  # seconds between the end of the last attempt and the first probe
LAST_PROBES: Final = 12  # without any other net to try, after which those that end in this way are to blame
FURTHER_TRIALS: Final = 5  # trials that may be proposed as probes, where every trial in flight has ended in this way
HOPELESS_ATTEMPTS: Final = 3  # in a row, where every further attempt of the trial would end in the same way
_OUTLIVING: Final = "kubernetes"  # the launcher whose attempts outlive a session
_OUTLIVED: Final = 120.0  # seconds, at least, after which a probe that still runs shows that it is over

_KEPT: Final = re.compile(r"\b(exit code|code|ended with|signal|status|http|errno) -?\d+")
# The end of a trainer's log may hold how far it came, which says nothing of why it ended.
_PROGRESS: Final = re.compile(r"\brate \S+, epoch \d+/\d+: [^|]*|\battempt \d+: (?:\[[^]]*\]|[^|]*)")
_PARTICULAR: Final = re.compile(r"on (node )?\S+,|\[[^]]*\]|'[^']*'|\"[^\"]*\"|\S*[\d/]\S*")

ADVICE: Final[Mapping[Phase, str]] = {
    Phase.CUT_OFF: "does the store answer trainers, and are their credentials valid?",
    Phase.REFUSED: "what does the store refuse: credentials, quota, size?",
    Phase.NO_DEVICE: "check the GPUs' driver and the device plugin; metaqnn-orch doctor names the nodes",
    Phase.UNEQUIPPED: "install what is missing where trainers run, or in their image (docs/plugins.md; a mended image "
    "needs another tag), or bring the dataset back; a wrong setting of task or space belongs to its run, so begin "
    "another one: --run OTHER",
    Phase.HOPELESS: "do the image, its plug-ins and the dataset fit this run?",
    Phase.FALSE_START: "is the image a trainer's, for this kind of machine?",
}
"""What to look at where trials of all kinds end in this way."""
_LOOK: Final = "were memory, image, driver or settings changed? Correct them and start again: the run goes on"


def cause_of(kind: str, detail: str) -> str:
    """How an attempt ended, without the names and numbers that differ from Pod to Pod, and without how far it came.
    Exit codes stay.
    """
    text = _PROGRESS.sub("", detail.partition(COUNTS_AS_A_CRASH)[0].lower())
    kept = [match[0] for match in _KEPT.finditer(text)]
    rest = _PARTICULAR.sub("#", _KEPT.sub("", text))
    words = [word.strip(":|,;") for word in rest.split()]
    return " ".join([f"{kind}:", *kept, *filter(None, words)])[:300]


@dataclass
class Streak:
    """Attempts in a row that ended in the same way, since the last result."""

    cause: str = ""
    kind: str = ""
    detail: str = ""
    """The last one's reason."""
    since: str = ""
    attempts: int = 0
    probes: int = 0
    """Attempts of them that were made while the brake was on."""
    longest: float = 0.0
    """Seconds for which the longest of them ran."""
    trials: dict[str, int] = field(default_factory=dict)
    """Attempts by trial; the trial that ended last is the last."""
    charged: dict[str, int] = field(default_factory=dict)
    """Attempts that were charged, and not given back, by trial."""
    suspects: list[str] = field(default_factory=list)
    """Trials that ended alike while another net did not: they are charged as usual, and put no brake on."""

    def add(self, at: str, trial: str, kind: Lost, detail: str, seconds: float, *, charged: bool) -> None:
        """Take in an attempt; one that ended in another way begins another streak."""
        cause = cause_of(kind, detail)
        if cause != self.cause:
            self._begin(Streak(cause, kind, since=at, suspects=self.suspects))
        self.detail = detail
        self.attempts += 1
        self.longest = max(self.longest, seconds)
        self.trials[trial] = self.trials.pop(trial, 0) + 1
        if charged:
            self.charged[trial] = self.charged.get(trial, 0) + 1

    def told(self, trial: str, *, probe: bool) -> None:
        """Take in a result, which ends the streak. Where a probe delivered it that had never ended in this way, the
        others are suspects.
        """
        if probe:
            self.suspects = [] if trial in self.trials else [*self.trials]
        self._begin(Streak(suspects=[name for name in self.suspects if name != trial]))

    def released(self, *, blamed: bool) -> None:
        """Take in that the brake was released; with `blamed`, the trials are taken for the cause."""
        if blamed:
            self._begin(Streak(suspects=[*self.trials]))

    def _begin(self, other: Streak) -> None:
        self.__dict__.update(other.__dict__)

    def puts_on(self, brake_after: int, in_flight: int) -> bool:
        """Whether so many attempts put the brake on, where so many trials are in flight."""
        hopeless = self.kind in (Phase.HOPELESS, Phase.REFUSED, Phase.UNEQUIPPED)
        enough = min(brake_after, HOPELESS_ATTEMPTS) if hopeless else brake_after
        if self.spares_nets:  # then it says nothing that other trials ended so, too
            return bool(enough) and self.attempts >= enough
        return bool(enough) and self.attempts >= enough and len(self.trials) >= min(enough, max(2, in_flight))

    @property
    def spares_nets(self) -> bool:
        """Whether no net can be to blame, because the trainer itself says what it lacks."""
        return self.kind == Phase.UNEQUIPPED

    @property
    def pause(self) -> float:
        """Seconds between the end of the last attempt and the next probe."""
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self.probes, 16))

    @property
    def outlived(self) -> float:
        """Seconds after which a probe that still runs has outlived them all."""
        return max(_OUTLIVED, 1.5 * self.longest)

    def in_words(self) -> str:
        """What is wrong, what happens now, and what to do."""
        advice = ADVICE.get(Phase(self.kind), _LOOK) if self.kind else _LOOK
        return (
            f"the last {amount(self.attempts, 'attempt')} ended in the same way, of "
            f"{amount(len(self.trials), 'different trial')}, since {self.since}, the last with {self.kind}: "
            f"{self.detail}. Launching pauses and no trial is charged: one attempt at a time, {self.pause:.0f} s after "
            f"the last, finds out when it is over ({advice})"
        )


def braked_in(session: Opened, before: Opened | None, brake: Braked | None) -> Braked | None:
    """The brake in a new session. Only Jobs outlive a session, and only one that launches Jobs goes on with them: what
    was under way has ended in any other, and each attempt that it begins is a probe.
    """
    goes_on = before is not None and before.launcher == session.launcher == _OUTLIVING
    return brake if brake is None or goes_on else brake.model_copy(update={"under_way": {}})


def next_probe(waiting: Sequence[str], streak: Streak) -> str | None:
    """The trial to probe with: one of those waiting that has not ended in this way, or else the one whose end is the
    longest ago; None where none waits.
    """
    fresh = next((trial for trial in waiting if trial not in streak.trials), None)
    order = list(streak.trials)
    return fresh or min(waiting, key=order.index, default=None)


def wants_another(waiting: Iterable[str], streak: Streak, in_flight: int, parallel: int) -> bool:
    """Whether a new trial should be proposed as the probe: each that waits has ended in this way already."""
    return in_flight < parallel + FURTHER_TRIALS and all(trial in streak.trials for trial in waiting)
