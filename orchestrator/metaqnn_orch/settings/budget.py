"""The settings of what a run may use."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from metaqnn_orch.settings.section import Section
from metaqnn_trainer.contract.bounds import Reward


class BudgetSettings(Section):
    """What a run may use, over all its sessions; whichever comes first ends it. May change whenever the run goes on.

    No trial begins that would probably end beyond a limit, taking the mean of the last hundred for it and for those in
    training. None is cut: the last ones may go beyond by as much as they are longer than that mean.
    """

    gpu_hours: float | None = Field(None, gt=0, le=1e9)
    """Hours of training times the GPUs of a trial, or its share of one, lost attempts too. Without a GPU, hours of a
    worker."""
    money: float | None = Field(None, gt=0, le=1e12)
    """At `price_per_gpu_hour`."""
    wall_clock_hours: float | None = Field(None, gt=0, le=1e6)
    """In which an orchestrator worked on the run: pauses between sessions do not count."""
    target: Reward | None = None
    """Reward that is good enough: the validation accuracy, unless task or objective say otherwise. Its older name,
    `target_accuracy`, is understood everywhere."""
    price_per_gpu_hour: float | None = Field(None, ge=0, le=1e6)
    currency: str | None = Field(None, max_length=12, pattern=r"^\S+$")
    """What money is called wherever it is shown."""

    @model_validator(mode="before")
    @classmethod
    def _target_had_another_name(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "target_accuracy" not in values:
            return values
        older, target = values["target_accuracy"], values.get("target")
        if None not in (older, target) and older != target:
            raise ValueError("budget.target and budget.target_accuracy are one setting, and differ")
        rest = {name: value for name, value in values.items() if name != "target_accuracy"}
        return {**rest, "target": older if target is None else target}

    @model_validator(mode="after")
    def _money_has_a_price(self) -> BudgetSettings:
        if self.money is not None and not self.price_per_gpu_hour:
            raise ValueError("budget.money says nothing without budget.price_per_gpu_hour")
        return self
