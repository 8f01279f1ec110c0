"""The state of a run: a fold over its journal. The same events give the same state, to the last bit of the Q-table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Final

from metaqnn_orch.control.brake import Streak, braked_in, cause_of
from metaqnn_orch.control.events import (
    Abandoned,
    Braked,
    Event,
    Failed,
    Finished,
    Left,
    Opened,
    Proposed,
    Recalled,
    Released,
    Shortlisted,
    Told,
)
from metaqnn_orch.control.faults import faults_of
from metaqnn_orch.control.losses import Losses
from metaqnn_orch.control.trial import Trial, TrialState
from metaqnn_orch.errors import BadInput, JournalError
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.numbers import seconds_between
from metaqnn_orch.search.agent import Agent
from metaqnn_orch.search.searcher import NOTHING, Experience, Known, Proposal
from metaqnn_orch.search.searchers.q_learning import QLearning
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.codec import canonical_json

MOST_SECONDS: Final = 1e8  # seconds of an attempt: three years; earlier releases accepted any number in a result


def nothing_worked(state: RunState) -> bool:
    """Whether trials were abandoned, and none was ever told."""
    return state.abandoned > 0 and not state.told


class RunState:
    """Searcher, trials and counters of one run. `apply` is the only way to change them."""

    def __init__(self, settings: Settings, *, learning: bool = True) -> None:
        """Without `learning`, trials and counters are the same, but the searcher can be asked nothing."""
        self.settings = settings
        self.searcher = settings.searcher(learning=learning)
        self.space = self.searcher.space
        self.trials: dict[str, Trial] = {}
        self.in_flight: dict[str, Trial] = {}
        """The trials in flight, in the order of their proposal."""
        self.by_net: dict[str, Trial] = {}
        """The first trial of each design, by its canonical text; a trial without changes where there is one."""
        self.presented: list[Trial] = []
        """The trials that the searcher was told, in that order; a trial appears each time that it was told."""
        self.step = 0
        """The searcher's next step."""
        self.told = 0
        """Number of times that the searcher was told a result, including repeated ones."""
        self.unique = 0
        """Number of nets that were told at least once."""
        self.abandoned = 0
        self.attempts_lost = 0
        """Lost attempts that were charged to their trials."""
        self.disruptions = 0
        """Lost attempts that cost their trials nothing."""
        self.lost: dict[str, int] = {}
        """Attempts without a result, charged or not, by how they ended."""
        self.losses = Losses()
        self.streak = Streak()
        self.braked: Braked | None = None
        """The brake, while it is on."""
        self.last_lost = ""
        """The last attempt without a result, and the reason, in words."""
        self.device_seconds = 0.0
        """Seconds of all attempts that ended, times the devices that each held."""
        self.worked_seconds = 0.0
        """Seconds of all sessions before the present one, without the pauses between them."""
        self.heard = ""
        """The time in the last event that has one."""
        self.best: Trial | None = None
        """The winner, the first of the ranking: a confirmed trial, if there is one, else the best by its reward."""
        self.leader: Trial | None = None
        """The trial of the highest worth, confirmed or not."""
        self.shortlist: Shortlisted | None = None
        """The last choice of trials to confirm."""
        self.shortlisted_after = 0
        """Value of `unique` at that choice."""
        self.opened: Opened | None = None
        self.recalled: Recalled | None = None
        self.finished: Finished | None = None
        self._flying: dict[str, int] = {}  # designs in flight and their numbers of trials, in the order of proposal

    @property
    def agent(self) -> Agent:
        """The paper's agent.

        Raises:
            BadInput: another searcher is at work.
        """
        if isinstance(self.searcher, QLearning):
            return self.searcher.agent
        raise BadInput(f"the searcher {self.settings.search.method} has no Q-table")

    @property
    def known(self) -> Known:
        """What the searcher may know of the run beside what it was told."""
        return Known(self.unique, self._flying.keys(), self.by_net.keys())

    @property
    def epsilon(self) -> float | None:
        """Epsilon for the next design; None for a searcher that has none, and where the settings list the designs."""
        with faults_of(self.settings.search.method, "saying its epsilon"):
            found = None if self.settings.nets else self.searcher.epsilon(self.known)
            return found if found is None else float(found)

    def propose(self, step: int) -> Proposal | None:
        """What to train next: the searcher's proposal, or the step's net in the settings; None after the end."""
        nets, changes = self.settings.nets, self.settings.changes
        if nets:
            return Proposal(nets[step], changes[step] if changes else NOTHING) if step < len(nets) else None
        with faults_of(self.settings.search.method, f"proposing step {step}"):
            return self.searcher.propose(step, self.known)

    def beliefs(self) -> str:
        """sha256, in hex, of the searcher's beliefs; for the paper's agent, of its Q-table."""
        if isinstance(self.searcher, QLearning):
            return self.searcher.agent.q_table.digest()
        rows = [[trial.net, (trial.reward or 0.0).hex()] for trial in self.presented]
        return hashlib.sha256(canonical_json(rows)).hexdigest()

    def apply(self, event: Event) -> None:
        """Take in the next event of the journal.

        Raises:
            JournalError: the event cannot follow the events before.
        """
        if isinstance(event, Opened):
            self.worked_seconds += self.session_seconds(self.heard)
        if not isinstance(event, Proposed | Recalled):
            self.heard = event.at
        match event:
            case Opened():
                self.braked, self.opened, self.finished = braked_in(event, self.opened, self.braked), event, None
            case Left():
                for seconds in event.seconds:
                    self._used(seconds)
            case Finished():
                self.finished = event
            case Recalled():
                self.recalled = event
                with faults_of(self.settings.search.method, f"beginning with run {event.run}"):
                    self.searcher.recall(event.rows, self.settings.warm_start.weight)
            case Proposed():
                self._proposed(event)
            case Told():
                self.streak.told(event.trial, probe=self.is_probe(event.trial, event.attempt))
                self.losses.in_a_row = 0
                trial = self._close(event.trial, event.status)
                trial.reward, trial.seconds = event.reward, min(event.seconds, MOST_SECONDS)
                trial.params, trial.macs = event.params, event.macs
                trial.attempt, trial.device, trial.ended = event.attempt, event.device, event.at
                trial.images_per_second = event.images_per_second
                trial.measured, trial.curve, trial.measures = event.measured, [*event.curve], dict(event.measures)
                if event.prediction is not None:
                    trial.predicted, trial.spread = event.prediction.accuracy, event.prediction.spread
                self._used(event.seconds)
                if trial.confirms:
                    self._confirm()
                    return
                self.unique += 1
                if trial.was_trained and (self.leader is None or trial.order < self.leader.order):
                    self.leader = trial
                    if self.best is None or not self.best.is_confirmed:
                        self.best = trial
                for _ in range(trial.samplings):
                    self._learn(trial)
            case Shortlisted():
                if unknown := set(event.trials) - self.trials.keys():
                    raise JournalError(f"the journal has a shortlist with trial {min(unknown)}, which was not started")
                self.shortlist, self.shortlisted_after = event, self.unique
                self._confirm()
            case Failed():
                trial = self._get(event.trial)
                trial.trouble = event.detail
                trial.attempt = event.attempt + 1
                trial.refused = event.refused or ""
                self.last_lost = f"trial {event.trial}, attempt {event.attempt}, {event.kind}: {event.detail}"
                self._used(event.seconds)
                self.lost[event.kind] = self.lost.get(event.kind, 0) + 1
                self.losses.add(event.at, event.kind, event.detail)
                self._count(event)
                trial.charged += event.is_charged
                self.attempts_lost += event.is_charged
                self.disruptions += not event.is_charged
                if not event.is_charged and self.braked is None:
                    trial.free[event.kind] = trial.free.get(event.kind, 0) + 1
            case Braked():
                self._brake(event)
            case Released():
                self.braked = None
                self.streak.released(blamed=event.blamed)
            case Abandoned():
                trial = self._close(event.trial, "abandoned")
                trial.attempt, trial.ended = trial.attempt - 1, event.at
                self.abandoned += 1
                if trial.confirms:
                    self._confirm()

    @property
    def has_trained(self) -> bool:
        """Whether any trial of the run was ever trained here: it reached the store, and delivered a result."""
        return any(trial.attempt > 0 and trial.reward is not None for trial in self.trials.values())

    def is_probe(self, trial: str, attempt: int) -> bool:
        """Whether it began while the brake was on."""
        return self.braked is not None and self.braked.under_way.get(trial) != attempt

    def ranking(self) -> list[Trial]:
        """Trained nets, the best first: confirmed ones by their means, and behind them the others by the reward of
        their one training. Smaller ones come first among equals. Nets that were stopped early are left out.
        """
        trained = [trial for trial in self.trials.values() if trial.was_trained and not trial.confirms]
        return sorted(trained, key=lambda trial: (not trial.is_confirmed, *trial.order))

    def restore(self, presented: Sequence[Trial], snapshot: Any) -> None:
        """Restore the searcher to its state after it had been told of these trials, when it gave that snapshot.

        Raises:
            ValueError, TypeError, LookupError: the snapshot is not one of this searcher.
        """
        self.presented = [*presented]
        for trial in self.in_flight.values():
            if not trial.confirms:
                self._fly(trial)
        rows = self.recalled.rows if self.recalled is not None else ()
        told = [] if self.settings.nets else map(_experience, presented)
        with faults_of(self.settings.search.method, "taking its snapshot", (ValueError, TypeError, LookupError)):
            self.searcher.restore(snapshot, rows, self.settings.warm_start.weight, told)

    def session_seconds(self, now: str) -> float:
        """Seconds of the present session, or of the last one, until `now`; 0 where its times cannot be read."""
        return seconds_between(self.opened.at, now) if self.opened is not None else 0.0

    def _count(self, event: Failed) -> None:
        """Count the attempt in the streak. While the brake is on, only a probe may begin another one."""
        probe, cause = self.is_probe(event.trial, event.attempt), cause_of(event.kind, event.detail)
        free = event.kind is Phase.DISRUPTED and not event.is_charged
        other = not probe and cause != self.streak.cause
        if free or (other if self.braked is not None else event.trial in self.streak.suspects):
            return
        seconds = min(event.seconds, MOST_SECONDS)
        self.streak.add(event.at, event.trial, event.kind, event.detail, seconds, charged=event.is_charged)
        self.streak.probes += probe and self.streak.attempts > 1

    def _brake(self, event: Braked) -> None:
        self.braked = event
        self.streak.charged = {}
        for name, charged in event.given_back.items():
            trial = self.trials[name]
            trial.charged -= charged
            self.attempts_lost, self.disruptions = self.attempts_lost - charged, self.disruptions + charged
            if trial.state == "abandoned":
                trial.state, trial.attempt, trial.ended = "in_flight", trial.attempt + 1, ""
                self.in_flight[name] = trial
                self.abandoned -= 1
                if not trial.confirms:
                    self._fly(trial)

    def _used(self, seconds: float) -> None:
        self.device_seconds += min(seconds, MOST_SECONDS) * (self.opened.devices if self.opened is not None else 1)

    def _proposed(self, event: Proposed) -> None:
        trial = self.trials.get(event.trial)
        if event.confirms is not None:
            confirmed = self.trials.get(event.confirms)
            if confirmed is None or trial is not None:
                raise JournalError(f"the journal has the trial {event.trial}, which confirms none that was started")
            trial = Trial(event.trial, event.net, None, recipe=event.recipe, initial=event.initial)
            trial.confirms = event.confirms
            confirmed.confirmations.append(trial)
            self.trials[event.trial] = self.in_flight[event.trial] = trial
            return
        if event.origin is None:  # whoever puts in a net by hand takes no step of the searcher
            self.step = event.step + 1
        if trial is None:
            trial = Trial(event.trial, event.net, event.epsilon, recipe=event.recipe, initial=event.initial)
            trial.origin = event.origin or ""
            self.trials[event.trial] = self.in_flight[event.trial] = trial
            self.index(trial)
            self._fly(trial)
            return
        trial.samplings += 1
        if trial.reward is not None:
            self._learn(trial)

    def _learn(self, trial: Trial) -> None:
        self.presented.append(trial)
        if not self.settings.nets:
            with faults_of(self.settings.search.method, f"being told of trial {trial.trial}"):
                self.searcher.tell(_experience(trial))
        self.told += 1

    def index(self, trial: Trial) -> None:
        """Enter the trial in `by_net`, where its design has no better one."""
        known = self.by_net.get(trial.net)
        if known is None or (trial.is_plain and not known.is_plain):
            self.by_net[trial.net] = trial

    def _confirm(self) -> None:
        """Take in that a confirmation has ended. The means count from the moment when each trial of the shortlist was
        trained once more: means and single rewards are not compared.
        """
        chosen = [self.trials[name] for name in self.shortlist.trials] if self.shortlist is not None else []
        if all(trial.confirmations and trial.confirmations[0].state != "in_flight" for trial in chosen):
            for trial in chosen:
                trial.is_confirmed = any(one.was_trained for one in trial.confirmations)
        ranking = self.ranking()
        if ranking and ranking[0].is_confirmed:
            self.best, self.leader = ranking[0], max(ranking, key=lambda trial: trial.worth)

    def _fly(self, trial: Trial) -> None:
        self._flying[trial.net] = self._flying.get(trial.net, 0) + 1

    def _close(self, trial_id: str, state: TrialState) -> Trial:
        trial = self._get(trial_id)
        trial.state = state
        del self.in_flight[trial_id]
        if trial.confirms:
            return trial
        self._flying[trial.net] -= 1
        if not self._flying[trial.net]:
            del self._flying[trial.net]
        return trial

    def _get(self, trial_id: str) -> Trial:
        trial = self.in_flight.get(trial_id)
        if trial is None:
            raise JournalError(f"the journal has an event of trial {trial_id}, which was not started")
        return trial


def _experience(trial: Trial) -> Experience:
    assert trial.reward is not None
    return Experience(trial.net, trial.reward, MappingProxyType(trial.measures), trained=trial.was_trained)
