"""The control loop: what is done next is a function of the journal, the launcher's trials and the results in the store.

Decisions are written to the journal first and acted on afterwards, and every action may be repeated. So the loop can
be killed between any two of its lines: the next one to run it does what is still missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from metaqnn_orch.control.budget import Limit, limit
from metaqnn_orch.control.early_end import early_end
from metaqnn_orch.control.events import Abandoned, Event, Failed, Finished, Opened, Proposed, Reason
from metaqnn_orch.control.holder import Hold
from metaqnn_orch.control.ingest import Refused, quarantine, read_result
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.snapshot import Snapshots
from metaqnn_orch.control.state import RunState, Trial, seconds_between
from metaqnn_orch.errors import RunFailed, StoreError
from metaqnn_orch.launchers.base import Launcher, Observation, Phase
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import TrainerOptions, TrainingRequest
from metaqnn_trainer.store.base import Store

FRUITLESS_PROPOSALS = 2_000  # in a row without a new net: the space holds none that this epsilon would find
REPEATS_IN_FLIGHT = 20  # per tick, or one for each free place: a greedy agent draws what it waits for again and again
HOPELESS_TRIALS = 3  # abandoned before any was told, or hopeless in a row: the fault is not the trials'
WRITERS = 8  # of requests at once
NAP = 0.02  # seconds after which a resting loop asks the launcher for news
LONGEST_REST = 30.0  # seconds between two attempts to reach a store that does not answer
_OPTIONS = TrainerOptions()


class Outcome(StrEnum):
    """How a session ended."""

    GOAL = "goal"
    EXHAUSTED = "exhausted"
    TARGET = "target"
    BUDGET = "budget"
    INTERRUPTED = "interrupted"


class Stop(StrEnum):
    """What somebody asked a running loop for."""

    NO = "no"
    DRAIN = "drain"  # propose nothing more, wait for what runs
    NOW = "now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Everything of the outside world that the loop uses, so that a test can be the world."""

    now: Callable[[], str]  # wall clock, ISO 8601: for people and for budgets
    sleep: Callable[[float], None]
    stop: Callable[[], Stop]
    on_event: Callable[[Event], None]  # after it is in the journal
    on_trouble: Callable[[str], None]  # what is being waited for; empty when it is over


class Loop:
    """One session of one run."""

    def __init__(
        self,
        *,
        record: RunRecord,
        state: RunState,
        journal: Journal,
        store: Store,
        launcher: Launcher,
        hold: Hold,
        version: str,
        goal: int,
        surroundings: Surroundings,
    ) -> None:
        self._record = record
        self._state = state
        self._journal = journal
        self._store = store
        self._launcher = launcher
        self._hold = hold
        self._version = version
        self._goal = goal
        self._world = surroundings
        self._settings = state.settings.execution
        self._budget = state.settings.budget
        self._limit: Limit | None = None
        self._running_since: dict[str, str] = {}
        self._uncommitted: list[Event] = []
        self._refused: list[tuple[TrainingRequest, int, Refused]] = []
        self._exhausted = False
        self._trouble = ""
        self._abandoned_before = state.abandoned
        self._hopeless = 0  # trials in a row
        self._snapshots = Snapshots(store, record.run, state)

    def run(self) -> Outcome:
        """Work until the goal is reached, the budget is used, nothing new is found, or somebody asks to stop.

        Raises:
            RunHeld: another orchestrator took the run over.
            RunFailed: nothing ever works.
            StoreError, LauncherError: for good; a store that is merely out of reach is waited for.
        """
        me = self._hold.me
        self._emit(
            Opened(
                at=self._world.now(),
                session=me.session,
                owner=me.owner,
                version=self._version,
                goal=self._goal,
                launcher=self._launcher.name,
                places=self._launcher.capacity,
                devices=self._launcher.devices,
                budget=self._budget,
            )
        )
        failures = 0
        while True:
            try:
                outcome, moved = self._tick()
            except StoreError as error:
                if not error.transient:
                    raise
                failures += 1
                self._tell(str(error))
                self._world.sleep(min(LONGEST_REST, self._settings.poll_seconds * 2.0 ** min(failures, 16)))
                if self._world.stop() is Stop.NOW:
                    return Outcome.INTERRUPTED
                continue
            if failures:
                failures = 0
                self._tell("")
            if outcome is not None:
                return outcome
            if not moved:
                self._rest()

    def _tick(self) -> tuple[Outcome | None, bool]:
        """Look, decide, write down, act. Returns how the session ended, if it did, and whether anything happened."""
        self._commit()  # what a store out of reach left behind
        self._hold.beat(self._world.now(), self._trouble)
        observations = self._launcher.observe()
        self._tell(self._launcher.trouble)
        stop = self._world.stop()
        self._collect(observations)
        going_on = stop is Stop.NO and not self._trouble
        if going_on:
            self._propose()
        outcome = self._outcome(stop, observations)
        if outcome is not None and outcome is not Outcome.INTERRUPTED:
            detail = self._limit.detail if self._limit is not None else ""
            self._emit(Finished(at=self._world.now(), reason=cast(Reason, outcome.value), detail=detail))
        moved = bool(self._uncommitted)
        self._commit()
        self._clear_up(observations)
        if going_on:
            self._launch(observations)
        return outcome, moved

    def _rest(self) -> None:
        left, wanted = self._settings.poll_seconds, self._world.stop()
        while left > 0 and not self._launcher.has_news() and self._world.stop() is wanted:
            self._world.sleep(min(left, NAP))
            left -= NAP

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._world.on_trouble(trouble)

    def _collect(self, observations: Mapping[str, Observation]) -> None:
        """Turn every trial that ended, or that nobody knows, into a told, failed or abandoned one."""
        for trial in list(self._state.in_flight.values()):
            seen = observations.get(trial.trial)
            if seen is not None and seen.phase is Phase.RUNNING and trial.trial not in self._running_since:
                self._running_since[trial.trial] = self._world.now()
            if seen is not None and (seen.phase in (Phase.PENDING, Phase.RUNNING) or seen.attempt < trial.attempt):
                continue
            request = self._request(trial)
            found = read_result(self._store, request)
            if isinstance(found, Refused):
                self._refused.append((request, trial.attempt, found))
                self._fail(trial, "crashed", f"its result was refused: {found.reason}")
            elif found is not None:
                self._running_since.pop(trial.trial, None)
                with_curve = self._settings.early_end.enabled
                self._emit(found.told(self._world.now(), trial.attempt, with_curve=with_curve))
                self._hopeless = 0
            elif seen is not None and (seen.phase is Phase.DISRUPTED or self._is_outage(seen)):
                self._fail(trial, "disrupted", seen.detail)
            elif seen is not None and seen.phase is Phase.HOPELESS:
                self._hopeless += 1
                self._fail(trial, "hopeless", seen.detail)
            elif seen is not None:
                delivered = seen.phase is Phase.DELIVERED
                self._fail(trial, "crashed", "it ended well, but there is no result.json" if delivered else seen.detail)

    def _is_outage(self, seen: Observation) -> bool:
        """Whether others, of any session, reached the store that this trial did not: so its address is right."""
        trials = self._state.trials.values()
        reached = (trial.attempt > 0 and trial.val_accuracy is not None for trial in trials)
        return seen.phase is Phase.CUT_OFF and any(reached)

    def _fail(self, trial: Trial, kind: str, detail: str) -> None:
        free, now = kind == "disrupted", self._world.now()
        self._emit(
            Failed(
                at=now,
                trial=trial.trial,
                attempt=trial.attempt,
                kind="disrupted" if free else "crashed",
                detail=detail[:500],
                seconds=seconds_between(self._running_since.pop(trial.trial, now), now),
            )
        )
        if kind == "hopeless" or trial.crashes > self._settings.retries:
            self._emit(Abandoned(at=self._world.now(), trial=trial.trial))

    def _propose(self) -> None:
        """Fill the free places with new nets; nets sampled again on the way are noted."""
        state = self._state
        step, fruitless, repeats = state.step, 0, 0
        patience = max(REPEATS_IN_FLIGHT, self._launcher.capacity - len(state.in_flight))
        self._limit = None
        while len(state.in_flight) < self._launcher.capacity and state.unique + len(state.in_flight) < self._goal:
            self._limit = limit(state, self._budget, self._world.now())
            if self._limit is not None:
                return
            epsilon = state.epsilon
            net = state.propose(step)
            if net is None:
                self._exhausted = True
                return
            known = state.by_net.get(net)
            trial = known.trial if known is not None else self._record.spec(state.settings, net).trial_id()
            if known is None or known.state != "abandoned":
                self._emit(Proposed(step=step, epsilon=epsilon, net=net, trial=trial))
            step += 1
            fruitless = 0 if known is None else fruitless + 1
            repeats += known is not None and known.state == "in_flight"
            if fruitless >= FRUITLESS_PROPOSALS:
                self._exhausted = True
                return
            if repeats >= patience:
                return

    def _outcome(self, stop: Stop, observations: Mapping[str, Observation]) -> Outcome | None:
        state = self._state
        abandoned = state.abandoned - self._abandoned_before
        never = abandoned >= HOPELESS_TRIALS and not state.told
        if never or self._hopeless >= HOPELESS_TRIALS:
            trouble = [trial.trouble for trial in state.trials.values() if trial.state == "abandoned"]
            self._commit()
            raise RunFailed(
                f"{abandoned if never else self._hopeless} trials were abandoned, "
                f"none was trained{'' if never else ' between them'}; the last one: {trouble[-1]}",
                hint="mend the cause, then start again: abandoned nets stay out, others are tried",
            )
        if not state.in_flight and state.unique >= self._goal:
            return Outcome.GOAL
        if not state.in_flight and self._exhausted:
            return Outcome.EXHAUSTED
        if not state.in_flight and self._limit is not None:
            return Outcome(self._limit.reason)
        running = any(trial in observations and observations[trial].phase is Phase.RUNNING for trial in state.in_flight)
        if stop is Stop.NOW or (stop is Stop.DRAIN and not running):
            return Outcome.INTERRUPTED
        return None

    def _launch(self, observations: Mapping[str, Observation]) -> None:
        """Start every trial in flight that is not under way. Launching twice is launching once."""
        state = self._state
        waiting = [
            trial
            for trial in state.in_flight.values()
            if (seen := observations.get(trial.trial)) is None or seen.attempt < trial.attempt
        ]
        if not waiting:
            return
        options = TrainerOptions(early_end=early_end(state.settings, reversed(state.trials.values()), state.best))
        requests = [self._request(trial, options) for trial in waiting]
        # A store far away takes its time for each request, and at the beginning there may be hundreds.
        with ThreadPoolExecutor(WRITERS) if len(requests) > 1 else nullcontext() as pool:
            list((pool.map if pool else map)(self._write, requests))
        for request, trial in zip(requests, waiting, strict=True):
            self._launcher.launch(request, trial.attempt)

    def _clear_up(self, observations: Mapping[str, Observation]) -> None:
        """Put refused results aside, and have the launcher forget what is over."""
        while self._refused:
            quarantine(self._store, *self._refused[-1])
            self._refused.pop()
        for trial in observations:
            if trial not in self._state.in_flight:
                self._launcher.cancel(trial)

    def _write(self, request: TrainingRequest) -> None:
        self._store.put_if_absent(keys.request(request.run, request.trial), encode(request))

    def _request(self, trial: Trial, options: TrainerOptions = _OPTIONS) -> TrainingRequest:
        spec = self._record.spec(self._state.settings, trial.net)
        return TrainingRequest(run=self._record.run, trial=trial.trial, spec=spec, options=options)

    def _emit(self, event: Event) -> None:
        self._state.apply(event)
        self._uncommitted.append(event)

    def _commit(self) -> None:
        if self._uncommitted:
            self._journal.append(self._uncommitted)
            committed, self._uncommitted = self._uncommitted, []
            for event in committed:
                self._world.on_event(event)
            self._snapshots.consider(self._state, self._journal.position)
