"""The settings of what a search is told: which measure, and how much a design's costs count beside it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, field_validator

from metaqnn_orch.settings.section import Section
from metaqnn_trainer.contract.bounds import MEASURE_NAME, Reward

MOST_LIMITS: Final = 20


class SoftLimit(Section):
    """A measure that should be small, or large where its weight is negative: the reward is multiplied by
    (measure / reference) ** -weight (Tan et al. 2019, MnasNet, section 3)."""

    reference: float = Field(ge=1e-30, le=1e30)
    """Value at which the factor is 1, in the unit of the measure."""
    weight: float = Field(ge=-100, le=100)
    """Weight of the limit. With 0.07, as in MnasNet, twice the reference costs five percent of the reward. With -0.07
    it gains five."""
    only_above: bool = False
    """Whether a measure below its reference leaves the reward unchanged; one above it, where the weight is
    negative."""

    @field_validator("weight")
    @classmethod
    def _counts(cls, weight: float) -> float:
        if weight == 0:
            raise ValueError("a weight of 0 is no limit")
        return weight


class ObjectiveSettings(Section):
    """The reward that the searcher learns from, if it is not just the task's own.

    Soft limits are for every number that the space knows of a design before training (of the cnn family `params` and
    `macs`), for `seconds` of training, and for every measure of the result.
    """

    measure: str | None = Field(None, pattern=MEASURE_NAME)
    """Name of the measure that the searcher maximises (default: the task's own reward)."""
    chance: Reward | None = None
    """Value of `measure` for a net that has learned nothing and was not measured (default: the task's chance)."""
    soft_limits: dict[Annotated[str, Field(pattern=MEASURE_NAME)], SoftLimit] = Field({}, max_length=MOST_LIMITS)
    """Measures that should be small, by name, for example `{params: {reference: 1e6, weight: 0.07}}`. Those that should
    be large have a negative weight."""

    @property
    def changes_reward(self) -> bool:
        """Whether the searcher's reward differs from the task's own."""
        return self.measure is not None or bool(self.soft_limits)
