"""What follows a search (paper, section 5): the best nets trained again with a longer recipe, ranked by validation, and
then, once and for all, judged on the test images.

Each recipe is a run of its own: a list of nets in place of a search, and everything else as in every run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.retention import read_removed
from metaqnn_orch.control.warm_start import reheaded
from metaqnn_orch.errors import BadInput, ObjectMissing
from metaqnn_orch.reporting.summary import RunView, leaderboard
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.values import parse_settings
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import Probability
from metaqnn_trainer.contract.codec import Message, encode, read
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import DatasetRef, Recipe, WeightsRef
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.base import Store

SECTIONS: Final = ("finals", "execution", "budget", "tracking")  # that finals take from settings


class Finalist(Message):
    """A net that was trained again."""

    net: str
    run: str
    trial: str
    params: int
    rate_factor: float
    """On the recipe's learning rates: the best of those that were tried."""
    val_accuracy: Probability
    searched_val_accuracy: Probability | None
    """While searching; None on another dataset."""


class Verdict(Message):
    """finals.json: written once, because the test images are looked at once."""

    schema_version: Literal[1] = 1
    at: str
    dataset: DatasetRef
    finalists: list[Finalist]
    """By validation accuracy, the best first."""
    ensemble: int
    """So many of them, the best, were judged together."""
    test_images: int
    test_accuracy: Probability
    """Of the best."""
    ensemble_val_accuracy: Probability
    ensemble_test_accuracy: Probability


class Elsewhere(Message):
    """Another dataset than the search's."""

    dataset: DatasetRef
    info: DatasetInfo


def final_settings(
    record: RunRecord,
    nets: Sequence[str],
    present: Settings,
    factor: float = 1.0,
    elsewhere: Elsewhere | None = None,
    initial: Sequence[WeightsRef] = (),
) -> Settings:
    """The settings of the run that trains `nets` again; its recipe, and how the work is done, are `present`'s. With
    `initial` weights, one for each net, they do not begin from scratch.

    Raises:
        SettingsError: a net does not fit the other dataset.
    """
    values: dict[str, Any] = {**record.settings, "finals": {}, "nets": [*nets]}
    values["initial"] = [weights.model_dump(mode="json") for weights in initial]
    values["recipe"] = scaled(present.finals, factor).model_dump(mode="json")
    if elsewhere is not None:
        images = elsewhere.info.images()
        values["dataset"] = elsewhere.dataset.model_dump(mode="json")
        values["space"] = {**values["space"], "channels": images.channels, "classes": images.classes}
        values["nets"] = [reheaded(net, images.classes) for net in nets]
    made = parse_settings(values)
    ours = {name: getattr(present, name) for name in SECTIONS if name != "finals"}
    return made.model_copy(update=ours)


def scaled(recipe: Recipe, factor: float) -> Recipe:
    """All learning rates times `factor`. The test images stay out of it, whatever the recipe says."""
    values = recipe.model_dump(mode="json")
    values["evaluate_test"] = False
    for phase in values["phases"] or [values]:
        phase["learning_rate"] *= factor
    return Recipe.model_validate_json(Recipe.model_construct(**values).model_dump_json(warnings=False))


def candidates(view: RunView, top: int) -> list[str]:
    """The best nets of a search.

    Raises:
        BadInput: it has none.
    """
    nets = [trial.net for trial in leaderboard(view.state, top) if trial.state in ("completed", "timed_out")]
    if not nets:
        raise BadInput(f"run {view.record.run} has no trained net yet")
    return nets


def weights_of(store: Store, view: RunView, nets: Sequence[str]) -> list[WeightsRef]:
    """Where the weights of these trained nets are.

    Raises:
        BadInput: a trial has none, or they are gone.
    """
    found = []
    for net in nets:
        trial, run = view.state.by_net[net].trial, view.record.run
        key = keys.result(run, trial)
        try:
            weights = read(TrainingResult, store.get, key).weights
            if weights is not None:
                artifacts.locate(store, run, trial, "weights", weights)
        except (ObjectMissing, MessageError) as error:
            reason = read_removed(store, run, trial) or error
            raise BadInput(
                f"trial {trial} of run {run} has no weights to begin with: {reason}",
                hint=f"without --from-weights, or metaqnn-orch retrain {run} {trial} trains it again",
            ) from None
        if weights is None:
            raise BadInput(f"trial {trial} of run {run} has no weights to begin with", hint="without --from-weights")
        found.append(WeightsRef(run=run, trial=trial, sha256=weights.sha256))
    return found


def ranked(runs: Mapping[float, RunView], searched: Mapping[str, float]) -> list[Finalist]:
    """Of every net the best of its trainings, by validation accuracy; `runs` by their rate factors."""
    best: dict[str, Finalist] = {}
    for factor, view in runs.items():
        for trial in view.state.trials.values():
            if trial.state != "completed" or trial.val_accuracy is None:
                continue
            known = best.get(trial.net)
            if known is None or trial.val_accuracy > known.val_accuracy:
                best[trial.net] = Finalist(
                    net=trial.net,
                    run=view.record.run,
                    trial=trial.trial,
                    params=trial.params or 0,
                    rate_factor=factor,
                    val_accuracy=trial.val_accuracy,
                    searched_val_accuracy=searched.get(trial.net),
                )
    return sorted(best.values(), key=lambda final: (-final.val_accuracy, final.params))


def read_verdict(store: Store, run: str) -> Verdict | None:
    """None where the test images have not been looked at."""
    key = keys.finals(run)
    try:
        return read(Verdict, store.get, key, f"{store.uri}: {key}")
    except ObjectMissing:
        return None


def write_verdict(store: Store, run: str, verdict: Verdict) -> Verdict:
    """Write it, or read what somebody else found first."""
    if store.put_if_absent(keys.finals(run), encode(verdict)):
        return verdict
    found = read_verdict(store, run)
    assert found is not None
    return found
