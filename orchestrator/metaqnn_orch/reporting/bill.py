"""The probable cost of a search, before it costs anything. Pure, but for `calibration`, which reads the store."""

from __future__ import annotations

from collections.abc import Iterator
from math import floor
from random import Random
from statistics import fmean
from typing import Final, NamedTuple

from metaqnn_orch.control.budget import RECENT, recent_seconds, used
from metaqnn_orch.control.confirmation import still_to_come
from metaqnn_orch.control.record import RunRecord, run_names
from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import KNOWN
from metaqnn_orch.numbers import finite
from metaqnn_orch.reporting.summary import read_only
from metaqnn_orch.search.sampling import random_design
from metaqnn_orch.search.schedule import EpsilonPhase
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import Store

_SAMPLE: Final = 200  # random nets whose mean stands for the space


class Basis(NamedTuple):
    """The assumed duration of a trial, and the reason for it; None where it is unknown."""

    seconds: float | None
    words: str


class Spending(NamedTuple):
    """The cost of the nets that one epsilon still has to train, or of all nets."""

    nets: int
    """Number of nets."""
    gpu_hours: float | None
    """Hours of training, times the devices of a trial; None where it is unknown how long one takes."""
    money: float | None
    """Money, in the budget's currency; None where no price is known."""
    wall_clock_hours: float | None
    """Hours that this takes with the trials that run at a time."""


class Bill(NamedTuple):
    """The cost that is still to come, by epsilon where the searcher has one. `limits` are the budget's limits, with the
    number of nets for which each leaves room.
    """

    phases: list[tuple[float, Spending]]
    confirming: Spending | None
    """The cost of training the best again; None where they are not confirmed."""
    whole: Spending
    limits: dict[str, int]


def bill(settings: Settings, state: RunState, seconds: float | None, parallel: int, devices: float) -> Bill:
    """The bill of a run. `state` is the run's state, or an empty one; `parallel` trials run at a time on `devices`
    each.
    """
    budget = settings.budget

    def cost(nets: int) -> Spending:
        if seconds is None:
            return Spending(nets, None, None, None)
        hours = finite(nets * (seconds / 3600))
        price, gpu_hours = budget.price_per_gpu_hour, finite(hours * devices)
        return Spending(nets, gpu_hours, None if price is None else finite(gpu_hours * price), hours / parallel)

    left = [(phase.epsilon, cost(phase.unique)) for phase in remaining(settings, state)]
    again = still_to_come(state, settings.confirm, settings.goal)
    whole = cost(sum(phase.nets for _, phase in left) + again)
    left = left if state.epsilon is not None else []
    so_far = used(state, budget, state.heard)
    limits = {
        name: max(0, floor(finite((most - (have or 0.0)) / (all_of_it / whole.nets))))
        for name, most, have, all_of_it in (
            ("gpu_hours", budget.gpu_hours, so_far.gpu_hours, whole.gpu_hours),
            ("money", budget.money, so_far.money, whole.money),
            ("wall_clock_hours", budget.wall_clock_hours, so_far.wall_clock_hours, whole.wall_clock_hours),
        )
        if most is not None and all_of_it
    }
    return Bill(left, cost(again) if again else None, whole, limits)


def remaining(settings: Settings, state: RunState) -> Iterator[EpsilonPhase]:
    """The schedule from the run's position to its goal. Trials in flight are still to be paid for."""
    told, left = state.unique, settings.goal - state.unique
    for epsilon, unique in settings.phases():
        nets = min(left, max(0, unique - told))
        told = max(0, told - unique)
        left -= nets
        if nets > 0:
            yield EpsilonPhase(epsilon, nets)


def own_basis(state: RunState) -> Basis | None:
    """The basis from the run's own trials."""
    seconds = recent_seconds(state)
    return (
        Basis(seconds, f"the mean of the last {amount(min(RECENT, state.unique), 'net')} of this run")
        if seconds
        else None
    )


def calibration(store: Store, settings: Settings, images: int | None) -> Basis:
    """The basis from other runs of the store, for a net of this space. `images` is the size of the training set, where
    it is known.
    """
    found: list[tuple[bool, int, str, float]] = []
    for name in run_names(store):
        try:
            view = read_only(store, name)
        except KNOWN:  # a run that cannot be read says nothing
            continue
        basis = _from_run(view.record, view.state, settings, images)
        if basis is not None:
            same, seconds = basis
            found.append((same, view.state.unique, name, seconds))
    if not found:
        return Basis(None, "unknown: no run in the store has trained nets like these")
    same, nets, name, seconds = max(found)
    how = "" if same else ", by multiply-accumulates, examples and epochs, for random nets of this space"
    return Basis(seconds, f"run {name}, {amount(nets, 'net')}{how}")


def _from_run(record: RunRecord, state: RunState, settings: Settings, images: int | None) -> tuple[bool, float] | None:
    """Seconds for a net, and whether the run trained similar nets; None where it trained none."""
    trained = [trial for trial in state.trials.values() if trial.seconds and trial.macs]
    if record.table is not None or not trained:
        return None
    theirs = state.settings
    if (theirs.dataset.name, theirs.space, theirs.model, theirs.recipe) == (
        settings.dataset.name,
        settings.space,
        settings.model,
        settings.recipe,
    ):
        return True, recent_seconds(state)
    if images is None:
        return None
    seconds = finite(sum(trial.seconds or 0.0 for trial in trained))
    work = sum(trial.macs or 0 for trial in trained) * record.info.train * theirs.recipe.epochs
    return False, finite(seconds / finite(work) * _mean_macs(settings) * images * settings.recipe.epochs)


def _mean_macs(settings: Settings) -> float:
    """The mean multiply-accumulates of random nets of the space."""
    space = settings.state_space()
    return fmean(space.cost(random_design(space, Random(number))).macs for number in range(_SAMPLE))
