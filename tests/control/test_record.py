"""run.json: written once, compared key by key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metaqnn_orch.control.record import Binding, RunRecord, check_same, create_record, load_record
from metaqnn_orch.errors import NotFound, RunConflict
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, settings


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = DirectoryStore(tmp_path)
    Session(store, settings()).open()
    return store


def test_the_same_settings_are_the_same_run(store: Store) -> None:
    record = load_record(store, "test")
    check_same(record, settings())
    assert record.settings_as_run() == settings().model_copy(update={"execution": record.settings_as_run().execution})


def test_how_the_work_is_done_may_change(store: Store) -> None:
    check_same(load_record(store, "test"), settings(execution__parallel=7, execution__max_trials=2))


def test_a_digest_that_was_found_need_not_be_repeated(store: Store) -> None:
    check_same(load_record(store, "test"), settings(dataset__digest=None))


def test_each_difference_is_a_line(store: Store) -> None:
    other = settings(recipe__epochs=3, space__max_params=1000, seed=1)
    with pytest.raises(RunConflict) as caught:
        check_same(load_record(store, "test"), other)
    assert str(caught.value).splitlines()[1:] == [
        "  space.max_params: null -> 1000",
        "  recipe.epochs: 20 -> 3",
        "  seed: 0 -> 1",
    ]


def test_a_setting_that_the_run_was_begun_without_has_its_default(store: Store) -> None:
    record = load_record(store, "test")
    older = {name: value for name, value in record.settings["recipe"].items() if name != "normalisation"}
    record = record.model_copy(update={"settings": {**record.settings, "recipe": older}})
    check_same(record, settings())
    with pytest.raises(RunConflict, match=r'recipe.normalisation: "channel" -> "pixel"'):
        check_same(record, settings(recipe__normalisation="pixel"))


@pytest.fixture
def older(store: Store) -> RunRecord:
    """The record as a release wrote it that knew no space.gap_after_fc."""
    content = json.loads(store.get(keys.run_record("test")))
    del content["settings"]["space"]["gap_after_fc"]
    store.put(keys.run_record("test"), json.dumps(content).encode())
    return load_record(store, "test")


def test_a_new_run_says_what_an_older_one_did_not(store: Store) -> None:
    record = load_record(store, "test")
    assert (record.settings["space"]["gap_after_fc"], record.unsaid) == (False, {})
    with pytest.raises(RunConflict, match=r"space\.gap_after_fc: false -> true"):
        check_same(record, settings(space__gap_after_fc=True))


@pytest.mark.parametrize("wanted", [settings(), settings(space__gap_after_fc=True)], ids=["the default", "the same"])
def test_an_older_run_keeps_the_rule_that_nobody_could_choose(older: RunRecord, wanted: Settings) -> None:
    assert older.settings["space"]["gap_after_fc"] is True
    assert older.unsaid == {"gap_after_fc": True}
    check_same(older, wanted)
    assert older.settings_as_run(wanted).space.gap_after_fc is True
    assert older.settings_as_run().identity()["space"] == older.settings["space"]


def test_an_older_run_that_was_imported_keeps_it_when_its_dataset_is_decided(older: RunRecord) -> None:
    bound = older.bound_to(Binding(dataset=older.dataset, info=older.info))
    assert (bound.settings, bound.unsaid) == (older.settings, older.unsaid)


def test_other_differences_of_an_older_run_are_lines(older: RunRecord) -> None:
    with pytest.raises(RunConflict) as caught:
        check_same(older, settings(space__max_params=1000))
    assert str(caught.value).splitlines()[1:] == ["  space.max_params: null -> 1000"]


def test_the_first_record_stays(store: Store) -> None:
    first = load_record(store, "test")
    assert create_record(store, first.model_copy(update={"uid": "another"})) == first


def test_an_unknown_run_names_the_known_ones(store: Store) -> None:
    with pytest.raises(NotFound) as caught:
        load_record(store, "tset")
    assert caught.value.hint == "did you mean test? runs there: test"


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "run-", "x" * 41, "a\n", "é", "-a", "%2e%2e"])
def test_a_name_that_is_none_is_refused(store: Store, name: str) -> None:
    with pytest.raises(MessageError, match="is not a valid name"):
        load_record(store, name)


def test_a_damaged_record_is_named(store: Store) -> None:
    store.put(keys.run_record("test"), b'{"schema_version": 9}')
    with pytest.raises(MessageError, match=r"run\.json is not valid"):
        load_record(store, "test")


def test_a_copied_run_is_not_taken_for_another(store: Store) -> None:
    store.put(keys.run_record("copy"), store.get(keys.run_record("test")))
    with pytest.raises(MessageError, match=r"runs/copy/run\.json is of the run 'test'"):
        load_record(store, "copy")
