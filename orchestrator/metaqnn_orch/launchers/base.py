"""The launcher's protocol. One behaviour suite (tests/launchers/test_launchers.py) says what each launcher promises."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from metaqnn_trainer.contract.messages import TrainerOptions, TrainingRequest
from metaqnn_trainer.contract.result import ExitCode


class Phase(StrEnum):
    """Where a launched attempt stands, or how it ended. What an end costs, control/ends.py says."""

    PENDING = "pending"  # accepted, not yet running; the detail says why
    RUNNING = "running"
    DELIVERED = "delivered"  # ended, and says that a result is there
    DISRUPTED = "disrupted"  # ended through no fault of its own: preempted, evicted, its node lost
    FALSE_START = "false start"  # never began: what its image begins with cannot be started
    CUT_OFF = "cut off"  # did not reach the store
    NO_DEVICE = "no device"  # was given a GPU and found none that works
    NO_RESULT = "no result"  # said that a result is there, and none is
    CRASHED = "crashed"  # any other end without a result
    REFUSED = "refused"  # the store will not take what it made
    HOPELESS = "hopeless"  # ended without a result, and would end so again


NO_OPTIONS: Final = TrainerOptions()

BY_EXIT_CODE: Final[Mapping[int, Phase]] = {
    int(ExitCode.DELIVERED): Phase.DELIVERED,
    int(ExitCode.PREEMPTED): Phase.DISRUPTED,
    int(ExitCode.STORE): Phase.CUT_OFF,
    int(ExitCode.DEVICE): Phase.NO_DEVICE,
    int(ExitCode.STORE_REFUSED): Phase.REFUSED,
    int(ExitCode.BAD_REQUEST): Phase.HOPELESS,
    int(ExitCode.DATASET): Phase.HOPELESS,
}
"""What a trainer says by its exit code; every other one is a crash."""


class Observation(NamedTuple):
    """What a launcher knows of one trial."""

    attempt: int
    phase: Phase
    detail: str = ""
    seconds: float = 0.0
    """For which it ran, as far as the launcher knows; it may have ended while nobody looked on."""


class Launcher(Protocol):
    """Starts, watches and stops trials. Identity is the trial id: what is there already is not started twice."""

    @property
    def name(self) -> str: ...

    @property
    def parallel(self) -> int:
        """Trials in parallel: how many are in training at the same time."""
        ...

    @property
    def outlives_us(self) -> bool:
        """Whether trials go on, and deliver, after the orchestrator's process has ended."""
        ...

    @property
    def devices(self) -> float:
        """GPUs that a trial holds while it runs, or its share of one; without a GPU the same of a worker."""
        ...

    @property
    def options(self) -> TrainerOptions:
        """What every trainer is told here: how long it has, how many GPUs it was given."""
        ...

    @property
    def trouble(self) -> str:
        """What keeps anything more from running here, in one line, for as long as it lasts; empty when nothing does.
        Launching pauses meanwhile, and nothing is lost."""
        ...

    def launch(self, request: TrainingRequest, attempt: int) -> None:
        """Start `attempt` (from 1) of a trial whose request.json lies in the store. Launching the same attempt of a
        trial that is already there changes nothing.

        Raises:
            LauncherError: nothing can be launched here; trying another trial would not help.
        """
        ...

    def observe(self) -> Mapping[str, Observation]:
        """Every trial that this launcher knows, by trial id: the latest attempt. Ended ones stay until forgotten."""
        ...

    def has_news(self) -> bool:
        """Whether the next look will show something new, which is a reason to look early. Who cannot tell says no."""
        ...

    def cancel(self, trial: str) -> None:
        """Stop the trial if it runs, and forget it. Unknown trials are no error."""
        ...

    def close(self) -> None:
        """Give back what the launcher holds on this machine. Work that runs elsewhere goes on."""
        ...
