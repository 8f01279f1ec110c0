"""What the tests of launchers share: requests, patience, and for each launcher a way to make a trial end as wished."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from typing import Final, Protocol

from metaqnn_orch.launchers.base import Launcher, Observation, Phase
from metaqnn_trainer.contract.messages import DatasetRef, Recipe, TrainingRequest, TrialSpec

PATIENCE: Final = 180.0  # seconds; reached only when something is broken
ENDED: Final = tuple(phase for phase in Phase if phase not in (Phase.PENDING, Phase.RUNNING))

_seeds = count()


class Harness(Protocol):
    """One kind of launcher under test."""

    @property
    def launcher(self) -> Launcher: ...

    def request(self, fate: str) -> TrainingRequest:
        """A trial of its own that "delivers", "hangs" or "crashes"."""
        ...


def make_request(run: str, net: str = "[SM(10)]") -> TrainingRequest:
    """A request that no other call gives."""
    spec = TrialSpec(
        net=net,
        dataset=DatasetRef(name="digits", digest="0" * 16),
        image_size=8,
        recipe=Recipe(seed=next(_seeds)),
    )
    return TrainingRequest(run=run, trial=spec.trial_id(), spec=spec)


def until(happened: Callable[[], bool]) -> None:
    """Wait for it, and fail if it does not happen."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def until_ended(launcher: Launcher, request: TrainingRequest) -> Observation:
    """Follow the first attempt of a trial to its end, as the loop does: one that nobody knows is launched again."""
    deadline = time.monotonic() + PATIENCE
    while (seen := launcher.observe().get(request.trial)) is None or seen.phase not in ENDED:
        assert time.monotonic() < deadline, f"{seen} instead of an end"
        if seen is None:
            launcher.launch(request, 1)
        time.sleep(0.005)
    return seen


def until_phase(launcher: Launcher, request: TrainingRequest, *phases: Phase) -> Observation:
    """Wait until the trial stands in one of `phases`, and give what is seen then."""
    deadline = time.monotonic() + PATIENCE
    while (seen := launcher.observe().get(request.trial)) is None or seen.phase not in phases:
        assert time.monotonic() < deadline, f"{seen} instead of one of {phases}"
        time.sleep(0.005)
    return seen
