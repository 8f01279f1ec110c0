"""One trial of a run, from the journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from typing import Any, Literal

from metaqnn_orch.control.events import shown_accuracy
from metaqnn_orch.numbers import mean
from metaqnn_trainer.contract.messages import WeightsRef
from metaqnn_trainer.contract.result import Status

TrialState = Literal["in_flight", "abandoned"] | Status


@dataclass(slots=True)
class Trial:
    """The state of one trial, from the journal."""

    trial: str
    net: str
    """The design."""
    epsilon: float | None
    state: TrialState = "in_flight"
    reward: float | None = None
    """The reward that the searcher was told."""
    measures: dict[str, float] = field(default_factory=dict)
    """The measures of its result; for a net that was stopped early, those of its best epoch."""
    params: int | None = None
    macs: int | None = None
    seconds: float | None = None
    images_per_second: float = 0.0
    attempt: int = 1
    """Number of the current attempt, or of the last; 0 where the result was imported."""
    charged: int = 0
    """Lost attempts that were charged."""
    samplings: int = 1
    """How often the trial was proposed."""
    origin: str = ""
    """Who proposed the trial first, if not the searcher: `by hand`."""
    device: str = ""
    """The device that the net was trained on, or the name of the table that answered."""
    ended: str = ""
    """When its end was noted, as the journal writes a moment; empty while it is in flight."""
    trouble: str = ""
    """Why the last attempt without a result ended."""
    measured: float | None = None
    """For a net that was stopped early, whose reward is predicted: the reward of its best epoch."""
    predicted: float | None = None
    spread: float | None = None
    """Standard deviation of the prediction."""
    curve: list[float] = field(default_factory=list)
    """Rewards of the epochs that counted; of a net that stayed at chance, those of its last learning rate. It is empty
    where no history was kept. A journal does not have it of nets at chance, nor where there were very many epochs
    (control/ingest.py), and those of earlier releases have none: then it is empty until it is read from the history
    (reporting/curves.py).
    """
    free: dict[str, int] = field(default_factory=dict)
    """Lost attempts that cost nothing, by how they ended."""
    refused: str = ""
    """sha256 of the last result that could not be trusted."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """Settings of the recipe that differ for this trial."""
    initial: WeightsRef | None = None
    """Weights that the trial begins with."""
    confirms: str = ""
    """The id of the trial that this one repeats with another seed; empty for a trial of the search."""
    is_confirmed: bool = False
    """Whether the mean over its trainings counts: when the whole shortlist was trained at least once more."""
    confirmations: list[Trial] = field(default_factory=list, repr=False)
    """The trials that repeat this one with other seeds, in the order of their proposal."""

    @property
    def lost(self) -> int:
        """Lost attempts, without those that were lost while the brake was on."""
        return self.charged + sum(self.free.values())

    @property
    def began(self) -> str:
        """When the attempt that delivered began, as far as its end and its seconds say it; empty where they do not."""
        if not (self.ended and self.attempt and self.seconds):
            return ""
        try:
            return (datetime.fromisoformat(self.ended) - timedelta(seconds=self.seconds)).isoformat(
                timespec="milliseconds"
            )
        except (ValueError, OverflowError):
            return ""

    @property
    def is_plain(self) -> bool:
        """Whether the trial trains its design by the run's recipe, from fresh weights."""
        return not self.recipe and self.initial is None

    @property
    def was_trained(self) -> bool:
        """Whether the net earned its reward itself: False while there is no reward, and where the net was stopped
        early.
        """
        return self.reward is not None and self.state != "stopped_early"

    @property
    def trainings(self) -> list[Trial]:
        """The trained ones among this trial and its confirmations, the best first; among equals, the first. An imported
        result was measured elsewhere: it is one of them only where there is no other.
        """
        trained = [trial for trial in (self, *self.confirmations) if trial.was_trained]
        here = [trial for trial in trained if trial.attempt > 0] or trained
        return sorted(here, key=lambda trial: -(trial.reward or 0.0))

    @property
    def mean_reward(self) -> float | None:
        """The mean reward of its trainings; its own reward where it has none."""
        rewards = [trial.reward for trial in self.trainings if trial.reward is not None]
        return mean(rewards) if rewards else self.reward

    @property
    def val_accuracy(self) -> float | None:
        """Validation accuracy, where `accuracy` is a measure; for a net that was stopped early, the predicted one."""
        return shown_accuracy(self.state, self.reward, self.measures)

    @property
    def order(self) -> tuple[float, int, str]:
        """Ranks trained trials: the highest worth first, then the fewest parameters. Ids decide among equals."""
        return -self.worth, self.params or 0, self.trial

    @property
    def worth(self) -> float:
        """The reward by which the trial is ranked: its own, or the mean over its trainings where it is confirmed; for a
        trial without one, less than any reward.
        """
        reward = self.mean_reward if self.is_confirmed else self.reward
        return -inf if reward is None else reward
