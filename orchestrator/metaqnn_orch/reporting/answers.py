"""What scripts are told of a run and of its trials, as JSON. Fields may be added; none goes, and none changes its
type.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from metaqnn_orch.control.confirmation import Repeated
from metaqnn_orch.control.losses import Spell
from metaqnn_orch.control.trial import TrialState

ShownState = Literal["waiting"] | TrialState
"""The state of a trial as it is shown: waiting means that it is in flight, and nobody works on the run."""
RunStanding = Literal["new", "running", "complete", "exhausted", "out_of_budget", "interrupted"]


class Trainings(TypedDict):
    """How often a trial was trained."""

    trainings: int
    """Number of its trainings."""
    mean_reward: float | None
    """Mean reward of its trainings."""
    confirmed: bool
    """Whether the mean decides its rank."""


class BestTrial(Trainings):
    """The best trial of a run."""

    net: str
    """The net."""
    trial: str
    """Id of the trial."""
    reward: float | None
    """Reward that the searcher was told."""
    val_accuracy: NotRequired[float | None]
    """Validation accuracy, from 0 to 1; only in runs in which accuracy is a measure."""
    measures: dict[str, float]
    """Everything that was measured, by name."""


class RunSummary(TypedDict):
    """A run in a few numbers."""

    run: str
    """Name of the run."""
    state: RunStanding
    """State of the run: interrupted means that nobody works on it, exhausted that no new net was found."""
    method: str | None
    """Method of the search; None where the settings list the nets."""
    epsilon: float | None
    """Epsilon for the next net; None for a method without one, and where the settings list the nets."""
    told: int
    """Number of times that the searcher was told a result, with repeated ones."""
    unique: int
    """Number of different nets that were trained."""
    in_flight: int
    """Number of trials that have begun and not ended; 0 while nobody works on the run."""
    waiting: int
    """Number of trials that have begun and wait for somebody to work on the run; 0 while somebody does."""
    failed: int
    """Number of abandoned trials."""
    attempts_lost: int
    """Number of lost attempts that were charged to their trials."""
    disruptions: int
    """Number of lost attempts that were free."""
    lost: dict[str, int]
    """Number of lost attempts, by how they ended."""
    last_lost: str
    """Why the last attempt was lost; empty where none was."""
    losses: dict[str, Spell]
    """The last spell of lost attempts, by how they ended, the newest last."""
    lost_in_a_row: int
    """Number of lost attempts since the last result."""
    braked_since: str | None
    """Time since which launching pauses, in ISO 8601; None while it does not."""
    estimated: int
    """Number of rewards that a table estimated."""
    stopped_early: int
    """Number of rewards that were predicted, of nets that were stopped early."""
    confirmations: Repeated | None
    """How far the repeated trainings of the best nets have come; None where they are not confirmed."""
    best: BestTrial | None
    """The best trial; None before the first result."""
    goal: int
    """Number of different nets after which the run is complete."""
    dataset: str
    """Name and digest of the dataset."""
    warm_start: str | None
    """Name of the run from whose results the search started."""
    gpu_hours: float
    """Hours of training so far, times the devices of a trial."""
    money: float | None
    """Money spent so far, in `currency`; None where no price is known."""
    currency: str | None
    """Currency of the price, in the words of the settings."""
    wall_clock_hours: float
    """Hours that the search has run, over all sessions."""
    ended_because: str
    """Why the run ended; empty while it has not."""
    holder: str | None
    """The process that works on the run; None where none does."""
    trouble: str
    """What the search waits for, or what the run needs that is not installed; empty where that is nothing."""
    q_digest: str
    """sha256, in hexadecimal digits, of what the searcher believes; empty where a plug-in of the run is missing."""
    journal_position: int
    """Number of the journal's last entry that was read."""


class RunStatus(RunSummary):
    """The state of a run."""

    late_results: int
    """Number of abandoned trials that have a result all the same, which came too late."""
    queued: int
    """Number of nets that a person put into the search, and that were not proposed yet."""


class TrialRow(TypedDict):
    """One trial of a run."""

    trial: str
    """Id of the trial."""
    net: str
    """The net."""
    epsilon: float | None
    """Epsilon with which the net was proposed; None for a method without one."""
    state: ShownState
    """How the trial ended, or that it has not ended; waiting means that it has not, and nobody works on the run."""
    reward: float | None
    """Reward that the searcher was told; None before the result."""
    val_accuracy: NotRequired[float | None]
    """Validation accuracy, from 0 to 1; only in runs in which accuracy is a measure."""
    params: int | None
    """Number of trainable parameters."""
    macs: int | None
    """Multiply-accumulates of one example's way through the net."""
    seconds: float | None
    """Seconds of training of the attempt that gave the result."""
    started: str | None
    """The moment at which the attempt that gave the result began, as ISO 8601; None where it is not known."""
    ended: str | None
    """The moment at which the searcher was told, as ISO 8601; None before the result."""
    attempts: int
    """Number of attempts; 0 where the result was imported."""
    estimated: bool
    """Whether a table estimated the reward from similar nets."""
    measured: float | None
    """Reward of the best epoch of a net that was stopped early."""
    predicted: float | None
    """Reward that was expected of a net that was stopped early."""
    spread: float | None
    """Standard deviation of the prediction."""
    measures: dict[str, float]
    """Everything that was measured, by name."""
    recipe: NotRequired[dict[str, Any]]
    """Settings of the recipe that differ for this trial, where any do."""
    initial: NotRequired[str]
    """Id of the trial with whose weights this one begins, where it begins with any."""
    confirms: NotRequired[str]
    """Id of the trial that this one repeats with another seed, where it repeats one."""
    origin: NotRequired[str]
    """Where the design comes from, if not from the searcher: "by hand"."""
    trainings: NotRequired[int]
    """Number of its trainings, where it was repeated."""
    mean_reward: NotRequired[float | None]
    """Mean reward of its trainings, where it was repeated."""
    confirmed: NotRequired[bool]
    """Whether the mean decides its rank, where it was repeated."""
