"""A world for the loop, without training: real stores, a launcher that does what a function says, a clock by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from metaqnn_orch.control.events import Event
from metaqnn_orch.control.holder import Hold, this_process
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.loop import Loop
from metaqnn_orch.control.objective import Objective
from metaqnn_orch.control.record import RunRecord, create_record
from metaqnn_orch.control.resume import resume
from metaqnn_orch.control.surroundings import Outcome, Stop, Surroundings
from metaqnn_orch.launchers.base import NO_OPTIONS, Launcher, Observation, Phase
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.values import parse_settings
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.messages import DatasetRef, TrainingRequest
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.spaces.cnn.spec import spec_cost
from metaqnn_trainer.store.base import Store

DATASET = DatasetRef(name="digits", digest="0123456789abcdef")
INFO = DatasetInfo(
    name="digits",
    channels=1,
    image_size=8,
    classes=10,
    class_names=[str(digit) for digit in range(10)],
    train=8,
    validation=2,
    test=0,
    source="none",
)


def settings(**overrides: object) -> Settings:
    """A small space, a schedule of twelve nets, everything else by dotted key with `__` for the dot."""
    values: dict[str, dict[str, object]] = {
        "dataset": {"name": "digits", "digest": DATASET.digest},
        "space": {"image_size": 8, "channels": 1, "classes": 10, "max_layers": 3},
        "schedule": {"phases": [{"epsilon": 1.0, "unique": 6}, {"epsilon": 0.3, "unique": 6}]},
        "agent": {"replay_draws": 5},
        "execution": {"parallel": 2, "retries": 2},
    }
    for key, value in overrides.items():
        section, _, name = key.partition("__")
        if name:
            values.setdefault(section, {})[name] = value
        else:
            values[section] = value  # type: ignore[assignment]
    return parse_settings(values)


OBJECTIVE = Objective(settings())
"""The task's own reward."""


def accuracy_of(net: str) -> float:
    """An accuracy that depends on the net alone."""
    return int(hashlib.sha256(net.encode()).hexdigest()[:6], 16) / 0xFFFFFF


def result_for(
    request: TrainingRequest, attempt: int = 1, channels: int = INFO.images().channels, **changes: object
) -> TrainingResult:
    return TrainingResult.model_validate(values_for(request, attempt, channels, **changes))


def values_for(
    request: TrainingRequest, attempt: int = 1, channels: int = INFO.images().channels, **changes: object
) -> dict[str, object]:
    """What a result holds, whether or not it can be one, of images of so many channels."""
    cost = spec_cost(request.spec, channels)
    values: dict[str, object] = {
        "run": request.run,
        "trial": request.trial,
        "spec_digest": request.spec.digest(),
        "attempt": attempt,
        "status": "completed",
        "val_accuracy": accuracy_of(request.spec.net),
        "best_epoch": 1,
        "epochs": 1,
        "learning_rates": [0.001],
        "params": cost.params,
        "macs": cost.macs,
        "images_per_second": 1.0,
        "seconds": 0.5,
        "device": "none",
        "versions": {},
    }
    values |= changes
    return {"last_val_accuracy": values["val_accuracy"], **values}


Behaviour = Callable[[Store, TrainingRequest, int], Phase]


def deliver(store: Store, request: TrainingRequest, attempt: int, channels: int = INFO.images().channels) -> Phase:
    """Every trial ends well at once, with weights."""
    artifact = artifacts.put(store, request.run, request.trial, "weights", f"weights of {request.spec.net}".encode())
    result = result_for(request, attempt, channels, weights=artifact)
    store.put_if_absent(keys.result(request.run, request.trial), encode(result))
    return Phase.DELIVERED


class ScriptedLauncher:
    """Does at launch what a function says; a trial ends when it is observed the first time."""

    name = "scripted"
    devices = 1

    def __init__(self, store: Store, behaviour: Behaviour = deliver, parallel: int = 2) -> None:
        self.parallel = parallel
        self.together = 1
        self.outlives_us = False
        self.trouble = ""
        self.options = NO_OPTIONS
        self.launched: list[tuple[str, int]] = []
        self._store = store
        self._behaviour = behaviour
        self._known: dict[str, Observation] = {}

    def launch(self, request: TrainingRequest, attempt: int) -> None:
        known = self._known.get(request.trial)
        if known is None or known.attempt < attempt:
            self.launched.append((request.trial, attempt))
            phase = self._behaviour(self._store, request, attempt)
            self._known[request.trial] = Observation(attempt, phase, f"{phase} as told")

    def observe(self) -> Mapping[str, Observation]:
        return dict(self._known)

    def has_news(self) -> bool:
        return False

    def cancel(self, trial: str) -> None:
        self._known.pop(trial, None)

    def close(self) -> None:
        pass


@dataclass
class Clock:
    """Time that passes only in sleep()."""

    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.slept.append(seconds)

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Leap(Clock):
    """Naps of an idle loop pass in one of `span` seconds, for pauses that last minutes: settings are to have
    execution.poll_seconds=0.02, so that the loop looks after each.
    """

    span: float = 2.0

    def sleep(self, seconds: float) -> None:
        super().sleep(max(self.span, seconds))


@dataclass
class Session:
    """One orchestrator's session, opened like the command line does it."""

    store: Store
    settings: Settings
    name: str = "one"
    run: str = "test"
    dataset: DatasetRef = DATASET
    info: DatasetInfo = INFO
    clock: Clock = field(default_factory=Clock)
    stop: Callable[[], Stop] = lambda: Stop.NO
    now: Callable[[], str] = lambda: "now"
    on_event: Callable[[Event], None] | None = None
    events: list[Event] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def open(self) -> None:
        record = RunRecord(
            run=self.run,
            uid="0" * 32,
            created_at="now",
            version="0",
            settings=self.settings.identity(),
            dataset=self.dataset,
            info=self.info,
        )
        self.record = create_record(self.store, record)
        self.hold = Hold(self.store, self.run, this_process(self.name, "now"), self.clock.monotonic)
        self.state, self.journal = resume(self.store, self.record, self.settings, self.name)

    def search(self, launcher: Launcher) -> Outcome:
        loop = Loop(
            record=self.record,
            state=self.state,
            journal=self.journal,
            store=self.store,
            launcher=launcher,
            hold=self.hold,
            version="0",
            goal=self.settings.goal,
            surroundings=Surroundings(
                now=self.now,
                monotonic=self.clock.monotonic,
                sleep=self.clock.sleep,
                stop=self.stop,
                on_event=self.on_event or self.events.append,
                on_trouble=self.troubles.append,
            ),
        )
        return loop.run()

    def run_to_end(self, behaviour: Behaviour = deliver, parallel: int = 2) -> Outcome:
        self.open()
        return self.search(ScriptedLauncher(self.store, behaviour, parallel))


def told_order(store: Store, run: str = "test") -> list[str]:
    """Trials in the order in which they were told."""
    return [event.trial for event in Journal(store, run).read() if event.type == "told"]
