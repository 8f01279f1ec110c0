"""metaqnn-orch finals RUN"""

from __future__ import annotations

import os
from functools import partial
from typing import Annotated, Final

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.datasets import facts
from metaqnn_orch.application.derived_run import train
from metaqnn_orch.application.finalists import SECTIONS
from metaqnn_orch.application.finals import Asked, Unfinished, default_name, hold, refuse_other_tasks, shortest
from metaqnn_orch.application.release import Release
from metaqnn_orch.cli import completion, options
from metaqnn_orch.cli.ending import leave
from metaqnn_orch.cli.flags import given
from metaqnn_orch.cli.output import Format, print_json, print_rows, say
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.cli.view import Terminal
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.errors import BadInput, RunFailed
from metaqnn_orch.reporting.summary import read_run
from metaqnn_orch.reporting.verdict import Verdict
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.sources import continue_settings, load_settings
from metaqnn_trainer.contract.keys import check_name
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import Store

_FINALISTS: Final = {
    **{"rank": "d", "reward": ".4f", "searched": ".4f", "params": ",d", "rate": "", "trial": "", "net": ""}
}
_CLASSES: Final = {"class": "", "images": ",d", "best model": ".4f"}
SHOWN_CLASSES: Final = 20
_VERDICT: Final = {"": "", "val accuracy": ".4f", "test accuracy": ".4f", "test error %": ".2f"}


def finals(
    run: options.Run,
    store: options.Store,
    top: Annotated[
        int | None, typer.Option(metavar="K", min=1, max=1000, help="How many of the best nets to train (default 10).")
    ] = None,
    ensemble: Annotated[
        int, typer.Option(metavar="K", min=1, max=100, help="How many of the best nets the ensemble has.")
    ] = 5,
    dataset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Train them on another dataset in the store: NAME, or NAME-DIGEST."),
    ] = None,
    from_weights: Annotated[
        bool, typer.Option("--from-weights", help="Start from the weights that the nets have, not from scratch.")
    ] = False,
    rate_factors: Annotated[
        list[float] | None,
        typer.Option(
            "--rate-factor",
            metavar="F",
            min=1e-6,
            max=1e6,
            help="Train with the recipe's learning rates times F. May be repeated: of each net, the best training "
            "counts.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the run that trains them (default RUN-finals).")
    ] = None,
    settings_file: Annotated[
        str | None,
        typer.Option(
            "--settings",
            metavar="PRESET_OR_FILE",
            help="Preset or settings file from which `finals`, `execution` and `budget` are taken (default: the "
            "run's own settings).",
            autocompletion=completion.preset_or_file,
        ),
    ] = None,
    launcher: options.Launcher = LauncherName.LOCAL,
    parallel: options.Parallel = None,
    assignments: options.Set = None,
    output: options.Output = Format.TABLE,
    release: Release | None = None,
) -> None:
    """Train the best nets again, and test them once.

    The recipe is the section `finals` of the settings. Each rate factor makes a run of its own, NAME or NAME-xF, with a
    journal. The same command goes on with it, whatever ended it. `status`, `trials`, `pull`, `report` and `export` work
    with these runs as with any other. A name that would be too long is shortened and ends in a digest.

    Nets are ranked by reward, the validation accuracy unless an objective is set. Then, and only then, the best and the
    ensemble (the mean of the best nets' probabilities) are judged on the test images, by the trainer on this machine.
    That is done once: finals.json in the store keeps what was found, also the accuracy of each class and which class is
    taken for which, and the same command shows it again.

    --dataset NAME trains the same architectures on another dataset, with its number of classes (the paper's Table 5).
    With --from-weights they start from the weights that they have; layers whose shapes differ start from scratch.
    """
    opened, terminal = open_store(store), Terminal()
    source = read_run(opened, run)
    record = source.record
    if record.table is not None:
        raise BadInput(f"run {run} is a rehearsal: its accuracies come from a table, so there are no finals")
    refuse_other_tasks(source, store)
    asked = Asked(
        name=check_name("run", name or default_name(run, dataset, from_weights)),
        present=_present(opened, record, settings_file, parallel, assignments or [], release),
        factors=rate_factors or [1.0],
        top=top,
        ensemble=ensemble,
        dataset=dataset,
        from_weights=from_weights,
    )
    training = partial(train, opened, launcher=launcher, release=release, listener=terminal)
    verdict = hold(opened, source, asked, training, terminal.say)
    if isinstance(verdict, Unfinished):
        if not verdict.ended.signal:
            raise RunFailed(
                f"run {verdict.run} stopped before all its nets were trained: {verdict.ended.reason}",
                hint="nothing was judged; the same command with a larger budget goes on",
            )
        leave(*verdict)
    if output is Format.JSON:
        print_json(verdict)
    else:
        _print(verdict)


def _print_classes(verdict: Verdict) -> None:
    """The test images of each class; of many, the classes that the best model knows worst."""
    found = verdict.classes()
    if not found:
        return
    shown = found
    if len(found) > SHOWN_CLASSES:
        shown = sorted(found, key=lambda each: 1.0 if each.accuracy is None else each.accuracy)[:SHOWN_CLASSES]
    say()
    print_rows(
        {**_CLASSES, f"ensemble of {verdict.ensemble}": ".4f", "taken for": ""},
        [
            (
                *(each.name, each.images, each.accuracy, each.ensemble_accuracy),
                "" if each.mistaken_for is None else f"{each.mistaken_for} ({each.mistakes:,})",
            )
            for each in shown
        ],
    )
    if len(shown) < len(found):
        say(f"the {len(shown)} worst of {len(found)} classes; -o json has all, and which is taken for which")


def _present(
    store: Store,
    record: RunRecord,
    file: str | None,
    parallel: int | None,
    assignments: list[str],
    release: Release | None,
) -> Settings:
    example = "for example --set 'finals.phases=[{epochs: 20, learning_rate: 0.02}]'"
    options.refuse_other_sections(assignments, SECTIONS, example)
    above = os.environ, assignments, given({"execution.parallel": parallel}), release and release.layer()
    if file is not None:
        present = load_settings(file, *above, facts(lambda: store)).settings
    else:
        present = continue_settings(record.settings, f"run {record.run}", *above)
    if not present.finals.model_fields_set:
        raise BadInput(
            f"the settings of run {record.run} have no section finals, so there is no recipe",
            hint="--set 'finals.phases=[{epochs: 20, learning_rate: 0.02}]' --set finals.optimizer=sgd, or --settings",
        )
    return present


def _print(verdict: Verdict) -> None:
    rows = [
        (
            *(rank, final.reward, final.searched_reward, final.params),
            *(shortest(final.rate_factor), final.trial, final.net),
        )
        for rank, final in enumerate(verdict.finalists, 1)
    ]
    name = "val accuracy" if all(final.reward == final.val_accuracy for final in verdict.finalists) else "reward"
    print_rows({name if column == "reward" else column: form for column, form in _FINALISTS.items()}, rows)
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
    _print_classes(verdict)
    say(
        f"{amount(verdict.test_images, 'test image')} of {verdict.dataset.name}-{verdict.dataset.digest}, "
        f"at {verdict.at}"
    )
