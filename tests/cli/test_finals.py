"""finals: from a search that really trained to test accuracies."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.application.derived_run import derived
from metaqnn_orch.application.finals import name_of
from metaqnn_orch.launchers.kubernetes.errand import search_job_name
from metaqnn_orch.launchers.kubernetes.names import MAX_ATTEMPT, Identity, RunRef, dataset_labels, job_name, labels
from metaqnn_trainer.contract.keys import NAME_PATTERN, check_name
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, needs_trainer, settings_file, tree
from tests.control.world import settings

QUICK = (
    "--set=finals={optimizer: sgd, batch_size: 32, max_rates: 2,"
    " phases: [{epochs: 2, learning_rate: 0.05}, {epochs: 1, learning_rate: 0.005}]}"
)


@needs_trainer
def test_the_best_nets_again_and_then_the_test_images(mine: Path, cli: Cli) -> None:
    command = ["finals", "first", "--store", mine, "--top", 2, "--ensemble", 2, "--parallel", 1, QUICK]
    answer = cli(*command)
    assert answer.code == 0, answer.err
    assert "testing the best of 2 nets and an ensemble of 2 on the test images, once" in answer.err
    lines = answer.out.splitlines()
    assert lines[0].split()[:3] == ["rank", "val", "accuracy"]
    assert [line.split()[0] for line in lines[1:3]] == ["1", "2"]
    best, ensemble = (line.split() for line in lines[4:6])
    assert (best[:2], ensemble[:3]) == (["best", "model"], ["ensemble", "of", "2"])
    assert float(best[-1]) == pytest.approx(100 * (1 - float(best[-2])), abs=0.01)

    verdict = json.loads((mine / "runs/first-finals/finals.json").read_text())
    assert cli(*command, "-o", "json").json() == verdict, "the same command shows it again"
    assert verdict["test_images"] == 359
    assert 0.5 < verdict["test_accuracy"] <= 1
    assert verdict["class_names"] == [*"0123456789"]
    for counts, accuracy in (("confusion", "test_accuracy"), ("ensemble_confusion", "ensemble_test_accuracy")):
        right = sum(row[label] for label, row in enumerate(verdict[counts]))
        assert right / sum(map(sum, verdict[counts])) == pytest.approx(verdict[accuracy])
    classes = [line.split() for line in lines[-10:]]
    assert lines[-11].split()[:4] == ["class", "images", "best", "model"]
    assert [row[0] for row in classes] == [*"0123456789"]
    for row, counts in zip(classes, verdict["confusion"], strict=True):
        assert int(row[1]) == sum(counts)
        assert float(row[2]) == pytest.approx(counts[int(row[0])] / sum(counts), abs=1e-4)
    assert {final["rate_factor"] for final in verdict["finalists"]} == {1.0}
    nets = cli("trials", "first-finals", "--store", mine, "-o", "json").json()
    best_two = sorted(cli("trials", "first", "--store", mine, "-o", "json").json(), key=lambda t: -t["val_accuracy"])[
        :2
    ]
    assert [row["net"] for row in nets] == [row["net"] for row in best_two]
    results = [json.loads(path.read_text()) for path in (mine / "runs/first-finals/trials").glob("*/result.json")]
    assert [result["test_accuracy"] for result in results] == [None, None], "nothing but the judge looks at them"
    assert cli("status", "first-finals", "--store", mine, "-o", "json").json()["state"] == "complete"

    for run, said in (
        ("first-finals", f"- **Test**: {verdict['test_accuracy']:.4f} of the 359"),
        ("first", "It was not"),
    ):
        to = mine.parent / f"{run}.safetensors"
        assert cli("export", run, "--store", mine, "--to", to, "--format", "safetensors").code == 0
        assert said in to.with_name(f"{to.name}.md").read_text()
    assert (
        "| phases | epochs 2, learning rate 0.05; epochs 1, learning rate 0.005 |"
        in (mine.parent / "first-finals.safetensors.md").read_text()
    )

    other = cli(*command[:6], "--ensemble", 1, QUICK)
    assert "the test images were already used, for an ensemble of 2" in other.refused()
    assert "began with 2 nets, not 3" in cli("finals", "first", "--store", mine, "--top", 3, QUICK).refused()

    assert cli("runs", "rename", "first-finals", "chosen", "--store", mine).code == 0
    to = mine.parent / "chosen.safetensors"
    assert cli("export", "chosen", "--store", mine, "--to", to).code == 0
    assert f"- **Test**: {verdict['test_accuracy']:.4f} of the 359" in to.with_name(f"{to.name}.md").read_text()


@needs_trainer
def test_the_rate_is_chosen_by_validation_and_an_interrupted_one_goes_on(mine: Path, cli: Cli) -> None:
    """And the net begins with the weights that it has."""
    command = ["finals", "first", "--store", mine, "--top", 2, "--parallel", 1, "--name", "tuned", QUICK]
    command.append("--from-weights")
    rates = ("--rate-factor", "1", "--rate-factor", "0.0001")
    short = cli(*command, *rates, "--set=budget.gpu_hours=1e-9")
    assert (short.code, short.out) == (1, "")
    assert "error: run tuned stopped before all its nets were trained: " in short.err
    found = cli(*command, *rates, "-o", "json").json()
    runs = {path.name for path in (mine / "runs").iterdir()}
    assert {"tuned", "tuned-x0-0001"} <= runs
    assert {final["run"] for final in found["finalists"]} == {"tuned"}
    requests = [json.loads(path.read_text()) for path in (mine / "runs/tuned/trials").glob("*/request.json")]
    began = {request["spec"]["initial"]["trial"]: request["spec"]["initial"] for request in requests}
    assert len(began) == 2
    for trial, initial in began.items():
        result = json.loads((mine / f"runs/first/trials/{trial}/result.json").read_text())
        assert initial == {"run": "first", "trial": trial, "sha256": result["weights"]["sha256"]}


def test_what_cannot_have_finals(finished: DirectoryStore, cli: Cli) -> None:
    store = ["--store", finished.uri]
    before = tree(Path(finished.uri))
    assert "have no section finals" in cli("finals", "test", *store).refused()
    assert (
        "only finals, execution, budget and tracking may be changed here"
        in cli("finals", "test", *store, "--set=seed=3").refused()
    )
    assert "has no dataset cats" in cli("finals", "test", *store, QUICK, "--dataset", "cats").refused()
    assert "run 'A b' is not a valid name" in cli("finals", "test", *store, QUICK, "--name", "A b").refused()
    assert "run test is a search" in cli("finals", "test", *store, QUICK, "--name", "test").refused()
    assert tree(Path(finished.uri)) == before


@needs_trainer
def test_rates_that_print_alike_are_two_runs(mine: Path, cli: Cli) -> None:
    command = ["finals", "first", "--store", mine, "--top", 1, "--parallel", 1, "--name", "n" * 40, QUICK]
    rates = ("--rate-factor", "0.1", "--rate-factor", "0.1000000001", "--rate-factor", "1.0000000001")
    found = cli(*command, *rates, "--set=finals.phases=[{epochs: 1, learning_rate: 0.05}]", "-o", "json").json()
    runs = {path.name for path in (mine / "runs").iterdir()} - {"first"}
    names = [derived(f"{'n' * 40}-x{rate}") for rate in ("0-1", "0-1000000001", "1-0000000001")]
    assert {"n" * 40, *names} == runs | {"n" * 40}
    assert len(set(names)) == 3
    assert found["finalists"][0]["run"] in names
    rows = cli(*command, *rates).out.splitlines()
    assert rows[1].split()[4] == repr(found["finalists"][0]["rate_factor"])


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, unique=True))
def test_different_rates_have_different_names(factors: list[float]) -> None:
    names = [name_of("first-finals", factor) for factor in factors]
    assert len(set(names)) == len(names)
    assert all(check_name("run", name) for name in names)
    assert (name_of("first-finals", 0.1), name_of("a", 1e-06), name_of("a", 1e6)) == (
        *("first-finals-x0-1", "a-x1e-06", "a-x1e06"),
    )


@given(st.from_regex(NAME_PATTERN, fullmatch=True), st.from_regex(NAME_PATTERN, fullmatch=True))
def test_every_name_that_is_made_of_a_runs_is_one(run: str, dataset: str) -> None:
    """Also of the longest run: in the store, and where the cluster has a limit."""
    for parts in (("finals",), ("finals", dataset), ("finals", dataset, "tuned")):
        whole = "-".join((run, *parts))
        name = derived(whole)
        assert check_name("run", name) == derived(whole)
        assert name == whole or (len(whole) > 40 and derived(whole + "x") != name)
    identity = Identity(RunRef(run, "0" * 32), "0" * 12, MAX_ATTEMPT)
    for name in (
        job_name(identity),
        search_job_name(run),
        *labels(identity).values(),
        *dataset_labels(dataset).values(),
    ):
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name), name


def test_a_run_in_the_way_is_found_before_anything_is_begun(finished: DirectoryStore, cli: Cli) -> None:
    """Though it is in the way of the second of them, after the first has been trained."""
    record = json.loads(finished.get("runs/test/run.json"))
    command = ["finals", "test", "--store", finished.uri, QUICK, "--rate-factor=1", "--rate-factor=2"]
    for nets, says in (([], "run test-finals-x2 is a search"), (["[SM(10)]"], "exists, but with other settings")):
        other = {**record, "run": "test-finals-x2", "settings": {**record["settings"], "nets": nets}}
        finished.put("runs/test-finals-x2/run.json", json.dumps(other).encode())
        before = tree(Path(finished.uri))
        answer = cli(*command)
        assert (answer.code, answer.out) == (2, "")
        assert says in answer.err
        assert tree(Path(finished.uri)) == before


def test_a_rehearsal_has_no_finals(tmp_path: Path, cli: Cli) -> None:
    table = tmp_path / "table.csv"
    table.write_text('net,accuracy\n"[SM(10)]",0.5\n"[GAP(10), SM(10)]",0.2\n')
    file = settings_file(tmp_path, settings(dataset__digest=None))
    store = ["--store", tmp_path / "store"]
    begun = cli("start", file, "--run", "one", *store, "--launcher", "table", "--table", table, "--max-trials", "2")
    assert begun.code == 0, begun.err
    assert "run one is a rehearsal" in cli("finals", "one", *store, QUICK).refused()
