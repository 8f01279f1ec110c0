"""A trial of the store as a file: whole and proved, or not there."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import torch

from metaqnn_trainer.__main__ import main
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import ModelOptions, Recipe
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.errors import DatasetError, RequestError
from metaqnn_trainer.export.formats import FORMATS, FileFormat
from metaqnn_trainer.export.trial import export_trial
from metaqnn_trainer.images.dataset import Dataset
from metaqnn_trainer.load import load_trial
from metaqnn_trainer.trial import Trainer
from tests.trainer.conftest import RUN, Bench

NET = "[C(16,3,1), P(2,2), FC(32), SM(10)]"


def trained(bench: Bench, recipe: Recipe) -> str:
    trial = bench.ask(NET, recipe, model=ModelOptions(batch_norm=True))
    Trainer(1).carry_out(bench.order(trial))
    return trial


@pytest.fixture
def trial(bench: Bench) -> str:
    return trained(bench, Recipe(epochs=2, batch_size=32, evaluate_test=True))


@pytest.mark.parametrize("form", FORMATS)
def test_the_recorded_accuracy_comes_out_of_the_file(
    form: str, bench: Bench, trial: str, digits_dataset: Dataset, tmp_path: Path, forked_trainer: list[str]
) -> None:
    pytest.importorskip("onnxruntime") if form == "onnx" else None
    to = tmp_path / "new" / f"net{FORMATS[form].suffix}"
    arguments = ["--store", str(bench.root), "--run", RUN, "--trial", trial, "--format", form, "--to", str(to)]
    done = subprocess.run([*forked_trainer, "export", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    told, result = json.loads(line), bench.result(trial)
    assert told["accuracy"] == told["recorded"] == result.reward > 0.5
    assert told["difference"] < 1e-4
    assert {Path(file).name for file in told["files"]} == {path.name for path in to.parent.iterdir()}
    with torch.no_grad():
        found = FORMATS[form].open(to)(digits_dataset.test.images).argmax(1)
    assert (found == digits_dataset.test.labels).float().mean().item() == pytest.approx(result.test_accuracy)
    card = to.with_name(f"{to.name}.md").read_text()
    assert f"`{NET}`" in card
    assert f"**Validation**: {result.reward:.4f}" in card
    assert f"{result.test_accuracy:.4f} of the 359 test images" in card
    assert "scikit-learn's digits" in card
    assert "| most often taken for |" in card
    noise = torch.randint(0, 256, (3, 1, 21, 13), dtype=torch.uint8)
    trained = load_trial(bench.store, RUN, trial)[0]
    torch.testing.assert_close(FORMATS[form].open(to)(noise).detach(), trained.logits(noise), rtol=1e-4, atol=1e-4)


def test_a_card_says_how_good_each_class_is(bench: Bench, trial: str, tmp_path: Path) -> None:
    export_trial(bench.store, RUN, trial, "safetensors", tmp_path / "net.safetensors")
    card = (tmp_path / "net.safetensors.md").read_text()
    net = load_trial(bench.store, RUN, trial)[0]
    part = net.dataset.validation
    of_sevens = net.logits(part.images[part.labels == 7]).argmax(1)
    right = (of_sevens == 7).sum().item()
    assert f"| 7 | {len(of_sevens)} | {right / len(of_sevens):.4f} |" in card
    row = torch.bincount(of_sevens, minlength=10).tolist()
    assert f"| 7 | {' | '.join(map(str, row))} |" in card, "all counts, because there are only ten classes"


def test_an_export_of_a_fixed_size_says_so_and_takes_no_other(bench: Bench, trial: str, tmp_path: Path) -> None:
    export_trial(bench.store, RUN, trial, "safetensors", tmp_path / "net.safetensors", fixed_size=True)
    run = FORMATS["safetensors"].open(tmp_path / "net.safetensors")
    assert run(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).shape == (2, 10)
    with pytest.raises(RuntimeError):
        run(torch.zeros(2, 1, 12, 12, dtype=torch.uint8))
    assert "uint8 images (1, 8, 8)" in (tmp_path / "net.safetensors.md").read_text()
    assert "double" not in (tmp_path / "net.py").read_text()


def test_two_exports_into_one_folder_have_a_card_each(bench: Bench, trial: str, tmp_path: Path) -> None:
    for name, form in (("net.pt2", "torch"), ("net.safetensors", "safetensors"), ("other.pt2", "torch")):
        export_trial(bench.store, RUN, trial, form, tmp_path / name)
        assert f"# {name}" in (tmp_path / f"{name}.md").read_text()
    export_trial(bench.store, RUN, trial, "safetensors", tmp_path / "net.safetensors")  # an earlier one is replaced


@pytest.mark.parametrize("name", ["net.safetensors", "net.py", "net.safetensors.md"])
def test_a_file_of_somebody_else_is_not_overwritten(name: str, bench: Bench, trial: str, tmp_path: Path) -> None:
    to = tmp_path / "net.safetensors"
    for before in (False, True):  # nothing was exported, or something was, and then changed
        if before:
            export_trial(bench.store, RUN, trial, "safetensors", to, force=True)
        (tmp_path / name).write_text("mine")
        files = {path: path.read_bytes() for path in tmp_path.iterdir() if path != bench.root}
        with pytest.raises(RequestError, match=rf"{name} exists, and is not what an earlier export wrote; --force"):
            export_trial(bench.store, RUN, trial, "safetensors", to)
        assert {path: path.read_bytes() for path in tmp_path.iterdir() if path != bench.root} == files
    export_trial(bench.store, RUN, trial, "safetensors", to, force=True)
    assert (tmp_path / name).read_bytes() != b"mine"


def test_what_is_not_the_net_does_not_get_its_name(bench: Bench, trial: str, tmp_path: Path) -> None:
    honest = FORMATS["safetensors"]
    off = FileFormat(honest.suffix, honest.write, lambda file: lambda images: honest.open(file)(images) + 0.01)
    to = tmp_path / "new" / "net.safetensors"
    with pytest.raises(RequestError, match="the exported file is wrong"):
        export_trial(bench.store, RUN, trial, "safetensors", to, {"safetensors": off})
    assert list((tmp_path / "new").iterdir()) == []


def test_a_trial_that_changed_since_is_refused(bench: Bench, trial: str, tmp_path: Path) -> None:
    key = bench.weights_key(trial)
    bench.store.put(key, bench.store.get(key)[:-1] + b"x")
    with pytest.raises(RequestError, match="does not have the sha256"):
        export_trial(bench.store, RUN, trial, "torch", tmp_path / "net.pt2")
    bench.store.delete(keys.result(RUN, trial))
    with pytest.raises(RequestError, match="is not complete"):
        export_trial(bench.store, RUN, trial, "torch", tmp_path / "net.pt2")
    assert list(tmp_path.glob("net*")) == []


def test_a_trial_without_weights_or_without_its_dataset(bench: Bench, trial: str, tmp_path: Path) -> None:
    hopeless = trained(bench, Recipe(epochs=1, learning_rate=10.0, restart_factor=0.9, optimizer="sgd", max_rates=1))
    with pytest.raises(RequestError, match="kept no weights: it is untrainable"):
        export_trial(bench.store, RUN, hopeless, "torch", tmp_path / "net.pt2")
    bench.store.delete(keys.dataset(bench.dataset.name, bench.dataset.digest))
    with pytest.raises(DatasetError, match="the dataset is missing"):
        export_trial(bench.store, RUN, trial, "torch", tmp_path / "net.pt2")


@pytest.mark.parametrize("to", ["net.onnx", "net", "file/net.pt2"])
def test_a_file_that_cannot_be_is_refused_in_one_line(
    bench: Bench, trial: str, to: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    arguments = ["export", "--store", str(bench.root), "--run", RUN, "--trial", trial, "--format", "torch"]
    capsys.readouterr()
    assert main([*arguments, "--to", str(tmp_path / to)]) == ExitCode.BAD_REQUEST
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1


def test_names_that_could_lead_elsewhere_are_refused(bench: Bench, tmp_path: Path) -> None:
    arguments = ["export", "--store", str(bench.root), "--trial", "0" * 12, "--format", "torch"]
    assert main([*arguments, "--run", "../x", "--to", str(tmp_path / "net.pt2")]) == ExitCode.BAD_REQUEST
