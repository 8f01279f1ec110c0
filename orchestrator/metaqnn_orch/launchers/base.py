"""The launchers' protocol. One test suite (tests/launchers/test_launchers.py) says what each launcher promises."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from metaqnn_trainer.contract.messages import TrainerOptions, TrainingRequest
from metaqnn_trainer.contract.result import ExitCode


class Phase(StrEnum):
    """The phase of a launched attempt, or how it ended. control/ends.py says what an end costs."""

    PENDING = "pending"  # accepted, not yet running; the detail says why
    RUNNING = "running"
    DELIVERED = "delivered"  # ended, and says that it delivered a result
    DISRUPTED = "disrupted"  # ended through no fault of its own: preempted, evicted, its node lost
    FALSE_START = "false start"  # never began: the first command of its image cannot be started
    CUT_OFF = "cut off"  # did not reach the store
    NO_DEVICE = "no device"  # was given a GPU and found none that works
    NO_RESULT = "no result"  # said that it delivered a result, and there is none
    CRASHED = "crashed"  # any other end without a result
    REFUSED = "refused"  # the store refused what it wrote
    UNEQUIPPED = "unequipped"  # what every net asks for is wrong or missing: a plug-in, an option, the dataset
    HOPELESS = "hopeless"  # ended without a result, and every further attempt would end the same way


NO_OPTIONS: Final = TrainerOptions()

BY_EXIT_CODE: Final[Mapping[int, Phase]] = {
    int(ExitCode.DELIVERED): Phase.DELIVERED,
    int(ExitCode.PREEMPTED): Phase.DISRUPTED,
    int(ExitCode.STORE): Phase.CUT_OFF,
    int(ExitCode.DEVICE): Phase.NO_DEVICE,
    int(ExitCode.STORE_REFUSED): Phase.REFUSED,
    int(ExitCode.BAD_REQUEST): Phase.HOPELESS,
    int(ExitCode.DATASET): Phase.UNEQUIPPED,
    int(ExitCode.UNEQUIPPED): Phase.UNEQUIPPED,
}
"""The phases that a trainer reports by its exit code; every other code is a crash."""


class Observation(NamedTuple):
    """What a launcher knows of one trial."""

    attempt: int
    phase: Phase
    detail: str = ""
    seconds: float = 0.0
    """Seconds for which it ran, as far as the launcher knows; it may have ended earlier, between two looks."""


class Launcher(Protocol):
    """Starts, watches and stops trials. A trial is identified by its id: one that is known is not started twice."""

    @property
    def name(self) -> str: ...

    @property
    def parallel(self) -> int:
        """Trials in parallel: how many are in training at the same time."""
        ...

    @property
    def together(self) -> int:
        """Trials that share what starting takes: the loop begins so many at once, or as many as are left. At most
        `parallel`.
        """
        ...

    @property
    def outlives_us(self) -> bool:
        """Whether trials go on, and deliver their results, after the orchestrator's process has ended."""
        ...

    @property
    def devices(self) -> float:
        """GPUs that a trial holds while it runs, a fraction where several share one; without a GPU, workers in the same
        way.
        """
        ...

    @property
    def options(self) -> TrainerOptions:
        """The options of every trainer of this launcher: its time limit, its number of GPUs."""
        ...

    @property
    def trouble(self) -> str:
        """The reason, in one line, why no further trial can start at present; empty when there is none. Launching
        pauses meanwhile, and no trial is lost.
        """
        ...

    def launch(self, request: TrainingRequest, attempt: int) -> None:
        """Start `attempt` (from 1) of a trial whose request.json is in the store. Launching an attempt of a trial that
        is already known changes nothing.

        Raises:
            LauncherError: no trial can be launched here; trying another trial would not help.
        """
        ...

    def observe(self) -> Mapping[str, Observation]:
        """The latest attempt of every trial that this launcher knows, by trial id. Attempts that ended stay until
        forgotten. A trial that is no longer among them, though nobody cancelled it, never began: the same attempt of it
        has to be launched again.
        """
        ...

    def has_news(self) -> bool:
        """Whether the next `observe` will show something new, so that an early look is worth it; False where it cannot
        tell.
        """
        ...

    def cancel(self, trial: str) -> None:
        """Stop the trial if it runs, and forget it. An unknown trial is no error. Trials that shared a Job with it, and
        have not ended, may have to be launched again.
        """
        ...

    def close(self) -> None:
        """Release what the launcher holds on this machine. Trials that run on other machines go on."""
        ...
