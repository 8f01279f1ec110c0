"""What each end of an attempt costs its trial, how often it may happen, and how long the next attempt waits. Pure.

| end | what follows |
|---|---|
| a result that can be trusted | the trial is told: completed, untrainable, too large, timed out, stopped early |
| disrupted, false start | free, `execution.free_attempts` times |
| cut off | free like a disruption where any trial of the run ever reached the store; else it is charged |
| no device | free five times: the fault is a node's, and others are preferred the next time |
| no result | free once: a node that was restarted may have forgotten a failure |
| crashed, refused | charged |
| unequipped | free, `execution.free_attempts` times: what is wrong or missing is so for every net |
| hopeless | the trial is abandoned at once |

Three unequipped attempts in a row stop a run that has trained nothing, and put the brake on in any other.

What is free no longer is charged. A trial that was charged more than `execution.retries` times is abandoned. While the
brake is on (control/brake.py), nothing is charged. The seconds of every attempt count for the budget, free or not, and
where that is used up no further attempt begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from metaqnn_orch.launchers.base import Phase

Lost = Literal[
    Phase.DISRUPTED,
    Phase.FALSE_START,
    Phase.CUT_OFF,
    Phase.NO_DEVICE,
    Phase.NO_RESULT,
    Phase.CRASHED,
    Phase.REFUSED,
    Phase.UNEQUIPPED,
    Phase.HOPELESS,
]
"""How an attempt can end without a result. The journal, `status`, `trials` and reports say it by the phase's value."""

COUNTS_AS_A_CRASH: Final = "; it counts as a crash, after "  # begins a remark behind the reason
EAGER_ATTEMPTS: Final = 3  # these begin at once; further ones wait longer and longer
LONGEST_PAUSE: Final = 300.0  # seconds

_FREE: Final[Mapping[Phase, int | None]] = {  # free so often per trial; None: as often as the settings say
    Phase.DISRUPTED: None,
    Phase.FALSE_START: None,
    Phase.CUT_OFF: None,
    Phase.UNEQUIPPED: None,
    Phase.NO_DEVICE: 5,
    Phase.NO_RESULT: 1,
}


class Charge(NamedTuple):
    """The charge of one end to its trial."""

    charged: bool
    abandoned: bool
    used_up: bool = False
    """Whether it was charged only because the free attempts were used up."""


def cost(
    end: Phase, free: Mapping[str, int], charged: int, *, free_attempts: int, retries: int, store_reached: bool
) -> Charge:
    """The charge for this end. `free` and `charged` count the trial's earlier lost attempts: the free ones by their
    ends, the others together. `store_reached`: whether any trial of the run ever delivered to the store.
    """
    most = _FREE.get(end, 0)
    if end is Phase.CUT_OFF and not store_reached:
        most = 0  # the store's address is perhaps wrong
    if sum(free.values()) < free_attempts and (most is None or free.get(end, 0) < most):
        return Charge(charged=False, abandoned=False)
    return Charge(True, end is Phase.HOPELESS or charged + 1 > retries, used_up=most != 0)


def pause_before(attempt: int) -> float:
    """Seconds that this attempt (from 1) of a trial waits after the end of the one before. Attempts that were lost
    while the brake was on are not counted.
    """
    late = attempt - EAGER_ATTEMPTS
    return min(LONGEST_PAUSE, 2.0 ** min(late, 16)) if late > 0 else 0.0
