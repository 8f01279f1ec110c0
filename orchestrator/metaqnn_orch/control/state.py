"""The state of a run: a fold over its journal. The same events give the same state, to the last bit of the Q-table."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

from metaqnn_orch.control.events import Abandoned, Event, Failed, Finished, Left, Opened, Proposed, Recalled, Told
from metaqnn_orch.errors import JournalError
from metaqnn_orch.numbers import seconds_between
from metaqnn_orch.search.agent import Agent
from metaqnn_orch.search.q_table import QTable
from metaqnn_orch.search.schedule import epsilon_at
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.result import Status

MOST_SECONDS: Final = 1e8  # of an attempt: three years

TrialState = Literal["in_flight", "abandoned"] | Status


@dataclass(slots=True)
class Trial:
    """What the journal says of one trial."""

    trial: str
    net: str
    epsilon: float
    state: TrialState = "in_flight"
    val_accuracy: float | None = None
    params: int | None = None
    macs: int | None = None
    seconds: float | None = None
    images_per_second: float = 0.0
    attempt: int = 1
    """The current one, or the last; 0 where the result was imported."""
    charged: int = 0
    """Lost attempts that were charged."""
    samplings: int = 1
    """How often the agent drew this net."""
    device: str = ""
    """What answered: where it was trained, or the table that knew."""
    trouble: str = ""
    """What ended the last attempt that did not deliver."""
    measured: float | None = None
    """Of a net that was stopped early, whose `val_accuracy` is foretold: the best of its epochs."""
    predicted: float | None = None
    spread: float | None = None
    """Standard deviation of what was predicted."""
    curve: list[float] = field(default_factory=list)
    """Validation accuracies of its epochs, where the early end is enabled."""
    free: dict[str, int] = field(default_factory=dict)
    """Lost attempts that cost nothing, by how they ended."""
    refused: str = ""
    """sha256 of the last result that could not be trusted."""

    @property
    def was_trained(self) -> bool:
        """Whether its accuracy is what the net has: not while nothing is known, nor where it was stopped early."""
        return self.val_accuracy is not None and self.state != "stopped_early"


def nothing_worked(state: RunState) -> bool:
    """Whether trials were abandoned, and none was ever told."""
    return state.abandoned > 0 and not state.told


class RunState:
    """Agent, trials and counters of one run. `apply` is the only way to change them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        q = settings.agent
        self.agent = Agent(
            settings.state_space(),
            QTable(initial=q.q_initial, learning_rate=q.learning_rate, discount=q.discount),
            replay_draws=q.replay_draws,
        )
        self.trials: dict[str, Trial] = {}
        self.in_flight: dict[str, Trial] = {}
        """In the order of their proposal."""
        self.by_net: dict[str, Trial] = {}
        """The same trials by their nets' canonical texts."""
        self.step = 0
        """Of the agent: the next proposal's."""
        self.told = 0
        """Presentations to the agent, repeated ones included."""
        self.unique = 0
        """Nets told at least once."""
        self.abandoned = 0
        self.attempts_lost = 0
        """Those that were charged to their trials."""
        self.disruptions = 0
        """Attempts that were lost and cost nothing."""
        self.lost: dict[str, int] = {}
        """Attempts without a result, charged or not, by how they ended."""
        self.last_lost = ""
        """Which attempt that was the last time, and why, in words."""
        self.device_seconds = 0.0
        """Of all attempts that ended, times the devices that each held."""
        self.worked_seconds = 0.0
        """Of all sessions before the present one, pauses between them left out."""
        self.heard = ""
        """When the last event was written that says so."""
        self.best: Trial | None = None
        """Highest validation accuracy that was measured; of equals the first told."""
        self.opened: Opened | None = None
        self.recalled: Recalled | None = None
        self.finished: Finished | None = None
        self._phases = settings.phases()

    @property
    def epsilon(self) -> float:
        """For the next net: counts unique nets told and in flight, so that each phase trains as many as it says."""
        return epsilon_at(self._phases, self.unique + len(self.in_flight))

    def randomness(self, purpose: str, count: int) -> Random:
        """Depends on seed, purpose and counter alone: a resumed run draws what an undisturbed one draws."""
        return Random(f"{self.settings.seed}/{purpose}/{count}")

    def propose(self, step: int) -> str | None:
        """The net of a step: the agent's, or the one of the settings' list; None after the end of that."""
        nets = self.settings.nets
        if nets:
            return nets[step] if step < len(nets) else None
        return self.agent.propose(self.epsilon, self.randomness("propose", step))

    def apply(self, event: Event) -> None:
        """
        Raises:
            JournalError: the event cannot follow what came before.
        """
        if isinstance(event, Opened):
            self.worked_seconds += self.session_seconds(self.heard)
        if not isinstance(event, Proposed | Recalled):
            self.heard = event.at
        match event:
            case Opened():
                self.opened, self.finished = event, None
            case Left():
                for seconds in event.seconds:
                    self._used(seconds)
            case Finished():
                self.finished = event
            case Recalled():
                self.recall(event)
                for count in range(len(event.rows)):
                    self.agent.rehearse(self.randomness("recall", count))
            case Proposed():
                self._proposed(event)
            case Told():
                trial = self._close(event.trial, event.status)
                trial.val_accuracy, trial.seconds = event.val_accuracy, min(event.seconds, MOST_SECONDS)
                trial.params, trial.macs = event.params, event.macs
                trial.attempt, trial.device = event.attempt, event.device
                trial.images_per_second = event.images_per_second
                trial.measured, trial.curve = event.measured, [*event.curve]
                if event.prediction is not None:
                    trial.predicted, trial.spread = event.prediction.accuracy, event.prediction.spread
                self._used(event.seconds)
                self.unique += 1
                better = self.best is None or event.val_accuracy > (self.best.val_accuracy or 0.0)
                if better and trial.was_trained:
                    self.best = trial
                for _ in range(trial.samplings):
                    self._learn(trial)
            case Failed():
                trial = self._get(event.trial)
                trial.trouble = event.detail
                trial.attempt = event.attempt + 1
                trial.refused = event.refused or ""
                self.last_lost = f"trial {event.trial}, attempt {event.attempt}, {event.kind}: {event.detail}"
                self._used(event.seconds)
                self.lost[event.kind] = self.lost.get(event.kind, 0) + 1
                if event.is_charged:
                    trial.charged += 1
                    self.attempts_lost += 1
                else:
                    trial.free[event.kind] = trial.free.get(event.kind, 0) + 1
                    self.disruptions += 1
            case Abandoned():
                trial = self._close(event.trial, "abandoned")
                trial.attempt -= 1
                self.abandoned += 1

    def ranking(self) -> list[Trial]:
        """Trained nets by validation accuracy, smaller ones first among equals; none that was stopped early."""
        trained = [trial for trial in self.trials.values() if trial.was_trained]
        return sorted(trained, key=lambda trial: (-(trial.val_accuracy or 0.0), trial.params or 0))

    def recall(self, event: Recalled) -> None:
        """Put another run's experience into the replay memory, where nothing is learned from it yet."""
        self.recalled = event
        self.agent.replay.recall(event.rows, self.settings.warm_start.weight)

    def session_seconds(self, now: str) -> float:
        """Of the present session, or the last one, at that moment; 0 where its times are no times."""
        return seconds_between(self.opened.at, now) if self.opened is not None else 0.0

    def _used(self, seconds: float) -> None:
        # No attempt takes longer; earlier releases believed whatever a result said.
        self.device_seconds += min(seconds, MOST_SECONDS) * (self.opened.devices if self.opened is not None else 1)

    def _proposed(self, event: Proposed) -> None:
        self.step = event.step + 1
        trial = self.trials.get(event.trial)
        if trial is None:
            trial = Trial(event.trial, event.net, event.epsilon)
            self.trials[event.trial] = self.in_flight[event.trial] = self.by_net[event.net] = trial
            return
        trial.samplings += 1
        if trial.val_accuracy is not None:
            self._learn(trial)

    def _learn(self, trial: Trial) -> None:
        assert trial.val_accuracy is not None
        if not self.settings.nets:
            self.agent.learn(trial.net, trial.val_accuracy, self.randomness("replay", self.told))
        self.told += 1

    def _close(self, trial_id: str, state: TrialState) -> Trial:
        trial = self._get(trial_id)
        trial.state = state
        del self.in_flight[trial_id]
        return trial

    def _get(self, trial_id: str) -> Trial:
        trial = self.in_flight.get(trial_id)
        if trial is None:
            raise JournalError(f"the journal tells of trial {trial_id}, which is not in flight")
        return trial
