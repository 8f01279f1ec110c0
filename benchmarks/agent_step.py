"""What one trial costs beside its training: ours, and what Optuna needs for the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalStorage

from benchmarks.optuna_peer import suggest_net
from metaqnn_orch.control.events import Event, Proposed, Told
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.record import RunRecord, stand_in
from metaqnn_orch.control.state import RunState
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.spaces.cnn.space import Cnn
from metaqnn_trainer.store.directory import DirectoryStore

Step = Callable[[], None]
OURS, UNFLUSHED = "MetaQNN, journal durable on disk", "MetaQNN, journal not flushed"
DURABLE = {
    OURS: "yes: one entry, its file and its directory flushed (fsync)",
    UNFLUSHED: "against a killed process, not against a loss of power",
    "Optuna, random, in memory": "no: gone with the process",
    "Optuna, TPE, in memory": "no: gone with the process",
    "Optuna, TPE, journal file": "yes: a record for each call and parameter, each flushed (fsync)",
    "Optuna, TPE, SQLite": "yes: a transaction for each call and parameter, with SQLite's default (synchronous=FULL)",
}
AT = "2026-01-01T00:00:00+00:00"


def paper_settings() -> Settings:
    """The paper's search on SVHN, with everything as it comes."""
    return load_settings("svhn", {}, [], {}).settings


def paper_space() -> Cnn:
    """Its space."""
    settings = paper_settings()
    return Cnn(settings.space, settings.model)


def reward(net: str) -> float:
    """Something between 0 and 1 that is always the same for a net: what an agent step costs does not depend on it."""
    return int.from_bytes(hashlib.sha256(net.encode()).digest()[:4], "big") / 2**32


class OurAgent:
    """What the control loop does between the end of one trial and the launch of the next, with one trial in flight."""

    def __init__(self, directory: Path, *, durable: bool) -> None:
        # Half of the decisions look at the Q-table, and nearly every net is new: the dearest kind of step.
        self.settings = load_settings("svhn", {}, ["schedule.phases=[{epsilon: 0.5, unique: 1000000}]"], {}).settings
        self.state = RunState(self.settings)
        data = stand_in(self.settings, "0" * 16, "a benchmark")
        self.record = RunRecord(
            run="bench",
            uid="0" * 32,
            created_at=AT,
            version="0",
            settings=self.settings.identity(),
            dataset=data.dataset,
            info=data.info,
        )
        self.journal = Journal(DirectoryStore(directory, durable=durable), "bench", "0" * 16)

    def step(self) -> None:
        self.write(self.learn(self.sample()))

    def sample(self) -> Proposed:
        """A net, looked up among the known ones."""
        state = self.state
        proposal = state.propose(state.step)
        assert proposal is not None
        net = proposal.design
        known = state.by_net.get(net)
        trial = known.trial if known is not None else self.record.spec(self.settings, net).trial_id()
        return Proposed(step=state.step, epsilon=state.epsilon, net=net, trial=trial)

    def learn(self, proposed: Proposed) -> list[Event]:
        """A hundred draws from the replay memory, each of which updates all transitions of a net."""
        events: list[Event] = [proposed]
        if proposed.net not in self.state.by_net:
            events.append(_told(proposed.trial, proposed.net))
        for event in events:
            self.state.apply(event)
        return events

    def write(self, events: list[Event]) -> None:
        """One entry of the journal."""
        self.journal.append(events)

    def fill(self, unique: int) -> None:
        while self.state.unique < unique:
            self.learn(self.sample())

    def parts(self, steps: int) -> dict[str, list[float]]:
        """Milliseconds that each part of so many steps takes."""
        found: dict[str, list[float]] = {"sample and look up": [], "learn from 100 draws": [], "write the journal": []}
        for _ in range(steps):
            begun = perf_counter()
            proposed = self.sample()
            sampled = perf_counter()
            events = self.learn(proposed)
            learned = perf_counter()
            self.write(events)
            ends = (sampled - begun, learned - sampled, perf_counter() - learned)
            for times, seconds in zip(found.values(), ends, strict=True):
                times.append(seconds * 1e3)
        return found


def _told(trial: str, net: str) -> Told:
    return Told(at=AT, trial=trial, attempt=1, status="completed", reward=reward(net), params=1, macs=1, seconds=1.0)


def optuna_step(storage: BaseStorage, sampler: BaseSampler, unique: int) -> Step:
    """One trial of a study that holds `unique` finished ones: ask, suggest a net, tell."""
    space = paper_space()
    source = optuna.create_study(storage=InMemoryStorage(), sampler=RandomSampler(seed=0), direction="maximize")
    for _ in range(unique):
        trial = source.ask()
        source.tell(trial, reward(suggest_net(trial, space)))
    study = optuna.create_study(storage=storage, sampler=sampler, direction="maximize")
    study.add_trials(source.get_trials(deepcopy=False))

    def step() -> None:
        trial = study.ask()
        study.tell(trial, reward(suggest_net(trial, space)))

    return step


def peers(directory: Path) -> dict[str, Callable[[int], Step]]:
    """Steps by what they are, each to be made for a number of remembered trials."""

    def sqlite(unique: int) -> Step:
        return optuna_step(RDBStorage(f"sqlite:///{directory}/optuna-{unique}.db"), TPESampler(seed=0), unique)

    def journal(unique: int) -> Step:
        backend = JournalFileBackend(str(directory / f"optuna-{unique}.log"))
        return optuna_step(JournalStorage(backend), TPESampler(seed=0), unique)

    return {
        "Optuna, random, in memory": lambda unique: optuna_step(InMemoryStorage(), RandomSampler(seed=0), unique),
        "Optuna, TPE, in memory": lambda unique: optuna_step(InMemoryStorage(), TPESampler(seed=0), unique),
        "Optuna, TPE, journal file": journal,
        "Optuna, TPE, SQLite": sqlite,
    }
