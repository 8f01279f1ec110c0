"""Siblings of a result: whatever two attempts do that know nothing of each other, what the result names is there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import Recipe, TrainerOptions, WeightsRef
from metaqnn_trainer.contract.result import Artifact, ExitCode
from metaqnn_trainer.contract.work import WorkReport
from metaqnn_trainer.load import load_trial
from metaqnn_trainer.store.base import Stat, exists
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.errors import StoreError
from metaqnn_trainer.trial import Trainer
from tests.trainer.conftest import RUN, Bench

TRIAL = "0" * 12
OFTEN = TrainerOptions(checkpoint_seconds=0)


def carry_out(bench: Bench, trial: str, stop: Callable[[], bool] = lambda: False, attempt: int = 1) -> WorkReport:
    return Trainer(1, stop).carry_out(bench.order(trial, attempt))


def names(bench: Bench, trial: str) -> list[str]:
    return sorted(path.name for path in (bench.root / keys.trial(RUN, trial)).iterdir())


def check_whole(bench: Bench, trial: str) -> None:
    """The result, what it names, the request, and nothing else."""
    result = bench.result(trial)
    for kind, artifact in artifacts.named(result).items():
        assert artifacts.read(bench.store, RUN, trial, kind, artifact)
    siblings = [f"{kind}-{artifact.sha256[:16]}" for kind, artifact in artifacts.named(result).items()]
    found = [name.partition(".")[0] for name in names(bench, trial)]
    assert found == sorted(["request", "result", *siblings])


def during(steps: int, happens: Callable[[], object]) -> Callable[[], bool]:
    """Never says stop; something else happens before a certain step."""
    asked = count(1)

    def stop() -> bool:
        if next(asked) == steps:
            with ThreadPoolExecutor(1) as another:
                another.submit(happens).result()
        return False

    return stop


def test_they_are_named_by_their_digest(bench: Bench) -> None:
    trial = bench.ask()
    carry_out(bench, trial)
    check_whole(bench, trial)


@pytest.mark.parametrize("steps", [1, 18, 24])
def test_a_twin_that_is_late_changes_nothing_and_leaves_nothing(bench: Bench, steps: int) -> None:
    """Both train at the same time. The first is whole when the second is in its midst, and has written checkpoints."""
    trial = bench.ask(recipe=Recipe(epochs=2, batch_size=128), options=OFTEN)
    kept: dict[str, bytes] = {}

    def other_attempt() -> None:
        assert carry_out(bench, trial).exit_code == ExitCode.DELIVERED
        kept.update({name: (bench.root / keys.trial(RUN, trial) / name).read_bytes() for name in names(bench, trial)})

    assert carry_out(bench, trial, during(steps, other_attempt), attempt=2).exit_code == ExitCode.DELIVERED
    check_whole(bench, trial)
    assert bench.result(trial).attempt == 1
    for name, data in kept.items():
        assert (bench.root / keys.trial(RUN, trial) / name).read_bytes() == data


class Late(DirectoryStore):
    """A store that is slow to tell a twin's trainer of the result: it learns of it when it writes its own."""

    def stat(self, key: str) -> Stat:
        if key.endswith("result.json"):
            raise StoreError("not yet", status=403)
        return super().stat(key)


def test_a_twin_that_loses_the_race_takes_back_what_it_wrote(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    trial = bench.ask()
    carry_out(bench, trial)
    twin = Trainer(1, opened=Late)
    before = names(bench, trial)
    report = twin.carry_out(bench.order(trial, 2))
    assert report.exit_code == ExitCode.DELIVERED
    assert f"trial {trial}: another attempt has delivered the result meanwhile" in capsys.readouterr().err
    assert names(bench, trial) == before, "equal weights stay: they are the winner's, too"
    check_whole(bench, trial)


def test_a_twin_learns_from_its_checkpoint_that_it_is_late(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    endless = Recipe(epochs=500, batch_size=256)
    trial = bench.ask(recipe=endless, options=OFTEN)
    appears = during(9, lambda: bench.store.put(keys.result(RUN, trial), b"whoever was first"))
    assert carry_out(bench, trial, appears, attempt=2).exit_code == ExitCode.DELIVERED
    assert "another attempt has delivered the result" in capsys.readouterr().err.splitlines()[-1]
    assert names(bench, trial) == ["request.json", "result.json"], "without the checkpoint"


def test_a_checkpoint_beside_a_result_goes_when_it_is_noticed(bench: Bench) -> None:
    trial = bench.ask()
    carry_out(bench, trial)
    bench.store.put(keys.checkpoint(RUN, trial), b"a late twin's")
    assert carry_out(bench, trial, attempt=2).exit_code == ExitCode.DELIVERED
    check_whole(bench, trial)


def test_results_of_earlier_releases_have_siblings_with_plain_names(bench: Bench) -> None:
    trial = bench.ask(recipe=Recipe(epochs=2, batch_size=64))
    carry_out(bench, trial)
    place = bench.root / keys.trial(RUN, trial)
    result = bench.result(trial)
    for kind, artifact in artifacts.named(result).items():
        (bench.root / artifacts.locate(bench.store, RUN, trial, kind, artifact)).rename(
            place / artifacts.plain_name(kind)
        )
    assert names(bench, trial) == ["history.jsonl", "request.json", "result.json", "weights.safetensors"]
    trained, _ = load_trial(bench.store, RUN, trial)
    assert trained.accuracy() == result.reward
    assert result.weights is not None
    ref = WeightsRef(run=RUN, trial=trial, sha256=result.weights.sha256)
    assert carry_out(bench, bench.ask(initial=ref)).exit_code == ExitCode.DELIVERED


class Sparing(DirectoryStore):
    """Reads nothing."""

    def get(self, key: str, first: int | None = None) -> bytes:
        raise AssertionError(f"{key} is read")


class Denying(DirectoryStore):
    """Says 403 of what is missing, as S3 does to whoever may not list."""

    def stat(self, key: str) -> Stat:
        try:
            return super().stat(key)
        except StoreError as error:
            raise StoreError(f"{key}: HTTP 403 AccessDenied", status=403) from error


def test_what_is_not_what_the_result_says(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    artifact = artifacts.put(store, RUN, TRIAL, "weights", b"weights")
    assert artifact == Artifact(size=7, sha256=hashlib.sha256(b"weights").hexdigest())
    key = artifacts.locate(store, RUN, TRIAL, "weights", artifact)
    assert artifacts.read(Denying(tmp_path), RUN, TRIAL, "weights", artifact) == b"weights"

    store.put(key, b"w" * 1000)
    with pytest.raises(MessageError, match=r"-[0-9a-f]{16}\.safetensors has 1000 bytes, but result\.json says 7"):
        artifacts.locate(Sparing(tmp_path), RUN, TRIAL, "weights", artifact)
    for damaged in (b"w" * 1000, b"WEIGHTS"):
        store.put(key, damaged)
        with pytest.raises(MessageError, match=r"does not have the sha256 .* put aside as runs/a-run/quar"):
            artifacts.read(store, RUN, TRIAL, "weights", artifact)
        assert not exists(store, key)

    artifacts.remove(store, RUN, TRIAL, "weights", artifact)
    with pytest.raises(MessageError, match=r"names runs/a-run/trials/0{12}/weights-[0-9a-f]{16}.*, which is not there"):
        artifacts.read(store, RUN, TRIAL, "weights", artifact)
    with pytest.raises(StoreError, match="AccessDenied"):  # and no verdict on the result
        artifacts.read(Denying(tmp_path), RUN, TRIAL, "weights", artifact)
    plain = keys.trial(RUN, TRIAL) + artifacts.plain_name("weights")
    store.put(plain, b"weights")
    assert artifacts.read(Denying(tmp_path), RUN, TRIAL, "weights", artifact) == b"weights"

    wrong = WeightsRef(run=RUN, trial=TRIAL, sha256="0" * 64)
    with pytest.raises(MessageError, match="does not have the sha256"):
        artifacts.read(store, RUN, TRIAL, "weights", wrong)
    assert store.get(plain) == b"weights", "it is the reference that is wrong"
