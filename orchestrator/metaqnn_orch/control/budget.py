"""What a run has used of its budget, and whether one more trial fits into what is left. Pure."""

from __future__ import annotations

from itertools import islice
from math import ceil
from typing import Final, Literal, NamedTuple

from metaqnn_orch.control.state import RunState
from metaqnn_orch.numbers import finite, mean
from metaqnn_orch.settings.budget import BudgetSettings

RECENT: Final = 100  # trials whose mean is the estimate for the next one


class Limit(NamedTuple):
    """Why no further trial begins."""

    reason: Literal["target", "budget"]
    detail: str


class Used(NamedTuple):
    """Use of all sessions of a run; a trial in training counts when it ends."""

    gpu_hours: float
    money: float | None
    """Money spent; None where no price is known."""
    wall_clock_hours: float


def used(state: RunState, budget: BudgetSettings, now: str) -> Used:
    """The use until `now`: the present moment, or that of the last event where no session is going on."""
    hours = finite(state.device_seconds) / 3600
    price = budget.price_per_gpu_hour
    worked = state.worked_seconds + state.session_seconds(now)
    return Used(hours, None if price is None else finite(hours * price), finite(worked) / 3600)


def limit(state: RunState, budget: BudgetSettings, now: str, further: int = 1, reserved: int = 0) -> Limit | None:
    """The limit that keeps so many further trials from beginning, or None: the target, or what `exceeded` finds."""
    leader, target = state.leader, budget.target
    if target is not None and leader is not None and leader.worth >= target:
        return Limit("target", f"budget.target is {target:g}, and a net has reached {leader.worth:.4f}")
    return exceeded(state, budget, now, further, reserved)


def exceeded(state: RunState, budget: BudgetSettings, now: str, further: int = 1, reserved: int = 0) -> Limit | None:
    """The limit that would be exceeded by so many further trials and the `reserved` ones that must follow them, or
    None. With 0, it is the limit that keeps a further attempt of the trials in flight from beginning.
    """
    if budget.gpu_hours is None and budget.money is None and budget.wall_clock_hours is None:
        return None  # this is called for every proposal: the mean below is computed only where there is a limit
    so_far, hours = used(state, budget, now), recent_seconds(state) / 3600
    devices, places = (state.opened.devices, state.opened.places) if state.opened is not None else (1, 0)
    gpu_hours = (len(state.in_flight) + further + reserved) * devices * hours
    # Trials that share a Job are trained one after another, and this one may be the last of them.
    shared = state.opened is not None and state.opened.launcher == "kubernetes"
    together = state.settings.execution.together if shared else 1
    in_turn = together + ceil(reserved / max(1, places // together))
    for name, most, have, more in (
        ("gpu_hours", budget.gpu_hours, so_far.gpu_hours, gpu_hours),
        ("money", budget.money, so_far.money or 0.0, gpu_hours * (budget.price_per_gpu_hour or 0.0)),
        ("wall_clock_hours", budget.wall_clock_hours, so_far.wall_clock_hours, in_turn * hours),
    ):
        if most is not None and (have + more > most or have >= most):
            what = "trial" if further else "attempt"
            what += f" with {reserved} to confirm the best" if reserved else ""
            return Limit(
                "budget", f"budget.{name} is {most:g}: {have:.4g} are used, and another {what} would exceed it"
            )
    return None


def recent_seconds(state: RunState) -> float:
    """Mean seconds of the last trials; 0 where none has ended."""
    ended = (trial.seconds for trial in reversed(state.trials.values()) if trial.seconds)
    seconds = list(islice(ended, RECENT))
    return mean(seconds) if seconds else 0.0
