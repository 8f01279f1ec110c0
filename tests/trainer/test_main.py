"""The command line as a Job and a user see it: exit codes, one-line errors, clean output."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from metaqnn_trainer.__main__ import main
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode
from metaqnn_trainer.contract.dataset import object_digest
from metaqnn_trainer.contract.messages import Recipe, TrainerOptions
from metaqnn_trainer.contract.result import EpochRecord, ExitCode
from metaqnn_trainer.images.dataset import parse_dataset
from tests import forked
from tests.trainer.conftest import RUN, Bench
from tests.trainer.sources.idx_files import write_set


def lines(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err.splitlines()


def train(store: str | Path, trial: str, *options: str, run: str = RUN) -> int:
    return main(["train", "--store", str(store), "--run", run, "--trial", trial, "--threads", "1", *options])


def test_one_request_in_one_result_out_in_a_process_of_its_own(bench: Bench) -> None:
    trial = bench.ask()
    arguments = ["train", "--store", f"file://{bench.root}", "--run", RUN, "--trial", trial, "--attempt", "3"]
    done = subprocess.run([*forked.TRAINER, *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    assert bench.result(trial).attempt == 3


def test_the_exit_code_is_the_contracts_and_the_error_one_line(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(bench.root, "0" * 12) == ExitCode.BAD_REQUEST
    out, err = lines(capsys)
    assert out == []
    assert len(err) == 1
    assert err[0].endswith("request.json: no such object")
    assert train("gs://bucket", "0" * 12) == ExitCode.BAD_REQUEST
    trial = bench.ask()
    bench.store.delete(keys.dataset(bench.dataset.name, bench.dataset.digest))
    assert train(bench.root, trial) == ExitCode.DATASET


@pytest.mark.parametrize(("run", "trial"), [("../x", "0" * 12), (RUN, "../../../x"), (RUN, "0" * 11 + "\n"), ("", "")])
def test_names_that_could_lead_elsewhere_are_refused(
    bench: Bench, capsys: pytest.CaptureFixture[str], run: str, trial: str
) -> None:
    assert train(bench.root, trial, run=run) == ExitCode.BAD_REQUEST
    assert len(lines(capsys)[1]) == 1


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["train"], ["worker", "--threads", "0"], ["dataset", "x"]])
def test_usage_errors_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert lines(capsys)[0] == []


def test_a_dataset_is_made_once_and_told_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["dataset", "digits", "--store", str(tmp_path / "store"), "--validation", "100"]
    assert main(arguments) == 0
    out, err = lines(capsys)
    assert len(out) == 1
    told = json.loads(out[0])
    assert set(told) == {"name", "digest", "key", "info"}
    data = (tmp_path / "store" / told["key"]).read_bytes()
    assert told["digest"] == object_digest(data)
    assert told["key"] == keys.dataset("digits", told["digest"])
    assert told["info"]["validation"] == 100
    parse_dataset(data, "digits")
    assert "written" in err[-1]
    assert main(arguments) == 0
    out, err = lines(capsys)
    assert json.loads(out[0]) == told
    assert "there already" in err[-1]


def test_a_dataset_from_files_goes_to_s3(tmp_path: Path, s3_store_uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(tmp_path, zipped=True)
    assert main(["dataset", "fashion-mnist", "--store", s3_store_uri, "--source", str(tmp_path)]) == 0
    assert json.loads(lines(capsys)[0][0])["info"]["train"] == 80


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["fashion-mnist", "--source", "nowhere"], ExitCode.DATASET),
        (["pets"], ExitCode.DATASET),
        (["pets", "--source", "nowhere"], ExitCode.DATASET),
        (["No Name"], ExitCode.BAD_REQUEST),
        (["digits", "--image-size", "9"], ExitCode.DATASET),
    ],
)
def test_datasets_that_cannot_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: ExitCode
) -> None:
    assert main(["dataset", *arguments, "--store", str(tmp_path / "store")]) == code
    out, err = lines(capsys)
    assert out == []
    assert len(err) == 1
    assert not (tmp_path / "store").exists()


def start(bench: Bench, trial: str) -> subprocess.Popen[str]:
    arguments = ["train", "--store", str(bench.root), "--run", RUN, "--trial", trial, "--threads", "1"]
    return subprocess.Popen([*forked.TRAINER, *arguments], stderr=subprocess.PIPE, text=True)


def test_killed_and_asked_to_stop_at_any_moment_it_ends_with_the_same_weights(bench: Bench) -> None:
    recipe = Recipe(epochs=12, batch_size=16, mirror=True, optimizer="sgd", learning_rate=0.01)
    trial = bench.ask(recipe=recipe, options=TrainerOptions(checkpoint_seconds=0))
    assert train(bench.root, trial) == 0
    undisturbed = bench.files(trial)
    for entry in list(bench.store.list(keys.trial(RUN, trial))):
        if entry.key != keys.request(RUN, trial):
            bench.store.delete(entry.key)

    rng, resumed = random.Random(), 0
    for end in (signal.SIGKILL, signal.SIGTERM):
        with start(bench, trial) as process:
            assert process.stderr is not None
            epochs = (line for line in process.stderr if "epoch" in line)
            for _ in range(rng.randint(1, 3)):
                next(epochs)
            time.sleep(rng.random() / 10)
            process.send_signal(end)
            process.stderr.read()
        assert process.returncode == (ExitCode.PREEMPTED if end is signal.SIGTERM else -end)
        left = set(bench.files(trial))
        assert "result.json" not in left
        resumed += "checkpoint" in left
    assert resumed >= 1  # SIGTERM's at least
    assert train(bench.root, trial, "--attempt", "3") == 0
    files = {name: data for name, data in bench.files(trial).items() if not name.startswith(".")}
    assert set(files) == set(undisturbed)  # no checkpoint is left
    assert files["weights.safetensors"] == undisturbed["weights.safetensors"]
    assert bench.result(trial).resumed_from is not None

    def history(data: bytes) -> list[object]:
        return [decode(EpochRecord, line, "line").model_dump(exclude={"seconds"}) for line in data.splitlines()]

    assert history(files["history.jsonl"]) == history(undisturbed["history.jsonl"])
