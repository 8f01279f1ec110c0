"""The settings of what a run may use."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from metaqnn_orch.settings.section import Section
from metaqnn_trainer.contract.bounds import Reward


class BudgetSettings(Section):
    """What a run may use, over all its sessions. The first limit that is reached ends the run. You may change limits
    whenever you go on with a run.

    A trial does not begin if it would probably end beyond a limit, estimated with the mean of the last hundred trials.
    Trials in training are not cut off, so the last ones may exceed the limit by as much as they are longer than this
    mean.
    """

    gpu_hours: float | None = Field(None, gt=0, le=1e9)
    """GPU hours: hours of training, times the GPUs of a trial or its share of one. Lost attempts count, too. Without
    GPUs, hours of worker processes."""
    money: float | None = Field(None, gt=0, le=1e12)
    """Money, at `price_per_gpu_hour`."""
    wall_clock_hours: float | None = Field(None, gt=0, le=1e6)
    """Hours in which an orchestrator worked on the run. Pauses between sessions do not count."""
    target: Reward | None = None
    """The run ends when a net has this reward. The reward is the validation accuracy, unless task or objective change
    it. The older name `target_accuracy` still works."""
    price_per_gpu_hour: float | None = Field(None, ge=0, le=1e6)
    """Price of an hour of one GPU."""
    currency: str | None = Field(None, max_length=12, pattern=r"^\S+$")
    """Name of the currency that is shown with amounts of money."""

    @model_validator(mode="before")
    @classmethod
    def _target_had_another_name(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "target_accuracy" not in values:
            return values
        older, target = values["target_accuracy"], values.get("target")
        if None not in (older, target) and older != target:
            raise ValueError("budget.target and budget.target_accuracy are the same setting, but have different values")
        rest = {name: value for name, value in values.items() if name != "target_accuracy"}
        return {**rest, "target": older if target is None else target}

    @model_validator(mode="after")
    def _money_has_a_price(self) -> BudgetSettings:
        if self.money is not None and not self.price_per_gpu_hour:
            raise ValueError("budget.money needs budget.price_per_gpu_hour")
        return self
