"""The finals after a search (paper, section 5): the best nets are trained again with a longer recipe, ranked by
validation accuracy, and then measured once on the test images.

Each recipe is a run of its own: a list of nets in place of a search, and everything else as in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from metaqnn_orch.application import datasets
from metaqnn_orch.application.derived_run import derived, refuse_open
from metaqnn_orch.application.finalists import Elsewhere, candidates, final_settings, ranked, weights_of
from metaqnn_orch.application.judging import judge
from metaqnn_orch.application.listener import Say
from metaqnn_orch.application.moment import now
from metaqnn_orch.application.session import SessionEnd
from metaqnn_orch.application.trainer_call import need_trainer
from metaqnn_orch.control.confirmation import is_unconfirmed
from metaqnn_orch.control.presence import check_there, is_there
from metaqnn_orch.control.record import RunRecord, check_same, load_record
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import BadInput, NotFound
from metaqnn_orch.next_command import next_command
from metaqnn_orch.reporting.summary import RunView
from metaqnn_orch.reporting.verdict import Verdict, read_verdict
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import CLASSIFICATION
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import Store


class Asked(NamedTuple):
    """How the best nets of a search are to be trained again."""

    name: str
    """Name of the run that trains them with the recipe's own learning rates; the names of the others follow from it."""
    present: Settings
    """Settings in force now; only the sections finalists.SECTIONS count."""
    factors: Sequence[float]
    """Factors on the learning rates: there is a run for each."""
    top: int | None
    """Number of nets; None for ten, or for the number that an earlier call began with."""
    ensemble: int
    dataset: str | None
    """Name of another dataset than the search's, or None."""
    from_weights: bool
    """Whether training begins with the weights that the nets have."""


class Unfinished(NamedTuple):
    """A run that a signal or the budget ended before all its nets were trained."""

    run: str
    ended: SessionEnd


def hold(
    store: Store, source: RunView, asked: Asked, train: Callable[[str, Settings], SessionEnd], say: Say
) -> Verdict | Unfinished:
    """Train the best nets of a search again, from wherever an earlier call ended, and measure them once on the test
    images. `train` trains the nets of settings as the run of a name.

    Raises:
        BadInput: what is asked for is not what was begun, or judged; or nothing learned anything.
        NotFound: the store has no such dataset.
    """
    record = source.record
    refuse_other_tasks(source, store.uri)
    if asked.dataset is None:
        refuse_open(record, store.uri)
    elsewhere = _elsewhere(store, asked.dataset) if asked.dataset is not None else None
    info = elsewhere.info if elsewhere is not None else record.info
    names = {factor: asked.name if factor == 1 else name_of(asked.name, factor) for factor in asked.factors}
    begun = _begun(store, [*names.values()], asked.top)
    nets = [*begun.nets] if begun else candidates(source, asked.top or 10)
    verdict = read_verdict(store, asked.name)
    if verdict is not None:
        if verdict.ensemble != min(asked.ensemble, len(verdict.finalists)):
            raise BadInput(
                f"the test images were already used, for an ensemble of {verdict.ensemble}, at {verdict.at}; this is"
                " done only once",
                hint=f"to see the result, use --ensemble {verdict.ensemble}",
            )
        return verdict
    if not begun and is_unconfirmed(source.state):
        say(f"the best nets of run {record.run} are not confirmed yet; going on with the run does that")
    initial = (
        [ref for ref in begun.initial if ref]
        if begun
        else weights_of(store, source, nets)
        if asked.from_weights
        else []
    )
    plans = {factor: final_settings(record, nets, asked.present, factor, elsewhere, initial) for factor in names}
    for factor, settings in plans.items():  # every run is checked before the first one begins
        _check(store, names[factor], settings)
    if not info.test:
        raise BadInput(
            f"dataset {info.name} has no test images, on which the finals end",
            hint="make it again with some; or finals --dataset NAME trains the nets on another dataset",
        )
    need_trainer("measuring the test accuracy, on this machine,")
    views = {}
    for factor, settings in plans.items():
        ended = train(names[factor], settings)
        if not ended.is_complete:
            return Unfinished(names[factor], ended)
        views[factor] = ended.view
    searched = source.state.by_net if not elsewhere else {}
    found = _judge(store, views, searched, asked.ensemble, say)
    return write_verdict(store, asked.name, found, views[1].record if 1 in views else None)


def refuse_other_tasks(source: RunView, store: str) -> None:
    """`store` is the address of the store.

    Raises:
        BadInput: the run classifies no images.
    """
    run, task = source.record.run, source.state.settings.task.name
    if task != CLASSIFICATION.name:
        raise BadInput(
            f"finals measure accuracies on test images, and the task of run {run} is {task}",
            hint=f"{next_command(f'pull {run}', store)} copies its best weights",
        )


def default_name(run: str, dataset: str | None, from_weights: bool) -> str:
    return derived("-".join([run, "finals", *([dataset] if dataset else []), *(["tuned"] if from_weights else [])]))


def name_of(base: str, factor: float) -> str:
    """The name of the run that trains with the learning rates times `factor`."""
    return derived(f"{base}-x{shortest(factor)}".replace(".", "-").replace("+", ""))


def shortest(factor: float) -> str:
    """The factor with six digits, or with more where another factor has the same six."""
    return short if float(short := f"{factor:g}") == factor else repr(factor)


def _elsewhere(store: Store, name: str) -> Elsewhere:
    ref = datasets.named(store, name)
    if ref is None:
        raise NotFound(
            f"{store.uri} has no dataset {name}", hint=f"{next_command(f'dataset push {name}', store.uri)} makes it"
        )
    return Elsewhere(dataset=ref, info=datasets.info(store, ref))


def _check(store: Store, name: str, settings: Settings) -> None:
    """Check that a run of this name, if there is one, asks for the same.

    Raises:
        RunConflict: it does not.
    """
    with suppress(NotFound):
        check_same(load_record(store, name), settings)


def _begun(store: Store, names: list[str], top: int | None) -> Settings | None:
    """The settings of finals that were begun earlier, if any: the search may have found better nets since."""
    for name in names:
        try:
            settings = load_record(store, name).settings_as_run()
        except NotFound:
            continue
        nets = settings.nets
        if not nets:
            raise BadInput(f"run {name} is a search", hint="give the finals another --name")
        if top is not None and top != len(nets):
            raise BadInput(
                f"run {name} began with {amount(len(nets), 'net')}, not {top}", hint="give the finals another --name"
            )
        return settings
    return None


def _judge(
    store: Store, views: Mapping[float, RunView], searched: Mapping[str, Trial], ensemble: int, say: Say
) -> Verdict:
    finalists = ranked(views, searched)
    if not finalists:
        raise BadInput("none of the nets learned anything with this recipe", hint="--rate-factor 0.1 --name NAME")
    chosen = finalists[:ensemble]
    say(
        f"testing the best of {amount(len(finalists), 'net')} and an ensemble of {len(chosen)} on the test images, once"
    )
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
        class_names=found.class_names if found.confusion else [],
        confusion=found.confusion,
        ensemble_confusion=found.together_confusion,
    )


def write_verdict(store: Store, run: str, verdict: Verdict, record: RunRecord | None = None) -> Verdict:
    """Write the verdict, or read the one that another process wrote first. `record` is that of the run, where there is
    a run of this name: with other learning rates alone there is none.

    Raises:
        RunConflict: the run was renamed or removed meanwhile. A new name took the verdict along, or there is none.
    """
    is_new = store.put_if_absent(keys.finals(run), encode(verdict))
    if record is not None and is_new and not is_there(store, record):
        store.delete(keys.finals(run))
        check_there(store, record, "its verdict is not kept under this name")
    if is_new:
        return verdict
    found = read_verdict(store, run)
    assert found is not None
    return found
