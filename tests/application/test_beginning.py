from __future__ import annotations

import json
from pathlib import Path

import pytest

from metaqnn_orch.application.beginning import begin
from metaqnn_orch.application.listener import Tone
from metaqnn_orch.application.logged import Logged
from metaqnn_orch.application.preview import trial_of
from metaqnn_orch.errors import BadInput, NotFound, RunConflict, StoreError
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import needs_trainer, put_dataset
from tests.control.world import INFO, settings

SAY = Logged().say


def fine(store: Store) -> None:
    pass


def broken(store: Store) -> None:
    raise StoreError("it is broken")


def objects(store: DirectoryStore) -> set[str]:
    return {entry.key for entry in store.list("")}


def test_a_run_is_bound_to_the_dataset_that_was_found(store: DirectoryStore) -> None:
    ref = put_dataset(store)
    record = begin(store, "new", settings(dataset__digest=None), fine, SAY)
    assert (record.run, record.dataset, record.info) == ("new", ref, INFO)
    assert record.settings["dataset"]["digest"] == ref.digest
    assert begin(store, "new", settings(dataset__digest=None), fine, SAY) == record, "whoever asks for the same gets it"


def test_a_run_keeps_its_dataset_when_a_second_one_appears(store: DirectoryStore) -> None:
    record = begin(store, "new", settings(dataset__digest=put_dataset(store).digest), fine, SAY)
    other = put_dataset(store, padding=8)
    assert begin(store, "new", settings(dataset__digest=None), fine, SAY) == record
    with pytest.raises(RunConflict, match=r"dataset\.digest"):
        begin(store, "new", settings(dataset__digest=other.digest), fine, SAY)
    with pytest.raises(BadInput, match="has 2 datasets named digits"):
        begin(store, "newer", settings(dataset__digest=None), fine, SAY)


def test_a_run_of_an_earlier_release_says_which_rule_it_keeps(store: DirectoryStore) -> None:
    wanted, said = settings(dataset__digest=put_dataset(store).digest), list[str]()

    def say(line: str, tone: Tone = Tone.PLAIN) -> None:
        said.append(line)

    begin(store, "new", wanted, fine, say)
    assert said == []
    content = json.loads(store.get(keys.run_record("new")))
    del content["settings"]["space"]["gap_after_fc"]
    store.put(keys.run_record("new"), json.dumps(content).encode())
    record = begin(store, "new", wanted, fine, say)
    assert said == ["run new began before space.gap_after_fc existed, and keeps what it began with: true"]
    begin(store, "new", record.settings_as_run(), fine, say)
    assert len(said) == 1, "nothing is worth saying where the same was asked for"


def test_a_run_that_began_before_presets_said_a_precision_keeps_its_own(store: DirectoryStore) -> None:
    digest, said = put_dataset(store).digest, list[str]()

    def say(line: str, tone: Tone = Tone.PLAIN) -> None:
        said.append(line)

    begin(store, "new", settings(dataset__digest=digest), fine, say)
    wanted = settings(dataset__digest=digest, recipe__precision="bf16")
    with pytest.raises(RunConflict, match=r'recipe.precision: "tf32" -> "bf16"'):
        begin(store, "new", wanted, fine, say)
    content = json.loads(store.get(keys.run_record("new")))
    del content["settings"]["recipe"]["deterministic"]
    store.put(keys.run_record("new"), json.dumps(content).encode())
    record = begin(store, "new", wanted, fine, say)
    assert said == ["run new began with recipe.precision tf32, before presets said another, and keeps it"]
    assert record.settings_as_run(wanted).recipe.precision == "tf32"
    shown, _ = trial_of(store, "new", wanted, "[C(16,3,1), SM(10)]", say)
    assert shown.recipe.precision == "tf32", "a manifest shows the trial that the run would train"
    with pytest.raises(RunConflict, match=r'recipe.precision: "tf32" -> "fp32"'):
        begin(store, "new", settings(dataset__digest=digest, recipe__precision="fp32"), fine, say)


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"dataset__digest": "f" * 16}, NotFound, "has no dataset digits-ffffffffffffffff"),
        ({"space__classes": 5}, BadInput, "space.classes is 5, but in dataset digits it is 10"),
        ({"space__channels": 3}, BadInput, "space.channels is 3, but in dataset digits it is 1"),
    ],
)
def test_what_does_not_fit_leaves_nothing(
    changes: dict[str, object], kind: type[BadInput], says: str, store: DirectoryStore
) -> None:
    put_dataset(store)
    before = objects(store)
    with pytest.raises(kind, match=says) as refused:
        begin(store, "new", settings(**{"dataset__digest": None, **changes}), fine, SAY)
    assert refused.value.hint
    assert objects(store) == before


def test_a_store_that_is_refused_has_no_run(store: DirectoryStore) -> None:
    put_dataset(store)
    before = objects(store)
    with pytest.raises(StoreError, match="it is broken"):
        begin(store, "new", settings(dataset__digest=None), broken, SAY)
    assert objects(store) == before


@needs_trainer
def test_a_dataset_that_cannot_be_made_is_told_with_the_users_own_store(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "my store")
    with pytest.raises(NotFound, match="dataset ants could not be made: ") as refused:
        begin(store, "new", settings(dataset__name="ants", dataset__digest=None), fine, SAY)
    wanted = f"metaqnn-orch dataset push ants --source DIR --store '{store.uri}' makes it from files"
    assert refused.value.hint == wanted
    assert not Path(store.uri).exists()
