"""The control loop: the next action is a function of the journal, the launcher's trials and the results in the store.

Decisions are written to the journal first and acted on afterwards, and every action may be repeated. So the loop can
be killed between any two of its lines: the next session does what is still missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from metaqnn_orch.control.attempts import Attempts, pausing, running_of, waiting_of
from metaqnn_orch.control.braking import Braking
from metaqnn_orch.control.budget import Limit
from metaqnn_orch.control.early_end import early_end
from metaqnn_orch.control.ends import COUNTS_AS_A_CRASH, Charge, Lost, cost
from metaqnn_orch.control.events import Abandoned, Event, Failed, Finished, Left, Opened, Reason
from metaqnn_orch.control.giving_up import Abandonments
from metaqnn_orch.control.holder import Hold
from metaqnn_orch.control.ingest import Refused, quarantine, read_results
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.losses import lost_lately
from metaqnn_orch.control.objective import Objective
from metaqnn_orch.control.proposer import Proposer
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.requests import request_of, write_requests
from metaqnn_orch.control.retention import Retention
from metaqnn_orch.control.snapshot import Snapshots
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Outcome, Stop, Surroundings
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import StoreError
from metaqnn_orch.launchers.base import Launcher, Observation, Phase
from metaqnn_orch.next_command import next_command
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import Store

AT_ONCE = 32  # results that are read between two looks for a signal
NAP = 0.02  # seconds after which an idle loop asks the launcher for news
LONGEST_REST = 30.0  # seconds between two attempts to reach a store that does not answer


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
        self._withheld: Limit | None = None  # why no further attempt begins of trials in flight
        self._attempts = Attempts(surroundings.now, surroundings.monotonic, record.created_at)
        self._uncommitted: list[Event] = []
        self._refused: list[tuple[TrainingRequest, int, Refused]] = []
        self._trouble = ""
        self._proposer = Proposer(
            record=record,
            state=state,
            store=store,
            parallel=launcher.parallel,
            together=launcher.together,
            goal=goal,
            now=surroundings.now,
            monotonic=surroundings.monotonic,
            emit=self._emit,
        )
        another = "--set execution.kubernetes.image=IMAGE" if launcher.name == "kubernetes" else ""
        again = next_command(f"resume {record.run}", store.uri, another)
        self._abandonments = Abandonments(state, launcher.parallel, again)
        self._braking = Braking(state, self._attempts, launcher.parallel, surroundings, self._emit)
        self._objective = Objective(state.settings)
        self._retention = Retention(store, record.run, self._settings.keep_weights)
        self._untidy = False  # whether the store still holds superfluous objects
        self._snapshots = Snapshots(store, record.run, state)

    def run(self) -> Outcome:
        """Work until the goal is reached, the budget is used, no new net is found, or a signal asks to stop.

        Raises:
            RunHeld: another orchestrator took the run over.
            RunFailed: no trial ever worked, or too many were abandoned.
            StoreError, LauncherError: the error will not pass; a store that is merely out of reach is waited for.
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
                places=self._launcher.parallel,
                devices=self._launcher.devices,
                budget=self._budget,
                settings=self._state.settings.of_session(),
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
                while self._untidy and self._world.stop() is Stop.NO:
                    self._untidy = self._retention.tidy(self._state, self._world.now())
                return outcome
            if not moved:
                self._rest()

    def _tick(self) -> tuple[Outcome | None, bool]:
        """One step: observe, decide, write the journal, act. Returns how the session ended, if it did, and whether
        there was any event.
        """
        self._commit()  # what could not be written while the store was out of reach
        self._hold.beat(self._world.now(), self._trouble)
        observations = self._launcher.observe()
        self._collect(observations)
        self._braking.consider(observations)
        stop = self._world.stop()
        waiting = waiting_of(self._state.in_flight, observations)
        due = [trial for trial in waiting if self._attempts.is_due(trial.trial)]
        trouble = self._launcher.trouble
        attempts = waiting and stop is not Stop.NOW
        self._withheld = self._proposer.withheld() if attempts else None
        self._tell(trouble or (self._waits_for(waiting, due) if self._withheld is None else ""))
        going_on = stop is Stop.NO and not trouble
        if going_on and self._withheld is None:
            if self._braking.is_on:
                due = self._braking.probe(waiting, observations, lambda: self._proposer.propose(one=True))
            else:
                due += self._proposer.propose()
        outcome = self._outcome(stop, observations)
        if outcome is not None and outcome is not Outcome.INTERRUPTED:
            reached = self._proposer.limit or self._withheld
            detail = reached.detail if reached is not None else ""
            self._emit(Finished(at=self._world.now(), reason=cast(Reason, outcome.value), detail=detail))
        if outcome is Outcome.INTERRUPTED:
            ending = [] if self._launcher.outlives_us else running_of(self._state.in_flight, observations)
            self._emit(Left(at=self._world.now(), seconds=self._attempts.running_seconds(ending)))
        moved = bool(self._uncommitted)
        self._commit()
        self._clear_up(observations)
        if going_on and self._withheld is None:
            self._launch(due)
        return outcome, moved

    def _waits_for(self, waiting: Sequence[Trial], due: Sequence[Trial]) -> str:
        state = self._state
        pauses = pausing(waiting, due, len(state.in_flight))
        return self._braking.trouble or pauses or lost_lately(state.losses, self._world.now())

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
        """Turn every trial that ended, or that the launcher does not know, into a told, failed or abandoned one."""
        ended: list[Trial] = []
        for trial in self._state.in_flight.values():
            seen = observations.get(trial.trial)
            if seen is not None and seen.phase is Phase.RUNNING:
                self._attempts.running(trial.trial)
            if seen is None or (seen.phase not in (Phase.PENDING, Phase.RUNNING) and seen.attempt >= trial.attempt):
                ended.append(trial)
        for first in range(0, len(ended), AT_ONCE):
            if self._world.stop() is Stop.NOW:  # to read hundreds takes minutes; the rest is read in the next tick
                return
            self._read(ended[first : first + AT_ONCE], observations)

    def _read(self, ended: Sequence[Trial], observations: Mapping[str, Observation]) -> None:
        """Look for the results of trials that may have one."""
        asked = [
            (request_of(self._record, self._state.settings, trial), self._attempts.longest(trial.trial))
            for trial in ended
        ]
        results = read_results(self._store, self._record.info, asked, self._objective)
        for trial, (request, _), found in zip(ended, asked, results, strict=True):
            if isinstance(found, Refused):
                left_behind = found.digest == trial.refused  # charged before the orchestrator was killed
                self._refused.append((request, trial.attempt - left_behind, found))
                if not left_behind:
                    reason = f"its result was refused: {found.reason}"
                    end = self._abandonments.refused(found)
                    self._lose(trial, end, reason, observations, refused=found.digest)
            elif found is not None:
                self._attempts.forget(trial.trial)
                whole = self._settings.early_end.enabled
                self._emit(found.told(self._world.now(), trial.attempt, whole_curve=whole))
                self._abandonments.clear()
                self._braking.told(trial.trial)
            elif (seen := observations.get(trial.trial)) is not None:
                if seen.phase is Phase.DELIVERED:
                    nothing = "it exited with 0, but there is no result.json"
                    self._lose(trial, Phase.NO_RESULT, nothing, observations, seen.seconds)
                else:
                    self._lose(trial, seen.phase, seen.detail, observations, seen.seconds)

    def _lose(
        self,
        trial: Trial,
        end: Phase,
        detail: str,
        observations: Mapping[str, Observation],
        seconds: float = 0.0,
        refused: str | None = None,
    ) -> None:
        """Record an attempt that ended without a result, after at least so many seconds."""
        state = self._state
        charged, abandoned, used_up = Charge(charged=False, abandoned=False)
        if not self._braking.is_on:
            charged, abandoned, used_up = cost(
                end,
                trial.free,
                trial.charged,
                free_attempts=self._settings.free_attempts,
                retries=self._settings.retries,
                store_reached=state.has_trained,
            )
        cause, probe = state.streak.cause, state.is_probe(trial.trial, trial.attempt)
        self._emit(
            Failed(
                at=self._world.now(),
                trial=trial.trial,
                attempt=trial.attempt,
                kind=cast(Lost, end),
                detail=detail[:400]
                + (f"{COUNTS_AS_A_CRASH}{amount(sum(trial.free.values()), 'free attempt')}" if used_up else ""),
                seconds=max(self._attempts.ended(trial.trial), seconds),
                charged=charged,
                refused=refused,
            )
        )
        self._abandonments.lost(end, ours=self._attempts.was_launched(trial.trial))
        if self._braking.lost(cause, probe=probe, observations=observations):
            self._abandonments.clear()
            abandoned = False
        if abandoned:
            self._abandonments.add(end)
            self._attempts.forget(trial.trial)
            self._emit(Abandoned(at=self._world.now(), trial=trial.trial))
        else:
            self._attempts.postpone(trial)

    def _outcome(self, stop: Stop, observations: Mapping[str, Observation]) -> Outcome | None:
        outcome = self._end(observations)
        failure = self._abandonments.failure(ended=outcome is not None)
        if failure is not None:
            self._commit()
            self._put_aside()
            raise failure
        if outcome is not None:
            return outcome
        if stop is Stop.NOW or (stop is Stop.DRAIN and not running_of(self._state.in_flight, observations)):
            return Outcome.INTERRUPTED
        return None

    def _end(self, observations: Mapping[str, Observation]) -> Outcome | None:
        """The reason why the session ends, if there is nothing left to do."""
        state = self._state
        if self._withheld is not None and len(waiting_of(self._state.in_flight, observations)) == len(state.in_flight):
            return Outcome(self._withheld.reason)
        if state.in_flight:
            return None
        return self._proposer.end()

    def _launch(self, due: Sequence[Trial]) -> None:
        """Start an attempt of each of these trials. A second launch of the same attempt changes nothing."""
        if not due:
            return
        state = self._state
        whole = self._launcher.options  # what confirms the best is trained to its end
        rule = early_end(state.settings, reversed(state.trials.values()), state.best)
        options = whole.model_copy(update={"early_end": rule})
        requests = [
            request_of(self._record, state.settings, trial, whole if trial.confirms else options) for trial in due
        ]
        write_requests(self._store, requests)
        for request, trial in zip(requests, due, strict=True):
            self._attempts.launched(trial.trial)
            self._launcher.launch(request, trial.attempt)

    def _clear_up(self, observations: Mapping[str, Observation]) -> None:
        """Put refused results aside, have the launcher forget trials that ended, and remove superfluous objects."""
        self._put_aside()
        self._proposer.settle()
        over = [trial for trial in observations if trial not in self._state.in_flight]
        for trial in over:
            self._launcher.cancel(trial)
        if over or self._untidy:
            self._untidy = self._retention.tidy(self._state, self._world.now())

    def _put_aside(self) -> None:
        while self._refused:
            quarantine(self._store, *self._refused[-1])
            self._refused.pop()

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
