from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest

from metaqnn_orch.control.events import Told
from metaqnn_orch.control.journal import Journal
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode, encode
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, Trained, needs_trainer, tree
from tests.control.world import Session, settings


def leaders(to: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((to / "leaderboard.csv").read_text("utf-8").splitlines()))


@needs_trainer
def test_what_was_trained_comes_home_and_loads(trained: Trained, tmp_path: Path, cli: Cli) -> None:
    from metaqnn_trainer.load import load

    to = tmp_path / "deep" / "best"
    answer = cli("pull", "first", "--store", trained.store, "--top", 2, "--to", to)
    assert answer.code == 0
    assert answer.out == ""
    first, second = leaders(to)
    assert answer.err == (
        f"2 of 5 trained nets in {to}, all digests right\n"
        f"the best, {float(first['val_accuracy']):.4f}: {to / first['trial']}, {first['net']}\n"
    )
    assert first["trial"] == trained.answer.json()["best"]["trial"]
    assert (first["rank"], second["rank"]) == ("1", "2")
    parts = ["history.jsonl", "request.json", "result.json", "weights.safetensors"]
    assert tree(to) == sorted(
        [
            "leaderboard.csv",
            *(
                f"{trial}{part}"
                for trial in (first["trial"], second["trial"])
                for part in ["", *["/" + part for part in parts]]
            ),
        ]
    )
    (dataset,) = (trained.store / "datasets").iterdir()
    for row in (first, second):
        result = decode(TrainingResult, (to / row["trial"] / "result.json").read_bytes(), "result.json")
        assert result.weights is not None
        weights = (to / row["trial"] / "weights.safetensors").read_bytes()
        assert hashlib.sha256(weights).hexdigest() == result.weights.sha256
        again = load(to / row["trial"], dataset).accuracy()
        assert again == result.val_accuracy == float(row["val_accuracy"])


@needs_trainer
def test_a_net_that_never_learned_has_no_weights_to_bring(trained: Trained, tmp_path: Path, cli: Cli) -> None:
    assert cli("pull", "first", "--store", trained.store, "--to", tmp_path / "all").code == 0
    *_, last = leaders(tmp_path / "all")
    assert last["state"] == "untrainable"
    assert "weights.safetensors" not in tree(tmp_path / "all" / last["trial"])
    assert len(leaders(tmp_path / "all")) == 5


def test_equal_nets_are_ordered_by_size_and_all_by_accuracy(finished: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    assert cli("pull", "test", "--store", finished.uri, "--top", 100, "--to", tmp_path / "all").code == 0
    found = [float(row["val_accuracy"]) for row in leaders(tmp_path / "all")]
    assert len(found) == 12
    assert found == sorted(found, reverse=True)


def test_pulling_again_gives_the_same_and_leaves_foreign_files(
    finished: DirectoryStore, tmp_path: Path, cli: Cli
) -> None:
    to = tmp_path / "best"
    to.mkdir()
    (to / "mine.txt").write_text("mine")
    for _ in range(2):
        assert cli("pull", "test", "--store", finished.uri, "--top", 3, "--to", to).code == 0
        (to / leaders(to)[0]["trial"] / "weights.safetensors").write_bytes(b"spoilt")
    assert cli("pull", "test", "--store", finished.uri, "--top", 3, "--to", to).code == 0
    weights = finished.get(weights_key(finished, leaders(to)[0]["trial"]))
    assert (to / leaders(to)[0]["trial"] / "weights.safetensors").read_bytes() == weights
    assert (to / "mine.txt").read_text() == "mine"
    assert len([name for name in tree(to) if "/" not in name]) == 5


def weights_key(store: DirectoryStore, trial: str) -> str:
    result = decode(TrainingResult, store.get(keys.result("test", trial)), "result.json")
    return artifacts.locate(store, "test", trial, "weights", artifacts.named(result)["weights"])


def best_trial(store: DirectoryStore) -> str:
    told = [event for event in Journal(store, "test").read() if isinstance(event, Told)]
    return max(told, key=lambda event: event.reward).trial


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda store, weights, result: store.put(weights, b"w" * len(store.get(weights))), "that result.json says"),
        (lambda store, weights, result: store.put(weights, b""), "has 0 bytes, but result.json says"),
        (lambda store, weights, result: store.delete(weights), "which is not there"),
        (lambda store, weights, result: store.delete(result), "its result.json is missing"),
        (lambda store, weights, result: store.put(result, b"\x1b[2J"), "is not valid JSON"),
        (lambda store, weights, result: store.put(result, store.get(result)[:-9]), "is not valid JSON"),
        (
            lambda store, weights, result: store.put(
                result, changed(store.get(result), reward=0.25, val_accuracy=0.25, last_val_accuracy=0.25)
            ),
            "its result.json says 0.25, but the journal says 0.",
        ),
        (
            lambda store, weights, result: store.put(result, changed(store.get(result), trial="0123456789ab")),
            "of another trial",
        ),
    ],
)
def test_what_cannot_be_trusted_is_named_and_left_out(
    spoil: object, says: str, finished: DirectoryStore, tmp_path: Path, cli: Cli
) -> None:
    trial = best_trial(finished)
    assert callable(spoil)
    spoil(finished, weights_key(finished, trial), keys.result("test", trial))
    answer = cli("pull", "test", "--store", finished.uri, "--top", 3, "--to", tmp_path / "best")
    assert answer.code == 5
    [refusal] = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert refusal.startswith(f"error: trial {trial} is no longer valid: ")
    assert says in refusal
    assert f"retrain test {trial}" in answer.err
    assert not (tmp_path / "best" / trial).exists()
    assert [row["rank"] for row in leaders(tmp_path / "best")] == ["2", "3"]


def unreadable(store: DirectoryStore, key: str) -> None:
    """An object that the store has, and cannot give."""
    store.delete(key)
    place = Path(store.uri) / key
    place.symlink_to(place)


def test_whatever_is_damaged_the_others_come_home_and_each_is_named(
    finished: DirectoryStore, tmp_path: Path, cli: Cli
) -> None:
    ranked = [row["trial"] for row in pulled(finished, tmp_path / "whole", cli)]
    finished.delete(weights_key(finished, ranked[0]))
    weights = weights_key(finished, ranked[2])
    finished.put(weights, b"w" * len(finished.get(weights)))
    unreadable(finished, keys.result("test", ranked[4]))
    finished.delete(keys.request("test", ranked[6]))
    finished.put(keys.result("test", ranked[8]), b"{}")
    spoilt = ranked[0:10:2]
    answer = cli("pull", "test", "--store", finished.uri, "--top", 100, "--to", tmp_path / "best", "-o", "json")
    assert answer.code == 5
    said = json.loads(answer.out)
    assert [one["trial"] for one in said["left_out"]] == spoilt
    assert [one["trial"] for one in said["trials"]] == [trial for trial in ranked if trial not in spoilt]
    assert [row["trial"] for row in leaders(tmp_path / "best")] == [one["trial"] for one in said["trials"]]
    for trial in spoilt:
        assert f"trial {trial} " in answer.err
    assert "(5 of 12 are left out)" in answer.err
    assert f"metaqnn-orch retrain test {spoilt[0]} --store {finished.uri} trains it again" in answer.err


def pulled(store: DirectoryStore, to: Path, cli: Cli) -> list[dict[str, str]]:
    assert cli("pull", "test", "--store", store.uri, "--top", 100, "--to", to).code == 0
    return leaders(to)


def test_no_damage_hides_the_others_from_any_command(finished: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    ranked = [row["trial"] for row in pulled(finished, tmp_path / "whole", cli)]
    unreadable(finished, keys.result("test", ranked[0]))
    finished.put(keys.history("test", ranked[1], "a" * 64), b"of a killed attempt")
    store = ("--store", finished.uri)
    assert len(cli("trials", "test", *store, "-o", "json").json()) == 12
    assert cli("status", "test", *store).code == 0
    gc = cli("gc", "test", *store, "-o", "json")
    assert gc.code == 0, gc.err
    assert [thing["key"] for thing in gc.json()["objects"]] == [keys.history("test", ranked[1], "a" * 64)]
    report = cli("report", "test", *store, "--to", tmp_path / "report")
    assert report.code == 0, report.err
    assert f"the result of trial {ranked[0]} cannot be read: " in report.err
    recipe = ("--set", "finals.phases=[{epochs: 1, learning_rate: 0.02}]")
    finals = cli("finals", "test", *store, "--top", 3, "--from-weights", *recipe)
    assert f"trial {ranked[0]} of run test has no weights to start from: " in finals.refused()


def test_damaged_weights_are_put_aside_and_the_trial_stays_told(
    finished: DirectoryStore, tmp_path: Path, cli: Cli
) -> None:
    trial = best_trial(finished)
    key = weights_key(finished, trial)
    finished.put(key, b"w" * len(finished.get(key)))
    before = cli("status", "test", "--store", finished.uri, "-o", "json").json()
    for reason in ("it was put aside as runs/test/quarantine/", "which is not there"):
        answer = cli("pull", "test", "--store", finished.uri, "--top", 1, "--to", tmp_path / "best")
        assert reason in answer.refused(5)
    aside = [entry.key for entry in finished.list("runs/test/quarantine/")]
    assert [finished.get(name) for name in aside] == [b"w" * len(finished.get(aside[0]))]
    assert cli("status", "test", "--store", finished.uri, "-o", "json").json() == before


def test_weights_that_were_removed_on_purpose_are_no_damage(finished: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    assert cli("gc", "test", "--store", finished.uri, "--keep-weights", "best 1", "--delete").code == 0
    answer = cli("pull", "test", "--store", finished.uri, "--top", 2, "--to", tmp_path / "best")
    assert answer.code == 5
    assert "its weights were removed at 20" in answer.err
    assert "by metaqnn-orch gc --keep-weights 'best 1'" in answer.err
    assert len(leaders(tmp_path / "best")) == 1


def changed(data: bytes, **values: object) -> bytes:
    result = decode(TrainingResult, data, "result.json")
    return encode(result.model_copy(update=values))


def test_a_run_without_a_net_has_nothing_to_bring(store: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    Session(store, settings()).open()
    answer = cli("pull", "test", "--store", store.uri, "--to", tmp_path / "best")
    assert answer.refused() == "run test has no trained net yet"
    assert f"hint: metaqnn-orch status test --store {store.uri}\n" in answer.err
    assert not (tmp_path / "best").exists()


@pytest.mark.parametrize("to", ["/proc/best", "/dev/null", "/dev/null/best", "x" * 300])
def test_a_folder_that_cannot_be_written_to(to: str, finished: DirectoryStore, cli: Cli) -> None:
    assert cli("pull", "test", "--store", finished.uri, "--to", to).refused().startswith("cannot write to ")


def test_a_file_where_a_trials_folder_should_be(finished: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / best_trial(finished)).write_text("a file")
    refusal = cli("pull", "test", "--store", finished.uri, "--to", tmp_path).refused()
    assert refusal == f"cannot write to {tmp_path}: File exists"
    assert not (tmp_path / "leaderboard.csv").exists(), "it is written last: its presence says that all is there"


@pytest.mark.parametrize("top", ["0", "-1", "x", "1.5", "nan", "1e3", "99999999999999999999999999"])
def test_a_number_of_trials_is_a_number(top: str, finished: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    answer = cli("pull", "test", "--store", finished.uri, "--top", top, "--to", tmp_path / "best")
    if top.startswith("9"):
        assert answer.code == 0
    else:
        assert "'--top'" in answer.refused()
        assert not (tmp_path / "best").exists()


def test_the_leaderboard_reads_like_the_trials(finished: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    cli("pull", "test", "--store", finished.uri, "--top", 1, "--to", tmp_path)
    (row,) = leaders(tmp_path)
    rows = {trial["trial"]: trial for trial in cli("trials", "test", "--store", finished.uri, "-o", "json").json()}
    said = {name: value for name, value in rows[row["trial"]].items() if name in row}
    texts = {name: "" if value is None else str(value) for name, value in said.items()}
    assert row == {"rank": "1", "measure.accuracy": texts["val_accuracy"], **texts}
    assert [*row][:5] == ["rank", "trial", "net", "reward", "val_accuracy"]
    assert json.loads((tmp_path / row["trial"] / "result.json").read_text())["trial"] == row["trial"]
