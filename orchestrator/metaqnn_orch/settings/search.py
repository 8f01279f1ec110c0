"""The settings of the search: which searcher, how many designs, and how the best of them are confirmed."""

from __future__ import annotations

from pydantic import Field

from metaqnn_orch.search import schedule
from metaqnn_orch.search.schedule import EpsilonPhase
from metaqnn_orch.search.searcher import DEFAULT_METHOD
from metaqnn_orch.settings.section import Section
from metaqnn_trainer.contract.bounds import Probability


class ConfirmSettings(Section):
    """Trains the best few designs again, with other seeds, when the search has ended: the mean decides which is the
    best. You may change this whenever you go on with a run. docs/search.md says more."""

    top: int | None = Field(None, ge=0, le=1000)
    """How many designs are trained again; 0 switches confirmation off. Default: the searcher's own number. For guided
    it is 5, for the other built-in ones 0."""
    repeats: int | None = Field(None, ge=1, le=100)
    """How often each is trained again. Default: the searcher's own number, or 2."""


class SearchSettings(Section):
    """Which searcher decides what is trained next. Its options stand beside `method`; those of q-learning are `agent`
    and `schedule`."""

    method: str = Field(DEFAULT_METHOD, min_length=1, max_length=100)
    """Name of the searcher: q-learning (the paper's), guided, evolution, local-search, random, or that of an installed
    plug-in (`metaqnn-orch config plugins` lists them). docs/search.md says which to choose."""
    confirm: ConfirmSettings = ConfirmSettings()


class PhaseSettings(Section):
    """A number of different nets (`unique`) that are sampled at one `epsilon`."""

    epsilon: Probability
    """Probability of a random choice."""
    unique: int = Field(ge=1, le=1_000_000)
    """Number of different nets."""


class ScheduleSettings(Section):
    """How many designs a search trains. For q-learning also with which epsilon (paper, Table 2)."""

    phases: tuple[PhaseSettings, ...] = Field(
        tuple(PhaseSettings(epsilon=epsilon, unique=unique) for epsilon, unique in schedule.PAPER), min_length=1
    )
    """The phases of the search, one after the other: `epsilon`, and how many different nets are sampled at it
    (`unique`)."""
    total: int | None = Field(None, ge=1, le=1_000_000)
    """Scales all phases in proportion, so that together they have this many different nets."""

    def resolve(self) -> tuple[EpsilonPhase, ...]:
        phases = tuple(EpsilonPhase(phase.epsilon, phase.unique) for phase in self.phases)
        return schedule.scaled(phases, self.total) if self.total is not None else phases
