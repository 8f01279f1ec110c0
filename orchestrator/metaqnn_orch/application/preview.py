"""What a run would cost and create, before it exists. A preview only reads."""

from __future__ import annotations

from typing import Final, NamedTuple, NotRequired, TypedDict

from metaqnn_orch.application import datasets
from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.listener import Say
from metaqnn_orch.application.rehearsal import Rehearsal
from metaqnn_orch.control.objective import in_words
from metaqnn_orch.control.record import RunRecord, check_answers, check_same, load_record, trial_spec
from metaqnn_orch.control.resume import resume
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.try_out import try_out
from metaqnn_orch.errors import NotFound, StoreError
from metaqnn_orch.reporting.bill import Basis, Bill, Spending, bill, calibration, own_basis
from metaqnn_orch.reporting.dearest import Foreseen, foresee
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.plugged import plugins_of
from metaqnn_trainer.contract.messages import DatasetRef, TrialSpec
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import Store

NO_UID: Final = "0" * 32
"""Stands for the uid of a run that does not exist yet."""


class PhaseCost(TypedDict):
    """The cost of the nets that one epsilon still has to train."""

    epsilon: float
    """Probability of a random layer."""
    nets: int
    """Number of nets that are still to be trained."""
    gpu_hours: float | None
    """Hours of training, times the devices of a trial; None where it is unknown how long one takes."""
    money: float | None
    """Money, in `currency`; None where no price is known."""
    wall_clock_hours: float | None
    """Hours that this takes with the trials that run at a time."""


class Estimate(TypedDict):
    """What a run would still cost, and what `start` would create."""

    run: str
    """Name of the run."""
    method: str | None
    """Method of the search; None where the settings list the nets."""
    phases: list[PhaseCost]
    """The cost by epsilon; empty for a method without one."""
    confirming: Spending | None
    """The cost of training the best nets again; None where they are not confirmed."""
    nets: int
    """Number of nets that are still to be trained."""
    gpu_hours: float | None
    """Hours of training of all of them, times the devices of a trial; None where it is unknown how long one takes."""
    money: float | None
    """Money for all of them, in `currency`; None where no price is known."""
    wall_clock_hours: float | None
    """Hours that the search will take."""
    currency: str | None
    """Currency of the price, in the words of the settings."""
    parallel: int
    """Number of trials at a time."""
    seconds_per_trial: float | None
    """Seconds for one net; None where it is unknown."""
    basis: str
    """Where the seconds come from, in words."""
    nets_within: dict[str, int]
    """Number of nets for which each limit of the budget leaves room."""
    dearest_tenth: Foreseen | None
    """The dearest tenth of the nets, for a run that can still choose its space."""
    creates: list[str]
    """What `start` would create, a line for each kind of thing."""
    objective: NotRequired[str]
    """What the reward is made of, in words; only where an objective is set."""


class Preview(NamedTuple):
    """What `start` with the same arguments would train and create."""

    bill: Bill
    basis: Basis
    creates: list[str]
    """What `start` would create: a line for each kind of thing."""
    dearest: Foreseen | None
    """Where the bill goes, for a run that can still choose its space; None where this is unknown, or free."""


def preview(
    store: Store,
    run: str,
    settings: Settings,
    launcher: LauncherName,
    rehearsal: Rehearsal | None,
    trial_seconds: float | None,
) -> Preview:
    """The preview of a run.

    Raises:
        BadInput: the run exists with other settings, or its accuracies come from elsewhere.
    """
    record, state = _run(store, run, settings, rehearsal)
    images, creates = _dataset(store, settings, record, rehearsal)
    if record is None:
        creates.insert(0, f"run {run} in {store.uri}")
    execution = settings.execution
    devices = execution.kubernetes.cards if launcher is LauncherName.KUBERNETES else 1
    if trial_seconds is not None:
        basis = Basis(trial_seconds, "--trial-seconds")
    elif rehearsal is not None:
        basis = Basis(rehearsal.delay, "--table-delay: nothing is trained")
    else:
        basis = own_basis(state) or calibration(store, settings, images)
    together = execution.together if launcher is LauncherName.KUBERNETES else 1
    made = bill(settings, state, basis.seconds, execution.parallel // together, devices)
    creates.append(_trials(launcher, made.whole.nets, execution.parallel, together))
    return Preview(made, basis, creates, foresee(settings) if record is None and rehearsal is None else None)


def estimate(run: str, seen: Preview, settings: Settings) -> Estimate:
    """The fields of `metaqnn-orch start --dry-run -o json`."""
    made, basis, creates, dearest = seen
    found: Estimate = {
        "run": run,
        "method": None if settings.nets else settings.search.method,
        "phases": [_phase(epsilon, cost) for epsilon, cost in made.phases],
        "confirming": made.confirming,
        "nets": made.whole.nets,
        "gpu_hours": made.whole.gpu_hours,
        "money": made.whole.money,
        "wall_clock_hours": made.whole.wall_clock_hours,
        "currency": settings.budget.currency,
        "parallel": settings.execution.parallel,
        "seconds_per_trial": basis.seconds,
        "basis": basis.words,
        "nets_within": made.limits,
        "dearest_tenth": dearest,
        "creates": creates,
    }
    if settings.objective.changes_reward:
        found["objective"] = in_words(settings.objective)
    return found


def _phase(epsilon: float, cost: Spending) -> PhaseCost:
    nets, gpu_hours, money, hours = cost
    return {"epsilon": epsilon, "nets": nets, "gpu_hours": gpu_hours, "money": money, "wall_clock_hours": hours}


def trial_of(store: Store, run: str, settings: Settings, net: str, say: Say) -> tuple[TrialSpec, str]:
    """The specification of a net's trial, and the run's uid, as far as they are known before the run exists."""
    name, digest = settings.dataset.name, settings.dataset.digest
    try:
        record = load_record(store, run)
        return record.spec(record.settings_as_run(settings), net), record.uid
    except NotFound:
        say(f"run {run} does not exist yet, so its uid will differ")
        ref = datasets.find(store, name, digest)
    except StoreError as error:
        say(f"{error}: uid and dataset are placeholders")
        ref = None
    if ref is None:
        say(f"dataset {name} was not found. The trial's id depends on its digest, so the real id may differ")
        ref = DatasetRef(name=name, digest=digest or "0" * 16)
    return trial_spec(settings, ref, plugins_of(settings), net), NO_UID


def _run(store: Store, run: str, settings: Settings, rehearsal: Rehearsal | None) -> tuple[RunRecord | None, RunState]:
    try:
        record = load_record(store, run)
    except NotFound:
        return None, try_out(settings)
    check_same(record, settings)
    check_answers(record, rehearsal and rehearsal.binding(settings))
    state, _ = resume(store, record, record.settings_as_run(settings))
    return record, state


def _dataset(
    store: Store, settings: Settings, record: RunRecord | None, rehearsal: Rehearsal | None
) -> tuple[int | None, list[str]]:
    """The number of training images, where it is known; and the dataset, where it would have to be made."""
    if rehearsal is not None:
        return None, []
    if record is not None and not record.is_open:
        return record.info.train, []
    ref = datasets.find(store, settings.dataset.name, settings.dataset.digest)
    if ref is not None:
        info = datasets.info(store, ref)
        datasets.check_fit(settings, info)
        return info.train, []
    return None, [f"dataset {settings.dataset.name} in {store.uri}, made first"]


def _trials(launcher: LauncherName, nets: int, parallel: int, together: int) -> str:
    match launcher:
        case LauncherName.TABLE:
            return f"{amount(nets, 'result')} looked up in the table"
        case LauncherName.KUBERNETES if together > 1:
            jobs, pods = -(-nets // together), parallel // together
            results = f"the results of {amount(nets, 'net')}"
            return f"about {amount(jobs, 'Job')} of {together} nets each, {pods:,} at a time, and {results}"
        case LauncherName.KUBERNETES:
            return f"{amount(nets, 'Job')}, {parallel:,} at a time, and their results"
        case LauncherName.LOCAL:
            workers = amount(parallel, "worker process", "worker processes")
            return f"{amount(nets, 'trial')} in {workers} here, and their results"
