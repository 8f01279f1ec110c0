"""What a journal holds: everything that ever happened to a run, as values. The state of a run is their fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field, JsonValue, TypeAdapter, ValidationError, model_validator

from metaqnn_orch.control.ends import Lost
from metaqnn_orch.errors import JournalError
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.settings.budget import BudgetSettings
from metaqnn_trainer.contract.bounds import Measures, Probability, Reward, Sha256
from metaqnn_trainer.contract.codec import Message, encode_line, first_error
from metaqnn_trainer.contract.keys import TRIAL_PATTERN
from metaqnn_trainer.contract.messages import WeightsRef
from metaqnn_trainer.contract.result import Prediction, Status

MAX_ENTRY_BYTES: Final = 1 << 26  # one of ten thousand events has a tenth of that


class Opened(Message):
    """An orchestrator took the run over. Every entry before was written by its predecessors, every one after by it."""

    type: Literal["opened"] = "opened"
    at: str
    session: str
    owner: str
    version: str
    goal: int
    """Unique trained nets after which this session calls the run complete."""
    launcher: str = ""
    places: int = 0
    """Trials in flight at most, what everything else calls `parallel`: journals have had this name from the beginning.
    0 where nobody said so."""
    devices: float = 1.0
    """That a trial of this session holds while it runs; a part of one where several share it."""
    budget: BudgetSettings = BudgetSettings()


class Recalled(Message):
    """The searcher was told what another run's searcher had been told, before any design of its own."""

    type: Literal["recalled"] = "recalled"
    run: str
    rows: tuple[tuple[str, Reward], ...]
    """Designs with their rewards there, once for each time that they were presented, in that order."""
    refused: int = 0
    """Presentations that were left out: their designs are not of this space."""


class Proposed(Message):
    """The searcher proposed a design. Of a known one it is told again; of one in flight when that ends."""

    type: Literal["proposed"] = "proposed"
    step: int
    """Of the searcher, from 0: together with the run's seed it is the randomness of this proposal."""
    epsilon: Probability | None
    """Of a searcher that has none: null."""
    net: str
    """The design."""
    trial: str = Field(pattern=TRIAL_PATTERN)
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    """Settings of the recipe that differ for this trial."""
    initial: WeightsRef | None = None
    """Weights that this trial begins with, where the searcher wants it."""


class Told(Message):
    """A result was accepted. The searcher is told of it once for each time that it proposed the design."""

    type: Literal["told"] = "told"
    at: str
    trial: str = Field(pattern=TRIAL_PATTERN)
    attempt: int
    """That delivered, from 1; 0 where the result was imported."""
    status: Status
    reward: Reward
    """That the searcher is told: the task's, or what the objective made of it; of a net that was stopped early what was
    foretold."""
    measures: Measures = Field({})
    """Of the result. Where images are classified `accuracy` is among them, whatever became of the trial."""
    params: int
    macs: int
    seconds: float
    images_per_second: float = 0.0
    """While training; 0 where nobody measured it."""
    device: str = ""
    """What answered: where it was trained, or the table that knew."""
    measured: Reward | None = None
    """Of a net that was stopped early: the reward of its best epoch."""
    prediction: Prediction | None = None
    """Of a net that was stopped early: what it would have reached."""
    curve: tuple[Reward, ...] = Field((), strict=False)  # a list, after what comes first
    """Rewards of the epochs that counted, where the early end is enabled."""

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_release(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "val_accuracy" not in values:
            return values
        rest = {name: value for name, value in values.items() if name != "val_accuracy"}
        reward, measured = values["val_accuracy"], values.get("measured")
        return {"reward": reward, "measures": {"accuracy": reward if measured is None else measured}, **rest}

    @property
    def val_accuracy(self) -> float | None:
        """Validation accuracy, where `accuracy` is a measure; of a net that was stopped early the foretold one."""
        return shown_accuracy(self.status, self.reward, self.measures)


def shown_accuracy(state: str, reward: float | None, measures: Mapping[str, float]) -> float | None:
    """What is called the validation accuracy of a trial in this state."""
    accuracy = measures.get("accuracy")
    return reward if accuracy is not None and state == "stopped_early" else accuracy


class Failed(Message):
    """An attempt ended without an answer."""

    type: Literal["failed"] = "failed"
    at: str
    trial: str = Field(pattern=TRIAL_PATTERN)
    attempt: int
    kind: Lost
    detail: str
    seconds: float = 0.0
    """For which the attempt was seen to run."""
    charged: bool | None = None
    """Whether it costs one of the trial's attempts. None, as earlier releases wrote: a crash does."""
    refused: Sha256 | None = None
    """sha256 of the result that was refused, if that ended the attempt. The same one is not charged again."""

    @property
    def is_charged(self) -> bool:
        return self.kind is Phase.CRASHED if self.charged is None else self.charged


class Abandoned(Message):
    """The trial lost one attempt more than it may. It is never told and never drawn again."""

    type: Literal["abandoned"] = "abandoned"
    at: str
    trial: str = Field(pattern=TRIAL_PATTERN)


Reason = Literal["goal", "exhausted", "target", "budget"]


class Finished(Message):
    """The session came to its end: its goal, its target, its budget, or nothing new to try."""

    type: Literal["finished"] = "finished"
    at: str
    reason: Reason
    detail: str = ""


class Left(Message):
    """Somebody stopped the session. It had worked until then, whether or not anything had happened."""

    type: Literal["left"] = "left"
    at: str
    seconds: tuple[float, ...] = ()
    """For which each trial was seen to run that ended with the session, and is to be launched again."""


Event = Opened | Recalled | Proposed | Told | Failed | Abandoned | Finished | Left


class Head(Message):
    """First line of an entry. The session makes entries of different writers different, whatever they say."""

    type: Literal["entry"] = "entry"
    schema_version: Literal[1] = 1
    session: str
    events: int
    """How many lines follow: a cut entry is seen to be cut."""


_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


def encode_entry(session: str, events: Sequence[Event]) -> bytes:
    """One object of the journal: what one session decided at one moment, a line for each event."""
    lines = [Head(session=session, events=len(events)), *events]
    return b"".join(encode_line(line) for line in lines)


def decode_head(data: bytes, key: str) -> Head:
    """Who wrote an object of the journal.

    Raises:
        JournalError: its first line is damaged.
    """
    try:
        return Head.model_validate_json(data.partition(b"\n")[0])
    except ValidationError:
        raise JournalError(f"{key} is damaged or of another version: its first line is not valid") from None


def decode_entry(data: bytes, key: str) -> list[Event]:
    """The events of one object of the journal.

    Raises:
        JournalError: names the object, the place and what is wrong there.
    """
    if len(data) > MAX_ENTRY_BYTES:
        raise JournalError(f"{key} is damaged: it has more than the {MAX_ENTRY_BYTES} bytes that an entry may have")
    events: list[Event] = []
    lines = iter(data.splitlines())
    try:
        head = Head.model_validate_json(next(lines, b""))
        for line in lines:
            events.append(_EVENT.validate_json(line))
    except ValidationError as error:
        what = f"{key}, after {len(events)} events, is damaged or of another version"
        raise JournalError(f"{what}: {first_error(error)}"[:300]) from None
    if len(events) != head.events:
        raise JournalError(f"{key} is damaged: it has {len(events)} events, but its first line says {head.events}")
    return events
