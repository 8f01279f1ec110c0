"""Bundles: which trials share a Job, and what the state of a Job and the progress of its trainer mean for each of them.
Pure.

The trainer takes the trials of a bundle in their order. So when its Job ends, this is the end of the first trial that
has not ended by itself. The trials behind it have not begun: they are no longer observed, and can be launched again.
Every end of a Job is thus the end of at least one trial, and costs what it would cost that trial alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from metaqnn_orch.errors import LauncherError, one_line
from metaqnn_orch.launchers.base import BY_EXIT_CODE, Observation, Phase
from metaqnn_orch.launchers.kubernetes.names import Identity
from metaqnn_orch.launchers.kubernetes.status import Status, in_words
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.work import OrderEnd

LINGER: Final = 1.0  # seconds that trials wait for others with which they would fill a Job

UNDER_WAY: Final = (Phase.PENDING, Phase.RUNNING)
# Ends that a trainer may meet before it has written anything, whether it knows bundles or not.
_SILENT_ENDS: Final = (
    *(ExitCode.STORE, ExitCode.STORE_REFUSED, ExitCode.PREEMPTED, ExitCode.HOST_MEMORY),
    137,
)


class KnownProgress(NamedTuple):
    """What is known of the progress of a bundle's trainer."""

    ended: Mapping[Identity, OrderEnd]
    is_read: bool = False
    """Whether it was ever looked for."""
    heard: bool = False
    """Whether the trainer has ever written any."""
    is_final: bool = False
    """Whether it was read after the trainer had ended."""
    trouble: str = ""
    """Why it cannot be read at present, in one line."""


NO_PROGRESS: Final = KnownProgress({})


def size_of_next(waiting: int, waited: float, room: int, together: int, linger: float = LINGER) -> int:
    """How many of `waiting` trials the next Job gets; 0 while none is to be made.

    There is room for `room` more Jobs, and a full one has `together` trials. A full Job is made at once. Fewer trials
    wait for others, but only until the first of them has `waited` for `linger` seconds; then they are spread over the
    room that there is, so that the last trials of a search do not wait for each other.
    """
    if room < 1 or waiting < 1:
        return 0
    if waiting >= together:
        return together
    return -(-waiting // room) if waited >= linger else 0


def is_over(status: Status) -> bool:
    """Whether the trainer has ended, even if its Job has not."""
    return status.phase not in UNDER_WAY


def observed(
    trials: Sequence[Identity], status: Status, progress: KnownProgress, seconds: float
) -> dict[str, Observation]:
    """What the state of a bundle's Job means for its trials, by id. `seconds` are those of its Pods that have ended.

    A trial that is not in the answer has not begun, and will not.
    """
    seen: dict[str, Observation] = {}
    left = []
    for one in trials:
        end = progress.ended.get(one)
        if end is None:
            left.append(one)
        else:
            phase = BY_EXIT_CODE.get(end.exit_code, Phase.CRASHED)
            detail = "" if phase is Phase.DELIVERED else in_words(end.exit_code, end.reason)
            seen[one.trial] = Observation(one.attempt, phase, detail, end.seconds)
    for number, one in enumerate(left):
        if not progress.is_read or (is_over(status) and not progress.is_final):
            why = f": {progress.trouble}" if progress.trouble else ""
            detail = one_line(f"how far its Job of {len(trials)} is, is being read{why}")
            seen[one.trial] = Observation(one.attempt, Phase.PENDING, detail)
        elif status.phase is Phase.RUNNING and number:
            seen[one.trial] = Observation(one.attempt, Phase.PENDING, f"waits for its turn in a Job of {len(trials)}")
        elif not is_over(status):
            seen[one.trial] = Observation(one.attempt, status.phase, status.detail)
        elif not number:
            own = seconds - sum(end.seconds for end in progress.ended.values())
            seen[one.trial] = Observation(one.attempt, status.phase, status.detail, max(0.0, own))
    return seen


def knows_no_bundles(status: Status, progress: KnownProgress, exit_code: int | None) -> bool:
    """Whether the trainer of a Job ended in a way that shows that it does not know bundles: it began, and ended by
    itself, but wrote no progress.
    """
    if not is_over(status) or not progress.is_final or progress.heard:
        return False
    return exit_code is not None and exit_code not in _SILENT_ENDS


def no_bundles(job: str, trials: int, status: Status, image: str) -> LauncherError:
    """The error about a Job whose trainer does not know bundles."""
    return LauncherError(
        f"job {job} has {trials} trials, but its trainer ended without a word about any of them: "
        f"{status.detail or 'exit code 0'}",
        hint=f"if {image} trains one trial in each process, it needs execution.kubernetes.trials_per_job=1; "
        "docs/trainer.md says how a trainer trains several",
    )


def doubled(jobs: Mapping[str, tuple[str, Collection[Identity]]]) -> set[str]:
    """The Jobs, by uid, that carry a trial which an older Job carries, too. `jobs` holds of each Job that has not ended
    the time of its creation, and its trials that have not ended.

    Two orchestrators at the same time may put the same trial into different bundles, until one of them stops.
    """
    taken: set[Identity] = set()
    found = set()
    for uid, (_, trials) in sorted(jobs.items(), key=lambda job: (job[1][0], job[0])):
        if taken.isdisjoint(trials):
            taken.update(trials)
        else:
            found.add(uid)
    return found
