from __future__ import annotations

import pytest

from metaqnn_orch.application.finalists import Elsewhere, candidates, final_settings, ranked, scaled, weights_of
from metaqnn_orch.application.finals import write_verdict
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import BadInput, SettingsError
from metaqnn_orch.reporting.summary import RunView, leaderboard
from metaqnn_orch.reporting.verdict import Verdict, read_verdict
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import DatasetRef, RatePhase, Recipe
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import DATASET, INFO, Session, accuracy_of, settings

LONG = Recipe(
    optimizer="sgd",
    phases=(RatePhase(epochs=2, learning_rate=0.02), RatePhase(epochs=1, learning_rate=0.001)),
    evaluate_test=True,
)


def searched(store: DirectoryStore, chosen: Settings, run: str = "test") -> RunView:
    session = Session(store, chosen, run=run)
    session.run_to_end()
    return RunView(session.record, session.state, session.journal.position)


def present() -> Settings:
    return settings(execution__parallel=7).model_copy(update={"finals": LONG})


def test_finals_differ_from_the_search_in_nets_and_recipe_alone(store: DirectoryStore) -> None:
    view = searched(store, settings())
    nets = candidates(view, 3)
    assert nets == [trial.net for trial in leaderboard(view.state, 3)]
    made = final_settings(view.record, nets, present())
    assert made.nets == tuple(nets)
    assert made.goal == 3
    assert made.recipe == LONG.model_copy(update={"evaluate_test": False}), "the test images wait"
    assert made.execution.parallel == 7
    same = ("dataset", "space", "model", "agent", "schedule", "seed")
    assert all(getattr(made, name) == getattr(settings(), name) for name in same)


def test_a_rate_factor_is_on_every_rate() -> None:
    assert [phase.learning_rate for phase in scaled(LONG, 0.5).phases] == [0.01, 0.0005]
    assert scaled(LONG, 0.5).epochs == 3
    assert scaled(Recipe(), 3.0).learning_rate == pytest.approx(3e-3)


def test_weights_to_begin_with_belong_to_their_nets(store: DirectoryStore) -> None:
    view = searched(store, settings())
    nets = candidates(view, 2)
    initial = weights_of(store, view, nets)
    made = final_settings(view.record, nets, present(), initial=initial)
    record = view.record.model_copy(update={"settings": made.recorded()})
    for net, weights in zip(nets, initial, strict=True):
        assert weights.trial == view.state.by_net[net].trial
        assert record.spec(made, net).initial == weights
    with pytest.raises(SettingsError, match="initial has 1 entry, but nets has 2"):
        final_settings(view.record, nets, present(), initial=initial[:1])
    store.delete(keys.result("test", initial[0].trial))
    with pytest.raises(BadInput, match="has no weights to start from"):
        weights_of(store, view, nets)


def test_another_dataset_has_its_own_classes_and_channels(store: DirectoryStore) -> None:
    view = searched(store, settings())
    info = INFO.model_copy(update={"name": "other", "classes": 3, "channels": 3, "class_names": ["a", "b", "c"]})
    elsewhere = Elsewhere(dataset=DatasetRef(name="other", digest="f" * 16), info=info)
    made = final_settings(view.record, ["[C(64,3,1), GAP(10), SM(10)]"], present(), elsewhere=elsewhere)
    assert made.nets == ("[C(64,3,1), GAP(3), SM(3)]",)
    assert (made.space.classes, made.space.channels, made.space.image_size) == (3, 3, 8)
    assert made.dataset.digest == "f" * 16


def test_nets_that_do_not_fit_are_refused(store: DirectoryStore) -> None:
    record = searched(store, settings()).record
    with pytest.raises(SettingsError, match="does not fit images of"):
        final_settings(record, ["[P(9,1), SM(10)]"], present())


def test_a_search_without_nets_has_no_finals(store: DirectoryStore) -> None:
    session = Session(store, settings())
    session.open()
    with pytest.raises(BadInput, match="has no trained net yet"):
        candidates(RunView(session.record, session.state, 0), 3)


def test_each_net_stands_with_its_best_training(store: DirectoryStore) -> None:
    view = searched(store, settings())
    other = searched(store, settings(seed=1), run="other")
    assert view.state.best is not None
    better = view.state.best
    twin = next(trial for trial in other.state.trials.values() if trial.net not in view.state.by_net)
    before = Trial("0" * 12, better.net, 1.0, "completed", 0.125, {"accuracy": 0.125})
    found = ranked({1.0: view, 0.5: other}, {better.net: before})
    assert [final.reward for final in found] == sorted((final.reward for final in found), reverse=True)
    assert len(found) == len({trial.net for seen in (view, other) for trial in seen.state.trials.values()})
    by_net = {final.net: final for final in found}
    assert (by_net[twin.net].run, by_net[twin.net].rate_factor) == ("other", 0.5)
    assert (by_net[better.net].searched_reward, by_net[better.net].searched_val_accuracy) == (0.125, 0.125)
    assert by_net[better.net].val_accuracy == accuracy_of(better.net)


def test_the_test_images_speak_once(store: DirectoryStore) -> None:
    view = searched(store, settings())
    verdict = Verdict(
        at="now",
        dataset=DATASET,
        finalists=ranked({1.0: view}, {}),
        ensemble=2,
        test_images=10,
        test_accuracy=0.5,
        ensemble_val_accuracy=0.5,
        ensemble_test_accuracy=0.75,
    )
    assert read_verdict(store, "test") is None
    assert write_verdict(store, "test", verdict) == verdict
    assert write_verdict(store, "test", verdict.model_copy(update={"test_accuracy": 1.0})) == verdict
    assert read_verdict(store, "test") == verdict
