"""The nets of a search that are trained again: which they are, with which settings, and how they rank afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.retention import best_kept, read_removed
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import BadInput, StoreError
from metaqnn_orch.next_command import next_command
from metaqnn_orch.reporting.summary import RunView
from metaqnn_orch.reporting.verdict import Finalist
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.values import parse_settings
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import Message, read
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import DatasetRef, Recipe, WeightsRef
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.base import Store

SECTIONS: Final = ("finals", "execution", "budget", "tracking")  # what finals take from settings


class Elsewhere(Message):
    """A dataset other than the search's."""

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
    """The settings of the run that trains `nets` again. The recipe, and the settings of how the work is done, are those
    of `present`. With `initial` weights, one set for each net, training does not begin from scratch.

    Raises:
        SettingsError: a net does not fit the other dataset.
    """
    values: dict[str, Any] = {**record.settings, "finals": {}, "nets": [*nets], "changes": []}
    values["initial"] = [weights.model_dump(mode="json") for weights in initial]
    values["recipe"] = scaled(present.finals, factor).model_dump(mode="json")
    if elsewhere is not None:
        images = elsewhere.info.images()
        values["dataset"] = elsewhere.dataset.model_dump(mode="json")
        values["space"] = {**values["space"], "channels": images.channels, "classes": images.classes}
        there = parse_settings({**values, "nets": [], "initial": [], "changes": []}).state_space()
        values["nets"] = [there.adapted(net) for net in nets]
    made = parse_settings(values)
    ours = {name: getattr(present, name) for name in SECTIONS if name != "finals"}
    return made.model_copy(update=ours)


def scaled(recipe: Recipe, factor: float) -> Recipe:
    """The recipe with all learning rates times `factor`. The test images are never measured, whatever the recipe
    says.
    """
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
    ranked = [trial.net for trial in view.state.ranking() if trial.state in ("completed", "timed_out")]
    nets = [*dict.fromkeys(ranked)][:top]  # one may have been trained by several recipes
    if not nets:
        raise BadInput(f"run {view.record.run} has no trained net yet")
    return nets


def weights_of(store: Store, view: RunView, nets: Sequence[str]) -> list[WeightsRef]:
    """The keys of the weights of these trained nets.

    Raises:
        BadInput: some have none, or they are gone; all of these are named.
    """
    run = view.record.run
    found: list[WeightsRef] = []
    lacking: dict[str, str] = {}
    for net in nets:
        name = view.state.by_net[net].trial
        try:
            name = best_kept(store, run, view.state.by_net[net]).trial
            weights = read(TrainingResult, store.get, keys.result(run, name)).weights
            if weights is None:
                lacking[name] = "it has none"
                continue
            artifacts.locate(store, run, name, "weights", weights)
            found.append(WeightsRef(run=run, trial=name, sha256=weights.sha256))
        except (MessageError, StoreError) as error:
            removed = None if isinstance(error, StoreError) and error.transient else read_removed(store, run, name)
            lacking[name] = str(removed or error)
    if lacking:
        first, reason = next(iter(lacking.items()))
        others = f"; nor {', '.join([*lacking][1:])}" if len(lacking) > 1 else ""
        raise BadInput(
            f"trial {first} of run {run} has no weights to start from: {reason}{others}",
            hint=f"leave out --from-weights, or train it again: {next_command(f'retrain {run} {first}', store.uri)}",
        )
    return found


def ranked(runs: Mapping[float, RunView], searched: Mapping[str, Trial]) -> list[Finalist]:
    """The best training of every net, by reward. `runs` are by their learning-rate factors, `searched` by their
    nets.
    """
    best: dict[str, Finalist] = {}
    for factor, view in runs.items():
        for trial in view.state.trials.values():
            if trial.state != "completed" or trial.reward is None:
                continue
            known, before = best.get(trial.net), searched.get(trial.net)
            if known is None or trial.reward > known.reward:
                best[trial.net] = Finalist(
                    net=trial.net,
                    run=view.record.run,
                    trial=trial.trial,
                    params=trial.params or 0,
                    rate_factor=factor,
                    reward=trial.reward,
                    measures=trial.measures,
                    val_accuracy=trial.val_accuracy,
                    searched_reward=before.worth if before and before.reward is not None else None,
                    searched_val_accuracy=before.val_accuracy if before else None,
                )
    return sorted(best.values(), key=lambda final: (-final.reward, final.params))
