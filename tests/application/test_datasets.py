"""Datasets in a store, and what becomes of a trainer's words when it makes one. The trainer here is a line of shell."""

from __future__ import annotations

import pytest

from metaqnn_orch.application import datasets
from metaqnn_orch.errors import BadInput, LauncherError, NotFound, OrchestratorError, StoreError
from metaqnn_trainer.contract.messages import DatasetRef
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import put_dataset
from tests.control.world import INFO


def push(store: Store, script: str, said: list[str]) -> DatasetRef:
    return datasets.push(store, "ants", report=said.append, trainer=("sh", "-c", script))


def test_one_of_a_name_is_found(store: DirectoryStore) -> None:
    assert datasets.find(store, "digits") is None
    ref = put_dataset(store)
    put_dataset(store, INFO.model_copy(update={"name": "digits-large"}))
    assert datasets.find(store, "digits") == ref
    assert datasets.find(store, "digits", ref.digest) == ref
    assert datasets.find(store, "digits", "0" * 16) is None
    assert datasets.info(store, ref) == INFO


def test_of_several_one_must_be_chosen(store: DirectoryStore) -> None:
    one, other = put_dataset(store), put_dataset(store, padding=8)
    with pytest.raises(BadInput, match="has 2 datasets named digits") as refused:
        datasets.find(store, "digits")
    assert "--set dataset.digest=" in refused.value.hint
    assert datasets.find(store, "digits", other.digest) == other
    with pytest.raises(BadInput, match="has 2 datasets named digits") as refused:
        datasets.named(store, "digits")
    assert f"digits-{one.digest}" in refused.value.hint or f"digits-{other.digest}" in refused.value.hint
    assert datasets.named(store, f"digits-{other.digest}") == other
    assert datasets.named(store, f"digits-{'0' * 16}") is None
    assert {ref for ref, _ in datasets.all_refs(store)} == {one, other}


def test_what_the_trainer_says_is_handed_on(store: DirectoryStore) -> None:
    said: list[str] = []
    answer = '{"name": "ants", "digest": "0123456789abcdef"}'
    found = push(store, f"echo counting >&2; printf '10%%\\r20%%\\n' >&2; echo done >&2; echo '{answer}'", said)
    assert found == DatasetRef(name="ants", digest="0123456789abcdef")
    assert said == ["counting", "20%"]


@pytest.mark.parametrize(
    ("script", "kind", "says"),
    [
        ("echo metaqnn_trainer: no legs >&2; exit 12", NotFound, "dataset ants could not be made: no legs"),
        ("echo metaqnn_trainer: wrong >&2; exit 11", NotFound, "dataset ants could not be made: wrong"),
        ("echo metaqnn_trainer: disk full >&2; exit 15", StoreError, "disk full"),
        ("exit 13", LauncherError, "the trainer ended with exit code 13 while making dataset ants"),
        ("kill -9 $$", LauncherError, "the trainer ended with exit code -9 while making dataset ants"),
        ("echo nonsense", LauncherError, "the trainer ended with exit code 0 while making dataset ants"),
        ('echo \'{"name": "../x", "digest": "0"}\'', LauncherError, "exit code 0"),
        ("printf '\\033[2Jevil\\000\\377\\n' >&2; exit 12", NotFound, "could not be made: evil"),
        ("echo \"No module named 'torch'\" >&2; exit 1", LauncherError, "No module named 'torch'"),
    ],
)
def test_how_it_can_end(store: DirectoryStore, script: str, kind: type[OrchestratorError], says: str) -> None:
    with pytest.raises(kind) as refused:
        push(store, script, [])
    assert says in str(refused.value)
    assert str(refused.value).isprintable()
    assert ("pip install" in refused.value.hint) == ("No module" in says)


def test_a_traceback_is_told_by_its_last_line(store: DirectoryStore) -> None:
    said: list[str] = []
    trace = "echo Traceback '(most recent call last):' >&2; echo '  File x' >&2; echo ValueError: legs >&2; exit 1"
    with pytest.raises(LauncherError, match="ValueError: legs"):
        push(store, f"echo counting >&2; {trace}", said)
    assert said == ["counting"]


@pytest.mark.parametrize("name", ["", "Ants", "../ants", "ants\n", "x" * 300])
def test_a_bad_name_starts_nothing(store: DirectoryStore, name: str) -> None:
    with pytest.raises(ValueError, match="is not a valid name"):
        datasets.push(store, name, report=print, trainer=("/no/such/program",))
