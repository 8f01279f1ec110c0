"""Checkpoints are whole and this trial's, or of no use; and they never stand in the way."""

from __future__ import annotations

import hashlib
import pickle
import random
from contextlib import closing
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode
from metaqnn_trainer.contract.messages import DatasetRef, Recipe
from metaqnn_trainer.contract.result import EpochRecord, Position
from metaqnn_trainer.errors import CheckpointError
from metaqnn_trainer.images.dataset import Dataset
from metaqnn_trainer.sources.make import MadeDataset
from metaqnn_trainer.store.base import exists
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.errors import Cause, StoreError
from metaqnn_trainer.training.checkpoint import (
    Checkpoint,
    Checkpoints,
    CheckpointState,
    decode_checkpoint,
    encode_checkpoint,
    release,
)
from tests.trainer.conftest import RUN, spec_of, train

SPEC = spec_of(DatasetRef(name="digits", digest="0" * 16))
OTHER = spec_of(DatasetRef(name="digits", digest="1" * 16))
STATE = CheckpointState(
    release=release(),
    spec_digest=SPEC.digest(),
    position=Position(rate=2, epoch=3, step=4),
    images=1000,
    train_seconds=1.5,
    epoch_seconds=0.5,
    seconds=2.0,
)
RECORD = EpochRecord(rate=1, epoch=1, learning_rate=1e-3, train_loss=None, reward=0.5, val_accuracy=0.5, seconds=0.1)
CHECKPOINT = Checkpoint(STATE, [RECORD, RECORD], {"model/a": torch.rand(2, 3), "best/a": torch.rand(2, 3)})
DATA = encode_checkpoint(CHECKPOINT)


def test_what_is_written_is_read() -> None:
    read = decode_checkpoint(DATA, SPEC)
    assert (read.state, read.records) == (STATE, [RECORD, RECORD])
    assert torch.equal(read.part("model")["a"], CHECKPOINT.tensors["model/a"])
    assert set(read.tensors) == {"model/a", "best/a"}


def test_without_history_and_with_a_long_one() -> None:
    for records in ([], [RECORD] * 10_000):
        data = encode_checkpoint(Checkpoint(STATE, records, {}))
        assert decode_checkpoint(data, SPEC) == Checkpoint(STATE, records, {})


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    damaged = bytearray(DATA)
    damaged[place] ^= change
    if place == 64:  # the line's end is for people
        return
    with pytest.raises(CheckpointError):
        decode_checkpoint(bytes(damaged), SPEC)


@given(st.integers(0, len(DATA) - 1))
def test_a_cut_is_noticed(length: int) -> None:
    with pytest.raises(CheckpointError):
        decode_checkpoint(DATA[:length], SPEC)


def sealed(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode() + b"\n" + data


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, ("exploded",)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 8, b"{}", pickle.dumps(Bomb()), b"\xff" * 100],
    ids=["empty", "zeros", "JSON", "pickle", "noise"],
)
def test_foreign_bytes_with_a_right_digest_are_refused_and_nothing_in_them_runs(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError):
        decode_checkpoint(sealed(data), SPEC)
    assert not list(tmp_path.iterdir())


def test_another_trials_or_another_releases() -> None:
    with pytest.raises(CheckpointError, match="another trial"):
        decode_checkpoint(DATA, OTHER)
    old = STATE.model_copy(update={"release": "metaqnn 0.0.1, torch 1.0"})
    with pytest.raises(CheckpointError, match=r"another release, metaqnn 0\.0\.1"):
        decode_checkpoint(encode_checkpoint(Checkpoint(old, [], {})), SPEC)


def test_on_their_way_to_the_store(tmp_path: Path) -> None:
    said: list[str] = []
    store, key = DirectoryStore(tmp_path), keys.checkpoint(RUN, SPEC.trial_id())
    checkpoints = Checkpoints(store, RUN, SPEC, 0, said.append)
    assert checkpoints.read() is None
    for epoch in random.Random(1).sample(range(1, 100), 20):
        state = STATE.model_copy(update={"position": Position(epoch=epoch)})
        checkpoints.send(Checkpoint(state, [], {}))
    checkpoints.wait()
    found = Checkpoints(store, RUN, SPEC, 0, said.append).read()
    assert found is not None
    assert found.state.position.epoch == epoch  # the last
    store.put(key, DATA[:-1])
    assert checkpoints.read() is None
    assert "training starts from the beginning" in said[0]
    checkpoints.remove()
    checkpoints.close()
    assert not exists(store, key)
    assert len(said) == 1


def test_too_soon_is_not_due(tmp_path: Path) -> None:
    assert not Checkpoints(DirectoryStore(tmp_path), RUN, SPEC, 3600, print).due


class Refusing(DirectoryStore):
    """Takes nothing, for a cause that is handed in, and counts what it was asked to take."""

    def __init__(self, root: Path, cause: Cause) -> None:
        super().__init__(root)
        self.cause, self.asked = cause, 0

    def put(self, key: str, data: bytes) -> None:
        self.asked += 1
        raise StoreError(f"{key}: HTTP 413 EntityTooLarge", cause=self.cause, status=413)


@pytest.mark.parametrize(("cause", "times"), [(Cause.REFUSED, 1), (Cause.FULL, 1), (Cause.OUTAGE, 3)])
def test_what_is_refused_is_not_tried_again_and_what_was_away_is(cause: Cause, times: int, tmp_path: Path) -> None:
    said: list[str] = []
    store = Refusing(tmp_path, cause)
    with closing(Checkpoints(store, RUN, SPEC, 0, said.append, within_epoch=0)) as checkpoints:
        for _ in range(3):
            checkpoints.send(CHECKPOINT)
            checkpoints.wait()
        assert checkpoints.due is checkpoints.overdue is (cause is Cause.OUTAGE)
    assert store.asked == len(said) == times
    assert said[0].startswith("a checkpoint could not be written")
    assert ("no other will be tried" in said[0]) is (cause is not Cause.OUTAGE)
    assert said[0].endswith(f"{keys.checkpoint(RUN, SPEC.trial_id())}: HTTP 413 EntityTooLarge")


def test_one_that_cannot_be_stored_is_told_and_no_more(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "store").write_text("a file in its place")
    checkpoints = Checkpoints(DirectoryStore(tmp_path / "store"), RUN, SPEC, 0, said.append)
    checkpoints.send(CHECKPOINT)
    checkpoints.remove()
    checkpoints.close()
    assert [line.split(":")[0] for line in said] == [
        "a checkpoint could not be written, and no other will be tried",
        "the checkpoint could not be removed",
    ]


class Watched(DirectoryStore):
    """Remembers of which epoch the checkpoints are."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.epochs: list[int] = []

    def put(self, key: str, data: bytes) -> None:
        super().put(key, data)
        tensors = safetensors.torch.load(data[65:])
        self.epochs.append(decode(CheckpointState, bytes(tensors["state"].numpy()), "state").position.epoch)


@pytest.mark.parametrize(
    ("seconds", "before_the_end", "expected"),
    [(0, 3600, [2, 3, 4, 5]), (3600, 3600, []), (3600, 0, [5])],
)
def test_how_often(
    seconds: float,
    before_the_end: float,
    expected: list[int],
    digits: MadeDataset,
    digits_dataset: Dataset,
    tmp_path: Path,
) -> None:
    """0: after every epoch, where the last has arrived by then. A limit that training does not reach: never, or only
    after the last epoch, if what was trained by then is worth it.
    """
    spec = spec_of(digits.ref, recipe=Recipe(epochs=4, batch_size=64))
    store = Watched(tmp_path)
    with closing(Checkpoints(store, RUN, spec, seconds, pytest.fail, before_the_end=before_the_end)) as kept:
        train(spec, digits_dataset, lambda record: kept.wait(), checkpoints=kept)
    assert store.epochs == expected
