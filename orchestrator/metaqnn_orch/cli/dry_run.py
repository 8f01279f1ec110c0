"""start --dry-run: the bill before the run. Reads, and creates nothing."""

from __future__ import annotations

from math import ceil
from typing import Any, Final

from metaqnn_orch.application import datasets
from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.rehearsal import Rehearsal
from metaqnn_orch.cli.output import Format, print_fields, print_json, print_rows, say
from metaqnn_orch.control.objective import in_words
from metaqnn_orch.control.record import RunRecord, check_answers, check_same, load_record
from metaqnn_orch.control.resume import resume
from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import NotFound
from metaqnn_orch.reporting.bill import Basis, Bill, bill, calibration, own_basis
from metaqnn_orch.reporting.summary import reward_name
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.store.base import Store

_COLUMNS: Final = {"epsilon": ".2f", "nets": ",d", "GPU-hours": ",.2f", "money": ",.2f", "hours": ",.2f"}


def dry_run(
    store: Store,
    run: str,
    settings: Settings,
    launcher: LauncherName,
    rehearsal: Rehearsal | None,
    trial_seconds: float | None,
    output: Format,
) -> None:
    """Print what `start` with the same arguments would cost and create.

    Raises:
        BadInput: the run exists with other settings, or its accuracies come from elsewhere.
    """
    record, state = _run(store, run, settings, rehearsal)
    images, creates = _dataset(store, settings, record, rehearsal)
    if record is None:
        creates.insert(0, f"run {run} in {store.uri}")
    execution = settings.execution
    share = min(execution.parallel, execution.side_by_side) if launcher is LauncherName.LOCAL else 1
    devices = max(1, execution.kubernetes.gpus) if launcher is LauncherName.KUBERNETES else 1 / share
    if trial_seconds is not None:
        basis = Basis(trial_seconds, "--trial-seconds")
    elif rehearsal is not None:
        basis = Basis(rehearsal.delay, "--table-delay: nothing is trained")
    else:
        basis = own_basis(state) or calibration(store, settings, images)
    made = bill(settings, state, basis.seconds, execution.parallel, devices)
    creates.append(_trials(launcher, made.whole.nets, ceil(execution.parallel / share)))
    if output is Format.JSON:
        print_json(_as_json(run, made, basis, creates, settings))
    else:
        _print(made, basis, creates, settings)
    say("a dry run: nothing was created")


def _run(store: Store, run: str, settings: Settings, rehearsal: Rehearsal | None) -> tuple[RunRecord | None, RunState]:
    try:
        record = load_record(store, run)
    except NotFound:
        return None, RunState(settings)
    check_same(record, settings)
    check_answers(record, rehearsal and rehearsal.binding(settings))
    state, _ = resume(store, record, record.settings_as_run(settings))
    return record, state


def _dataset(
    store: Store, settings: Settings, record: RunRecord | None, rehearsal: Rehearsal | None
) -> tuple[int | None, list[str]]:
    """Training images, where they are known; and the dataset, where it would have to be made."""
    if rehearsal is not None:
        return None, []
    if record is not None and not record.is_open:
        return record.info.train, []
    ref = datasets.find(store, settings.dataset.name, settings.dataset.digest)
    if ref is not None:
        return datasets.info(store, ref).train, []
    return None, [f"dataset {settings.dataset.name} in {store.uri}, made first"]


def _trials(launcher: LauncherName, nets: int, parallel: int) -> str:
    match launcher:
        case LauncherName.TABLE:
            return f"{nets:,} answers of the table"
        case LauncherName.KUBERNETES:
            return f"{nets:,} Jobs, {parallel:,} at a time, and their results"
        case LauncherName.LOCAL:
            return f"{nets:,} trials in {parallel:,} worker processes here, and their results"


def _as_json(run: str, made: Bill, basis: Basis, creates: list[str], settings: Settings) -> dict[str, Any]:
    return {
        "run": run,
        "phases": [{"epsilon": epsilon, **cost._asdict()} for epsilon, cost in made.phases],
        **made.whole._asdict(),
        "currency": settings.budget.currency,
        "parallel": settings.execution.parallel,
        "seconds_per_trial": basis.seconds,
        "basis": basis.words,
        "nets_within": made.limits,
        "creates": creates,
        **({"objective": in_words(settings.objective)} if settings.objective.changes_reward else {}),
    }


def _print(made: Bill, basis: Basis, creates: list[str], settings: Settings) -> None:
    rows: list[tuple[object, ...]] = [(epsilon, *cost) for epsilon, cost in made.phases]
    print_rows(_COLUMNS, [*rows, ("all", *made.whole)])
    seconds = "" if basis.seconds is None else f"{basis.seconds:,.1f} s for a net: "
    price = settings.budget.price_per_gpu_hour
    fields: list[tuple[str, object]] = [("estimate", seconds + basis.words)]
    if basis.seconds is None:
        fields.append(("to know more", "--trial-seconds S, or train a few first: --max-trials 4"))
    if price is not None:
        fields.append(("price", f"{price:,.2f} {settings.budget.currency or ''}".rstrip() + " for an hour of a GPU"))
    for name, nets in made.limits.items():
        enough = "all of them" if nets >= made.whole.nets else f"about {nets:,} of {made.whole.nets:,} nets"
        fields.append((f"within budget.{name}", enough))
    if settings.budget.target is not None:
        name = reward_name(settings).replace("val ", "validation ")
        fields.append(("ends earlier at", f"{settings.budget.target:g} {name}"))
    if settings.objective.changes_reward:
        fields.append(("objective", in_words(settings.objective)))
    print_fields([*fields, *(("creates", line) for line in creates)])
