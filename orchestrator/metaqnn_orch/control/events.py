"""What a journal holds: everything that ever happened to a run, as values. The state of a run is their fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from metaqnn_orch.control.ends import Lost
from metaqnn_orch.errors import JournalError
from metaqnn_orch.settings.model import BudgetSettings
from metaqnn_trainer.contract.bounds import Probability, Sha256
from metaqnn_trainer.contract.codec import Message, encode_line
from metaqnn_trainer.contract.keys import TRIAL_PATTERN
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
    """Trials in flight at most; 0 where nobody said so."""
    devices: float = 1.0
    """That a trial of this session holds while it runs; a part of one where several share it."""
    budget: BudgetSettings = BudgetSettings()


class Recalled(Message):
    """The agent was told what another run's agent had been told, before any net of its own."""

    type: Literal["recalled"] = "recalled"
    run: str
    rows: tuple[tuple[str, Probability], ...]
    """Nets with their accuracies there, once for each time that they were presented, in that order."""
    refused: int = 0
    """Presentations that were left out: their nets are not of this space."""


class Proposed(Message):
    """The agent sampled a net. A known one is learned from again; one in flight is counted, and told when it ends."""

    type: Literal["proposed"] = "proposed"
    step: int
    """Of the agent, from 0: together with the run's seed it is the randomness of this proposal."""
    epsilon: Probability
    net: str
    trial: str = Field(pattern=TRIAL_PATTERN)


class Told(Message):
    """A result was accepted. The agent learns from it once for each time that the net was sampled."""

    type: Literal["told"] = "told"
    at: str
    trial: str = Field(pattern=TRIAL_PATTERN)
    attempt: int
    """That delivered, from 1; 0 where the result was imported."""
    status: Status
    val_accuracy: Probability
    """That the agent is told: measured, but of a net that was stopped early foretold."""
    params: int
    macs: int
    seconds: float
    images_per_second: float = 0.0
    """While training; 0 where nobody measured it."""
    device: str = ""
    """What answered: where it was trained, or the table that knew."""
    measured: Probability | None = None
    """Of a net that was stopped early: the best of its epochs."""
    prediction: Prediction | None = None
    """Of a net that was stopped early: what it would have reached."""
    curve: tuple[Probability, ...] = ()
    """Validation accuracies of the epochs that counted, where the early end is enabled."""


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
        return self.kind == "crashed" if self.charged is None else self.charged


class Abandoned(Message):
    """The trial lost one attempt more than it may. It is never told and never drawn again."""

    type: Literal["abandoned"] = "abandoned"
    at: str
    trial: str = Field(pattern=TRIAL_PATTERN)


Reason = Literal["goal", "exhausted", "target", "budget"]


class Finished(Message):
    """The session came to its end: its goal, its target accuracy, its budget, or nothing new to try."""

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
        raise JournalError(f"{key} is damaged or of another version: the first line is none of ours") from None


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
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole line"
        raise JournalError(
            f"{key}, after {len(events)} events, is damaged or of another version: {place}: {first['msg']}"[:300]
        ) from None
    if len(events) != head.events:
        raise JournalError(f"{key} is damaged: {len(events)} events where its first line announces {head.events}")
    return events
