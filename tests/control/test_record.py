"""run.json: written once, compared key by key."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_orch.control.record import check_same, create_record, load_record
from metaqnn_orch.errors import NotFound, RunConflict
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


def test_the_first_record_stays(store: Store) -> None:
    first = load_record(store, "test")
    assert create_record(store, first.model_copy(update={"uid": "another"})) == first


def test_an_unknown_run_names_the_known_ones(store: Store) -> None:
    with pytest.raises(NotFound) as caught:
        load_record(store, "tset")
    assert caught.value.hint == "runs there: test"


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
