"""The events of a journal: everything that ever happened to a run, as values. The state of a run is their fold."""

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

MAX_ENTRY_BYTES: Final = 1 << 26  # bytes; an entry of ten thousand events has a tenth of it


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
    """Trials in flight at most. Everything else calls it `parallel`; journals have had this name from the beginning. 0
    where it is not known.
    """
    devices: float = 1.0
    """Devices that a trial of this session holds while it runs; a fraction where several trials share one."""
    budget: BudgetSettings = BudgetSettings()
    settings: dict[str, JsonValue] | None = None
    """The settings of how this session works, as far as they are not the defaults: the sections execution and
    tracking. None in journals of earlier releases.
    """


class Recalled(Message):
    """The searcher was told what another run's searcher had been told, before any design of its own."""

    type: Literal["recalled"] = "recalled"
    run: str
    rows: tuple[tuple[str, Reward], ...]
    """Designs with their rewards there, once for each time that they were presented, in that order."""
    refused: int = 0
    """Presentations that were left out: their designs are not of this space."""


class Proposed(Message):
    """The searcher, or a person, proposed a design. If the design is known, the searcher is told of it again; if it is
    in flight, the searcher is told when its trial ends.
    """

    type: Literal["proposed"] = "proposed"
    step: int
    """The searcher's step, from 0: together with the run's seed it is the randomness of this proposal."""
    epsilon: Probability | None
    """The searcher's epsilon; null for a searcher that has none, and for a design that a person proposed."""
    net: str
    """The design."""
    trial: str = Field(pattern=TRIAL_PATTERN)
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    """Settings of the recipe that differ for this trial."""
    initial: WeightsRef | None = None
    """Weights that this trial begins with, where the searcher asks for it."""
    confirms: str | None = Field(None, pattern=TRIAL_PATTERN)
    """The trial that this one repeats with another seed. The searcher did not propose it and is not told of it, and
    `step` is the searcher's next one.
    """
    origin: Literal["by hand"] | None = None
    """Who proposed the design, if not the searcher: a person, through the run's queue. `step` is the searcher's next
    one.
    """


class Shortlisted(Message):
    """The search paused or ended, and its best few trials were chosen: each is repeated with other seeds."""

    type: Literal["shortlisted"] = "shortlisted"
    at: str
    trials: tuple[Annotated[str, Field(pattern=TRIAL_PATTERN)], ...] = Field(strict=False)
    top: int
    """Number of designs that the settings asked for: there may be fewer."""
    repeats: int
    """How often each is repeated."""


class Told(Message):
    """A result was accepted. The searcher is told of it once for each time that it proposed the design."""

    type: Literal["told"] = "told"
    at: str
    trial: str = Field(pattern=TRIAL_PATTERN)
    attempt: int
    """The attempt that delivered the result, from 1; 0 where the result was imported."""
    status: Status
    reward: Reward
    """The reward that the searcher is told: the task's, or the objective's; for a net that was stopped early, the
    predicted one.
    """
    measures: Measures = Field({})
    """The result's measures. In image classification `accuracy` is among them, however the trial ended."""
    params: int
    macs: int
    seconds: float
    images_per_second: float = 0.0
    """Images per second in training; 0 where it was not measured."""
    device: str = ""
    """The device that the net was trained on, or the name of the table that answered."""
    measured: Reward | None = None
    """For a net that was stopped early: the reward of its best epoch."""
    prediction: Prediction | None = None
    """For a net that was stopped early: the prediction of the reward that it would have reached."""
    curve: tuple[Reward, ...] = Field((), strict=False)  # a list, after the fields with single values
    """Rewards of the epochs that counted; left out where they were very many, and by earlier releases."""

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
        """Validation accuracy, where `accuracy` is a measure; for a net that was stopped early, the predicted one."""
        return shown_accuracy(self.status, self.reward, self.measures)


def shown_accuracy(state: str, reward: float | None, measures: Mapping[str, float]) -> float | None:
    """The number that is shown as the validation accuracy of a trial in this state."""
    accuracy = measures.get("accuracy")
    return reward if accuracy is not None and state == "stopped_early" else accuracy


class Failed(Message):
    """An attempt ended without a result."""

    type: Literal["failed"] = "failed"
    at: str
    trial: str = Field(pattern=TRIAL_PATTERN)
    attempt: int
    kind: Lost
    detail: str
    seconds: float = 0.0
    """Seconds for which the attempt was seen to run."""
    charged: bool | None = None
    """Whether the end counts against the trial's attempts. Earlier releases wrote None: then a crash counts."""
    refused: Sha256 | None = None
    """sha256 of the result that was refused, if that ended the attempt. The same result is not charged again."""

    @property
    def is_charged(self) -> bool:
        return self.kind is Phase.CRASHED if self.charged is None else self.charged


class Abandoned(Message):
    """The trial lost one attempt more than it may. It is never told and never drawn again."""

    type: Literal["abandoned"] = "abandoned"
    at: str
    trial: str = Field(pattern=TRIAL_PATTERN)


class Braked(Message):
    """Attempts of different trials ended in the same way, one after another: launching pauses, and what they were
    charged is given back.
    """

    type: Literal["braked"] = "braked"
    at: str
    given_back: dict[str, int]
    """Charged attempts by trial. A trial of them that was abandoned is in flight again."""
    under_way: dict[str, int]
    """The attempts that were under way, by trial: their ends say nothing of whether it is over."""


class Released(Message):
    """The brake was released: trials begin again."""

    type: Literal["released"] = "released"
    at: str
    why: str
    blamed: bool = False
    """Whether the nets that ended in the same way are taken for the cause."""


Reason = Literal["goal", "exhausted", "target", "budget"]


class Finished(Message):
    """The session came to its end: its goal, its target, its budget, or nothing new to try."""

    type: Literal["finished"] = "finished"
    at: str
    reason: Reason
    detail: str = ""


class Left(Message):
    """A signal stopped the session. It had worked until then, whether or not any event had happened."""

    type: Literal["left"] = "left"
    at: str
    seconds: tuple[float, ...] = ()
    """Seconds for which each trial was seen to run that ended with the session and is to be launched again."""


Event = Opened | Recalled | Proposed | Shortlisted | Told | Failed | Abandoned | Braked | Released | Finished | Left


class Head(Message):
    """First line of an entry. The session's name makes entries of different writers different, whatever their
    events.
    """

    type: Literal["entry"] = "entry"
    schema_version: Literal[1] = 1
    session: str
    events: int
    """Number of lines that follow: it shows where an entry was cut off."""


_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


def encode_entry(session: str, events: Sequence[Event]) -> bytes:
    """One object of the journal: what one session decided at one moment, a line for each event."""
    lines = [Head(session=session, events=len(events)), *events]
    return b"".join(encode_line(line) for line in lines)


def decode_head(data: bytes, key: str) -> Head:
    """The head of an object of the journal: it names the writer.

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
