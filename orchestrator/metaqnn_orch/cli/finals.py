"""metaqnn-orch finals RUN"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Annotated, Final

import typer

from metaqnn_orch.application import datasets
from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.derived_run import (
    derived,
    leave_unless_complete,
    refuse_open,
    refuse_other_sections,
    train,
)
from metaqnn_orch.application.finals import (
    SECTIONS,
    Elsewhere,
    Verdict,
    candidates,
    final_settings,
    ranked,
    read_verdict,
    weights_of,
    write_verdict,
)
from metaqnn_orch.application.judging import judge
from metaqnn_orch.application.release import Release
from metaqnn_orch.application.session import now
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_json, print_rows, say
from metaqnn_orch.control.record import RunRecord, check_same, load_record
from metaqnn_orch.errors import BadInput, NotFound
from metaqnn_orch.reporting.summary import RunView, read_run
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.sources import continue_settings, load_settings
from metaqnn_trainer.contract.keys import check_name
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.opening import open_store

_FINALISTS: Final = {
    **{"rank": "d", "val accuracy": ".4f", "searched": ".4f", "params": ",d", "rate": "", "trial": "", "net": ""}
}
_VERDICT: Final = {"": "", "val accuracy": ".4f", "test accuracy": ".4f", "test error %": ".2f"}


def finals(
    run: options.Run,
    store: options.Store,
    top: Annotated[
        int | None, typer.Option(metavar="K", min=1, max=1000, help="How many of the best nets: 10 by default.")
    ] = None,
    ensemble: Annotated[int, typer.Option(metavar="K", min=1, max=100, help="How many of them vote together.")] = 5,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Train them on another dataset of the store.")
    ] = None,
    from_weights: Annotated[
        bool, typer.Option("--from-weights", help="Begin with the weights that they have, and not from scratch.")
    ] = False,
    rate_factors: Annotated[
        list[float] | None,
        typer.Option(
            "--rate-factor",
            metavar="F",
            min=1e-6,
            max=1e6,
            help="Try the recipe's learning rates times F, and keep each net's best. May be repeated.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the run that trains them: RUN-finals by default.")
    ] = None,
    settings_file: Annotated[
        str | None,
        typer.Option(
            "--settings",
            metavar="PRESET_OR_FILE",
            help="Where finals, execution and budget are taken from; by default the run's own settings.",
        ),
    ] = None,
    launcher: options.Launcher = LauncherName.LOCAL,
    parallel: options.Parallel = None,
    assignments: options.Set = None,
    output: options.Output = Format.TABLE,
    release: Release | None = None,
) -> None:
    """Train the best nets again, and judge them once.

    The recipe is the settings' section `finals`. Each rate factor makes a run of its own, NAME or NAME-xF: with a
    journal, gone on with by the same command, whatever ended it. `status`, `trials`, `pull`, `report` and `export` take
    these runs as any other. A name that would be too long ends in a digest.

    Nets are ranked by validation accuracy. Then, and only then, the best and the ensemble (the mean of the best nets'
    probabilities) are judged on the test images, by the trainer on this machine. That is done once: finals.json in the
    store keeps what was found, and the same command shows it again.

    --dataset NAME trains the same architectures on another dataset, with its number of classes (the paper's Table 5);
    with --from-weights they begin with the weights that they have, all but those whose shapes differ there.
    """
    opened = open_store(store)
    source = read_run(opened, run)
    record = source.record
    if record.table is not None:
        raise BadInput(f"run {run} is a rehearsal: a table answered, and its accuracies are no reason to train")
    present = _present(record, settings_file, parallel, assignments or [], release)
    if dataset is None:
        refuse_open(record)
    elsewhere = _elsewhere(opened, dataset) if dataset is not None else None
    parts = [run, "finals", *([dataset] if dataset else []), *(["tuned"] if from_weights else [])]
    base = check_name("run", name or derived("-".join(parts)))
    factors = {factor: base if factor == 1 else _named(base, factor) for factor in rate_factors or [1.0]}
    begun = _begun(opened, [*factors.values()], top)
    nets = [*begun.nets] if begun else candidates(source, top or 10)
    verdict = read_verdict(opened, base)
    if verdict is None:
        initial = [*begun.initial] if begun else weights_of(opened, source, nets) if from_weights else []
        plans = {factor: final_settings(record, nets, present, factor, elsewhere, initial) for factor in factors}
        for factor, settings in plans.items():  # all of them before the first is begun
            _check(opened, factors[factor], settings)
        views = {}
        for factor, settings in plans.items():
            ended = train(opened, factors[factor], settings, launcher, release)
            leave_unless_complete(factors[factor], ended)
            views[factor] = ended.view
        verdict = write_verdict(opened, base, _judge(opened, views, source, ensemble, elsewhere is None))
    elif verdict.ensemble != min(ensemble, len(verdict.finalists)):
        raise BadInput(
            f"the test images were looked at for an ensemble of {verdict.ensemble}, at {verdict.at}; that is done once",
            hint=f"--ensemble {verdict.ensemble} shows what was found",
        )
    if output is Format.JSON:
        print_json(verdict.model_dump(mode="json"))
    else:
        _print(verdict)


def _present(
    record: RunRecord, file: str | None, parallel: int | None, assignments: list[str], release: Release | None
) -> Settings:
    example = "for example --set 'finals.phases=[{epochs: 20, learning_rate: 0.02}]'"
    refuse_other_sections(assignments, SECTIONS, example)
    above = os.environ, assignments, {"execution.parallel": parallel}, release and release.layer()
    if file is not None:
        present = load_settings(file, *above).settings
    else:
        present = continue_settings(record.settings, f"run {record.run}", *above)
    if not present.finals.model_fields_set:
        raise BadInput(
            f"the settings of run {record.run} have no section finals: with which recipe?",
            hint="--set 'finals.phases=[{epochs: 20, learning_rate: 0.02}]' --set finals.optimizer=sgd, or --settings",
        )
    return present


def _elsewhere(store: Store, name: str) -> Elsewhere:
    ref = datasets.find(store, name)
    if ref is None:
        raise NotFound(f"{store.uri} has no dataset {name}", hint=f"metaqnn-orch dataset push {name} makes it")
    return Elsewhere(dataset=ref, info=datasets.info(store, ref))


def _named(base: str, factor: float) -> str:
    return derived(f"{base}-x{_shortest(factor)}".replace(".", "-").replace("+", ""))


def _shortest(factor: float) -> str:
    """Six digits, and more only where another factor has the same six."""
    return short if float(short := f"{factor:g}") == factor else repr(factor)


def _check(store: Store, name: str, settings: Settings) -> None:
    """
    Raises:
        RunConflict: there is a run of this name that does not ask for the same.
    """
    with suppress(NotFound):
        check_same(load_record(store, name), settings)


def _begun(store: Store, names: list[str], top: int | None) -> Settings | None:
    """The settings of finals that exist: the search may have found better nets since."""
    for name in names:
        try:
            settings = load_record(store, name).settings_as_run()
        except NotFound:
            continue
        nets = settings.nets
        if not nets:
            raise BadInput(f"run {name} is a search", hint="give the finals another --name")
        if top is not None and top != len(nets):
            raise BadInput(f"run {name} began with {len(nets)} nets, not {top}", hint="give the finals another --name")
        return settings
    return None


def _judge(store: Store, views: dict[float, RunView], source: RunView, ensemble: int, same: bool) -> Verdict:
    searched = {trial.net: trial.val_accuracy or 0.0 for trial in source.state.trials.values()} if same else {}
    finalists = ranked(views, searched)
    if not finalists:
        raise BadInput("none of the nets learned anything with this recipe", hint="--rate-factor 0.1 --name NAME")
    chosen = finalists[:ensemble]
    say(f"judging the best of {len(finalists)} nets and an ensemble of {len(chosen)} on the test images, once")
    found = judge(store, [(final.run, final.trial) for final in chosen], report=say)
    return Verdict(
        at=now(),
        dataset=next(iter(views.values())).record.dataset,
        finalists=finalists,
        ensemble=len(chosen),
        test_images=found.images,
        test_accuracy=found.first,
        ensemble_val_accuracy=found.validation_together,
        ensemble_test_accuracy=found.together,
    )


def _print(verdict: Verdict) -> None:
    rows = [
        (
            *(rank, final.val_accuracy, final.searched_val_accuracy, final.params),
            *(_shortest(final.rate_factor), final.trial, final.net),
        )
        for rank, final in enumerate(verdict.finalists, 1)
    ]
    print_rows(_FINALISTS, rows)
    say()
    print_rows(
        _VERDICT,
        [
            (name, held, test, 100 * (1 - test))
            for name, held, test in (
                ("best model", verdict.finalists[0].val_accuracy, verdict.test_accuracy),
                (f"ensemble of {verdict.ensemble}", verdict.ensemble_val_accuracy, verdict.ensemble_test_accuracy),
            )
        ],
    )
    say(f"{verdict.test_images:,} test images of {verdict.dataset.name}-{verdict.dataset.digest}, at {verdict.at}")
