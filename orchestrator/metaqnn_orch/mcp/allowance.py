"""What an assistant may spend: a budget over all starts of one server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

from metaqnn_orch.errors import BadInput
from metaqnn_trainer.contract.text import amount


class Consumption(NamedTuple):
    """Nets and hours of training."""

    trials: int
    hours: float


class BudgetLeft(TypedDict):
    """What is left of the server's budget."""

    trials: int | None
    """Number of nets that may still be trained; None where the server has no such limit."""
    hours: float | None
    """Hours of training, times the devices of a trial; None where the server has no such limit."""


@dataclass
class Grant:
    """What one start was granted. Until its search ends it counts in full; after that, what was used."""

    most: Consumption
    used: Callable[[], Consumption | None]
    """What its search used, once it has ended; None before."""

    def cost(self) -> Consumption:
        used, most = self.used(), self.most
        return most if used is None else Consumption(min(used.trials, most.trials), min(used.hours, most.hours))


class Allowance:
    """A budget of nets, of hours of training, or of both."""

    def __init__(self, trials: int | None, hours: float | None) -> None:
        self.trials = trials
        self.hours = hours
        self._grants: list[Grant] = []

    def left(self) -> BudgetLeft:
        costs = [grant.cost() for grant in self._grants]
        return {
            "trials": None if self.trials is None else self.trials - sum(cost.trials for cost in costs),
            "hours": None if self.hours is None else self.hours - sum(cost.hours for cost in costs),
        }

    def check(self, wanted: Consumption) -> BudgetLeft:
        """What is left.

        Raises:
            BadInput: it is less than what is wanted.
        """
        left = self.left()
        if left["trials"] is not None and wanted.trials > left["trials"]:
            raise BadInput(
                f"this would train {amount(wanted.trials, 'net')}, and of the server's budget of {self.trials:,} "
                f"trials {left['trials']:,} are left",
                hint="ask for fewer trials; only the person who runs the server may give it more",
            )
        if left["hours"] is not None and (wanted.hours > left["hours"] or left["hours"] <= 0):
            raise BadInput(
                f"this may take {wanted.hours:,.2f} hours, and of the server's budget of {self.hours:,.2f} hours "
                f"{max(0.0, left['hours']):,.2f} are left",
                hint="ask for fewer hours; only the person who runs the server may give it more",
            )
        return left

    def grant(self, grant: Grant) -> None:
        self.check(grant.most)
        self._grants.append(grant)
