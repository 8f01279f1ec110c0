"""What a journal says beyond the state: when trials ended, and every attempt without a result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from metaqnn_orch.control.events import Event, Failed, Opened, Told
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import StoreError
from metaqnn_orch.reporting.summary import RunView
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.base import Store

LARGEST_PICTURE: Final = 1 << 20  # bytes: the page holds it in its text

Pictures = Mapping[str, Mapping[str, bytes]]
"""PNG files by trial and by name."""


class EndedTrial(NamedTuple):
    """A trial that has a reward, and when it was told."""

    trial: Trial
    reward: float
    at: datetime | None
    """The moment; None where the journal's text is no time."""
    trained_here: bool
    """Whether the run trained it: not so if it was imported, or if a table answered. Else its times mean nothing."""

    @property
    def seconds(self) -> float:
        return self.trial.seconds or 0.0


class Trouble(NamedTuple):
    """An attempt without a result."""

    trial: str
    attempt: int
    kind: str
    """How it ended, in the words of control/ends.py."""
    detail: str
    at: datetime | None


@dataclass
class History:
    """What happened in a run, in the order of the journal."""

    trained: list[EndedTrial]
    """Everything that ended, and also what repeats a trial to confirm it."""
    troubles: list[Trouble]
    sessions: int = 0
    """How often an orchestrator took the run over."""

    @property
    def ended(self) -> list[EndedTrial]:
        """The trials of the search."""
        return [item for item in self.trained if not item.trial.confirms]

    @property
    def timed(self) -> list[EndedTrial]:
        """What the run trained itself."""
        return [item for item in self.trained if item.trained_here]

    def add(self, event: Event, view: RunView) -> None:
        """Take in the next event of the run."""
        match event:
            case Told():
                trial = view.state.trials[event.trial]
                here = trial.attempt > 0 and view.record.table is None
                self.trained.append(EndedTrial(trial, event.reward, when(event.at), here))
            case Failed():
                self.troubles.append(Trouble(event.trial, event.attempt, event.kind, event.detail, when(event.at)))
            case Opened():
                self.sessions += 1


def read_history(store: Store, view: RunView) -> History:
    """The history of a run, as far as `view` read its journal.

    Raises:
        JournalError: the journal is damaged.
    """
    history = History([], [])
    journal = Journal(store, view.record.run)
    for event in journal.read():
        if journal.position > view.position:
            break
        history.add(event, view)
    return history


def when(text: str) -> datetime | None:
    """A moment as the journal writes it; None where its text is no time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def read_pictures(store: Store, view: RunView, trials: Iterable[Trial], missed: Callable[[str], None]) -> Pictures:
    """The pictures in these trials' results, as far as they exist and are intact. Large ones are left in the store:
    `pull` fetches them. `missed` is told, in a sentence, of each result or picture that cannot be read.
    """
    found: dict[str, dict[str, bytes]] = {}
    for trial in trials:
        result = _result(store, view, trial, missed)
        for name, artifact in result.pictures.items() if result is not None else ():
            if artifact.size <= LARGEST_PICTURE:
                try:
                    data = artifacts.read(store, view.record.run, trial.trial, artifacts.PICTURE + name, artifact)
                    found.setdefault(trial.trial, {})[name] = artifacts.checked_picture(name, data)
                except (MessageError, StoreError) as error:
                    missed(f"picture {name} of trial {trial.trial} is left out: {error}")
    return found


def read_best(store: Store, view: RunView) -> TrainingResult | None:
    """The best trial's result, where there is one: imported trials have none."""
    return _result(store, view, view.state.best) if view.state.best is not None else None


def _result(
    store: Store, view: RunView, trial: Trial, missed: Callable[[str], None] = lambda reason: None
) -> TrainingResult | None:
    """The trial's result; None where it cannot be read, of which `missed` is told, and of imported trials."""
    if not trial.attempt:
        return None
    try:
        return read(TrainingResult, store.get, keys.result(view.record.run, trial.trial))
    except (MessageError, StoreError) as error:
        missed(f"the result of trial {trial.trial} cannot be read: {error}")
        return None
