"""Metrics of a running search, for Prometheus. Needs the extra `metrics`.

Every metric carries the run's name, and never a trial's, because there are thousands of trials. Counters go on where an
earlier session stopped, because they are read from the run's state. Waiting times are not in the journal: their help
text says that they are the present session's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import nan
from typing import Final, NamedTuple, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from metaqnn_orch.control.events import Abandoned, Event, Failed, Told
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import BadInput
from metaqnn_orch.launchers.base import Launcher, Observation, Phase
from metaqnn_orch.reporting.summary import has_accuracy, lost_attempts
from metaqnn_trainer.contract.messages import TrainerOptions, TrainingRequest
from metaqnn_trainer.contract.result import Status
from metaqnn_trainer.store.around import StoreAround
from metaqnn_trainer.store.base import Store

OUTCOMES: Final = (*get_args(Status), "abandoned")
_MINUTES: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800)  # seconds
_MOMENTS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class _Times(NamedTuple):
    launched: float
    running: float | None = None
    ended: float | None = None


class Metrics:
    """The metrics of one session. The loop reports its events; the launcher and the store are observed by wrappers."""

    def __init__(self, run: str, clock: Callable[[], float] = time.time) -> None:
        """Before `begin`, no metric has a value."""
        self._name = run
        self._state: RunState | None = None
        self._clock = clock
        self._times: dict[str, _Times] = {}
        self.registry = CollectorRegistry()

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"metaqnn_{name}", text, ["run"], registry=self.registry).labels(run)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"metaqnn_{name}", text, ["run"], buckets=buckets, registry=self.registry).labels(run)

        trials = Counter(
            "metaqnn_trials",
            "Trials that have ended, by outcome.",
            ["run", "outcome"],
            registry=self.registry,
        )
        self._trials = {outcome: trials.labels(run, outcome) for outcome in OUTCOMES}
        text = "Trials that repeated others to confirm them and have ended, by outcome."
        repeated = Counter("metaqnn_confirmations", text, ["run", "outcome"], registry=self.registry)
        self._repeated = {outcome: repeated.labels(run, outcome) for outcome in OUTCOMES}
        self._lost = Counter(
            "metaqnn_attempts_lost", "Attempts that were lost, by kind.", ["run", "kind"], registry=self.registry
        )
        self._shown: dict[str, int] = {}  # trials in flight, by kind
        self._in_flight = gauge("trials_in_flight", "Trials that were proposed and have not ended.")
        self._epsilon = gauge("epsilon", "Epsilon of the next proposal.")
        self._best = gauge("best_reward", "Reward of the best net so far, a mean where it is confirmed.")
        self._accuracy: Gauge | None = None  # where accuracy is a measure
        self._measures = Gauge(
            "metaqnn_best_measure", "Of the net of the highest reward.", ["run", "measure"], registry=self.registry
        )
        self._goal = gauge("goal_trials", "Number of different trained nets at which the run is complete.")
        self._queue = histogram(
            "queue_seconds", "Seconds from launch to the first sign of training, in this session.", _MINUTES
        )
        self._run = histogram("run_seconds", "Seconds of training, as the trainer measured them.", _MINUTES)
        self._ingest = histogram(
            "ingest_seconds", "Seconds from a trial's end to its result in the journal, in this session.", _MOMENTS
        )
        self._api = gauge(
            "launcher_last_contact_timestamp_seconds", "Time at which the launcher last saw all Jobs or workers."
        )
        self._store = gauge("store_last_contact_timestamp_seconds", "Time at which the store last answered.")

    def begin(self, state: RunState, goal: int) -> None:
        """Take over the state of the run, with the counts of earlier sessions."""
        self._state = state
        if has_accuracy(state):
            text = "Validation accuracy of the net of the highest reward."
            accuracy = Gauge("metaqnn_best_accuracy", text, ["run"], registry=self.registry)
            self._accuracy = accuracy.labels(self._name)
        for trial in state.trials.values():
            if trial.state in self._trials:
                self._count(trial)
            if trial.seconds is not None and trial.attempt:  # an imported trial was trained elsewhere
                self._run.observe(trial.seconds)
        self._goal.set(goal)
        self._refresh()

    def happened(self, event: Event) -> None:
        match event:
            case Told(trial=trial, seconds=seconds):
                self._count(self._known(trial))
                self._run.observe(seconds)
                times = self._times.pop(trial, None)
                if times is not None and times.ended is not None:
                    self._ingest.observe(self._clock() - times.ended)
            case Failed(trial=trial):
                self._times.pop(trial, None)
            case Abandoned(trial=trial):
                self._count(self._known(trial))
                self._times.pop(trial, None)
        self._refresh()

    def _known(self, trial: str) -> Trial:
        assert self._state is not None, "begin comes first"
        return self._state.trials[trial]

    def _count(self, trial: Trial) -> None:
        (self._repeated if trial.confirms else self._trials)[trial.state].inc()

    def _refresh(self) -> None:
        state = self._state
        assert state is not None, "begin comes first"
        self._in_flight.set(len(state.in_flight))
        self._epsilon.set(nan if state.epsilon is None else state.epsilon)
        for kind, count in lost_attempts(state).items():
            self._lost.labels(self._name, kind).inc(count - self._shown.get(kind, 0))
            self._shown[kind] = count
        if state.best is None:
            return
        self._best.set(state.best.worth)
        for name, value in state.best.measures.items():
            self._measures.labels(self._name, name).set(value)
        if self._accuracy is not None and state.best.val_accuracy is not None:
            self._accuracy.set(state.best.val_accuracy)

    def launched(self, trial: str) -> None:
        self._times[trial] = _Times(self._clock())

    def observed(self, seen: Mapping[str, Observation], *, fresh: bool) -> None:
        now = self._clock()
        if fresh:
            self._api.set(now)
        for trial, observation in seen.items():
            times = self._times.get(trial)
            if times is None or observation.phase is Phase.PENDING:
                continue
            if times.running is None:
                self._queue.observe(now - times.launched)
                times = times._replace(running=now)
            if observation.phase is not Phase.RUNNING and times.ended is None:
                times = times._replace(ended=now)
            self._times[trial] = times

    @contextmanager
    def _contact(self) -> Iterator[None]:
        """A call of the store, which counts if it is answered."""
        yield
        self._store.set(self._clock())

    def watched_launcher(self, launcher: Launcher) -> Launcher:
        """The launcher in a wrapper that measures its trials' times."""
        return _WatchedLauncher(launcher, self)

    def watched_store(self, store: Store) -> Store:
        """The store in a wrapper that notes when it last answered."""
        return StoreAround(store, self._contact)

    @contextmanager
    def served(self, port: int) -> Iterator[int]:
        """Serve the metrics on all addresses until the block ends; `port` 0 takes any free port. Yields the port.

        Raises:
            BadInput: the port is not available.
        """
        try:
            server, thread = start_http_server(port, registry=self.registry)
        except (OSError, OverflowError) as error:
            raise BadInput(f"metrics cannot be served on port {port}: {error}") from None
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _WatchedLauncher:
    def __init__(self, inner: Launcher, metrics: Metrics) -> None:
        self._inner = inner
        self._metrics = metrics

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def parallel(self) -> int:
        return self._inner.parallel

    @property
    def devices(self) -> float:
        return self._inner.devices

    @property
    def together(self) -> int:
        return self._inner.together

    @property
    def outlives_us(self) -> bool:
        return self._inner.outlives_us

    @property
    def options(self) -> TrainerOptions:
        return self._inner.options

    @property
    def trouble(self) -> str:
        return self._inner.trouble

    def launch(self, request: TrainingRequest, attempt: int) -> None:
        self._inner.launch(request, attempt)
        self._metrics.launched(request.trial)

    def observe(self) -> Mapping[str, Observation]:
        seen = self._inner.observe()
        self._metrics.observed(seen, fresh=not self._inner.trouble)
        return seen

    def has_news(self) -> bool:
        return self._inner.has_news()

    def cancel(self, trial: str) -> None:
        self._inner.cancel(trial)

    def close(self) -> None:
        self._inner.close()
