"""metaqnn-orch retrain RUN TRIAL: another training of trials whose weights were lost or removed."""

from __future__ import annotations

import os
from typing import Annotated, Any, Final

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.derived_run import (
    derived,
    leave_unless_complete,
    refuse_open,
    refuse_other_sections,
    train,
)
from metaqnn_orch.application.release import Release
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_json, print_rows, say, typeable
from metaqnn_orch.errors import BadInput, NotFound
from metaqnn_orch.reporting.summary import RunView, has_accuracy, read_run, reward_name
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.sources import continue_settings
from metaqnn_orch.settings.values import parse_settings
from metaqnn_trainer.contract.keys import check_name
from metaqnn_trainer.store.opening import open_store

_SECTIONS: Final = ("execution", "budget", "tracking")  # that may differ from the run's
_COLUMNS: Final = {"trial": "", "state": "", "reward": ".4f", "was": ".4f", "net": ""}


def retrain(
    run: options.Run,
    trials: Annotated[list[str], typer.Argument(metavar="TRIAL...", help="Their ids.", show_default=False)],
    store: options.Store,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the run that trains them; RUN-again by default.")
    ] = None,
    launcher: options.Launcher = LauncherName.LOCAL,
    parallel: options.Parallel = None,
    assignments: options.Set = None,
    output: options.Output = Format.TABLE,
    release: Release | None = None,
) -> None:
    """Train lost trials again, as they were trained.

    For weights that were lost, damaged or removed. It makes a run of its own, RUN-again, with the same recipe, dataset
    and seed. The same command goes on with it; `pull`, `export` and the others take it as any run. What RUN itself was
    told stays as it is. Other trials again later need another --name.

    On a processor, and with the same --parallel, the same weights come of it, bit for bit; else nearly the same.
    """
    opened = open_store(store)
    source = read_run(opened, run)
    if source.record.table is not None:
        raise BadInput(f"run {run} is a rehearsal: a table answered, and nothing was trained")
    refuse_open(source.record)
    base = check_name("run", name or derived(f"{run}-again"))
    settings = _settings(source, trials, parallel, assignments or [], release)
    ended = train(opened, base, settings, launcher, release)
    # By their nets: an imported trial has another id than one of the same net that was trained here.
    rows = [
        (trial.trial, trial.state, trial.reward, source.state.by_net[trial.net].reward, trial.net)
        for trial in ended.view.state.trials.values()
        if trial.net in source.state.by_net
    ]
    if output is Format.JSON:
        print_json({"run": base, "trials": [_as_json(ended.view, row) for row in rows]})
    else:
        name = reward_name(settings)
        print_rows({name if column == "reward" else column: form for column, form in _COLUMNS.items()}, rows)
    leave_unless_complete(base, ended)
    where = release.words if release else f"--store {store}"
    say(typeable(f"next: metaqnn-orch pull {base} {where} --to ./again"))


def _as_json(view: RunView, row: tuple[object, ...]) -> dict[str, object]:
    named = dict(zip(_COLUMNS, row, strict=True))
    accuracy = {"val accuracy": view.state.trials[str(named["trial"])].val_accuracy} if has_accuracy(view.state) else {}
    return named | accuracy


def _settings(
    source: RunView, trials: list[str], parallel: int | None, assignments: list[str], release: Release | None
) -> Settings:
    """The run's own, for these of its nets.

    Raises:
        NotFound: it has no such trial.
        BadInput: a setting that is the run's.
    """
    record = source.record
    refuse_other_sections(assignments, _SECTIONS)
    missing = [trial for trial in trials if trial not in source.state.trials]
    if missing:
        raise NotFound(f"run {record.run} has no trial {missing[0][:40]!r}", hint="metaqnn-orch trials lists them")
    chosen = [source.state.trials[trial] for trial in dict.fromkeys(trials)]
    above = os.environ, assignments, {"execution.parallel": parallel}, release and release.layer()
    present = continue_settings(record.settings, f"run {record.run}", *above)
    begun = dict(zip(source.state.settings.nets, source.state.settings.initial, strict=False))
    initial = [begun[trial.net].model_dump(mode="json") for trial in chosen if trial.net in begun]
    values: dict[str, Any] = {**record.settings, "warm_start": {}, "finals": {}, "initial": initial}
    made = parse_settings({**values, "nets": [trial.net for trial in chosen]})
    return made.model_copy(update={key: getattr(present, key) for key in _SECTIONS})
