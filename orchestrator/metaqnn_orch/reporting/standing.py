"""How far a run has come and how it will probably go on, in the numbers of the live screen. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Final, NamedTuple, get_args

from metaqnn_orch.control.budget import RECENT, Used, limit, recent_seconds, used
from metaqnn_orch.control.confirmation import progress, reserved, still_to_come
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.numbers import finite, mean
from metaqnn_orch.reporting.summary import lost_attempts
from metaqnn_orch.settings.budget import BudgetSettings
from metaqnn_trainer.contract.result import Status

_CURVE: Final = 20  # points at most

_ENDINGS: Final[tuple[Status, ...]] = get_args(Status)


class Stage(NamedTuple):
    """A phase of the search: how much of it is done, and how long the rest will probably take."""

    done: int
    nets: int
    seconds_left: float | None
    """Seconds until its end; None while they cannot be estimated."""


class Standing(NamedTuple):
    """A run at one moment."""

    whole: Stage
    epsilon: float | None
    phase: Stage
    confirming: Stage | None
    """How much of the last shortlist was trained again; None where there is none."""
    best: Trial | None
    recent_mean: float | None
    """Mean reward of the last nets, at most a hundred."""
    recent: int
    curve: list[float]
    """Mean rewards of at most twenty equal parts of the run, from the first net to the last."""
    endings: dict[str, int]
    """Number of trials by how they ended; ends that did not occur are left out."""
    in_flight: int
    """Number of trials in training."""
    waiting: int
    """Number of trials that wait for the next session, because nobody works on the run."""
    lost: dict[str, int]
    """Number of lost attempts, by how they ended."""
    abandoned: int
    images_per_second: float
    """Images per second that the trials in flight probably train together."""
    budget: BudgetSettings
    used: Used
    forecast: Used | None
    """The use of the budget at the end, if the trials to come are like the last ones."""
    limit: str
    """Why no further trial begins; empty if trials begin."""


def standing(state: RunState, now: str, *, works: bool = True) -> Standing:
    """The standing of the run at `now`: the present moment, or that of the last event where nobody `works` on it."""
    opened = state.opened
    budget = opened.budget if opened is not None else state.settings.budget
    goal, parallel, devices = (
        (opened.goal, opened.places, opened.devices) if opened is not None else (state.settings.goal, 0, 1)
    )
    seconds = recent_seconds(state)
    so_far = used(state, budget, now)

    def part(done: int, nets: int) -> Stage:
        return Stage(done, nets, finite((nets - done) * (seconds / parallel)) if seconds and parallel else None)

    whole = part(min(state.unique, goal), goal)
    ahead = (goal - whole.done + still_to_come(state, state.settings.confirm, goal)) * seconds
    confirmed = progress(state)
    reached = limit(state, budget, now, reserved=reserved(state, state.settings.confirm))
    told = [trial for trial in state.trials.values() if trial.reward is not None]
    rewards = [trial.reward for trial in told if trial.reward is not None and not trial.confirms]
    last = rewards[-RECENT:]
    speeds = list(islice((trial.images_per_second for trial in reversed(told) if trial.images_per_second), RECENT))
    counted = Counter(trial.state for trial in told)
    return Standing(
        whole=whole,
        epsilon=state.epsilon,
        phase=part(*_phase(state, goal)),
        confirming=part(*confirmed) if confirmed is not None and confirmed.all else None,
        best=state.best,
        recent_mean=mean(last) if last else None,
        recent=len(last),
        curve=_curve(rewards),
        endings={name: counted[name] for name in _ENDINGS if counted[name]},
        in_flight=len(state.in_flight) if works else 0,
        waiting=0 if works else len(state.in_flight),
        lost=lost_attempts(state),
        abandoned=state.abandoned,
        images_per_second=finite(mean(speeds) * min(len(state.in_flight), parallel)) if speeds and works else 0.0,
        budget=budget,
        used=so_far,
        forecast=_forecast(so_far, budget, whole, ahead * devices / 3600) if seconds else None,
        limit=reached.detail if reached is not None else "",
    )


def _phase(state: RunState, goal: int) -> tuple[int, int]:
    """How many nets were told, and how many there are in all, in the phase of the next net, or in the last phase."""
    told, left = state.unique, goal
    proposed = told + sum(not trial.confirms for trial in state.in_flight.values())
    done = nets = 0
    for _, unique in state.settings.phases():
        if left <= 0:
            break
        nets = min(unique, left)
        done = max(0, min(told, nets))
        if proposed < nets:
            break
        told, proposed, left = told - nets, proposed - nets, left - nets
    return done, nets


def _forecast(so_far: Used, budget: BudgetSettings, whole: Stage, gpu_hours: float) -> Used:
    price = budget.price_per_gpu_hour
    hours = finite(so_far.gpu_hours + gpu_hours)
    return Used(
        hours,
        None if price is None else finite(hours * price),
        finite(so_far.wall_clock_hours + (whole.seconds_left or 0.0) / 3600),
    )


def _curve(values: Sequence[float]) -> list[float]:
    points = min(_CURVE, len(values))
    cuts = [len(values) * number // points for number in range(points + 1)] if points else []
    return [mean(values[begin:end]) for begin, end in pairwise(cuts)]
