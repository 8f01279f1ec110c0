"""Another task and another family of designs, from an installed distribution, through the whole product."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any, Final

import pytest

from tests.another_task import distribution
from tests.cli.conftest import needs_trainer
from tests.environments import Environment

pytestmark = needs_trainer

STORE: Final = ("--store", "./runs")
QUICK: Final = ("--set", "recipe.epochs=4", "--set", "schedule.total=6")
START: Final = ("start", "diabetes", "--run", "first", *QUICK, "--parallel", "1")
CHILDREN: Final = 4  # of the preset


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("environment"))
    made.install(distribution(tmp_path_factory.mktemp("sources")))
    return made


@pytest.fixture(scope="module")
def searched(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose store has the run `first`. Read it alone."""
    folder = tmp_path_factory.mktemp("searched")
    said = environment.call(*START, *STORE, folder=folder)
    assert said.returncode == 0, said.stderr
    assert "best architecture: " in said.stderr
    assert_about_no_images(said.stdout + said.stderr)
    return folder


def test_doctor_trains_a_step_of_its_own_task(environment: Environment, searched: Path, tmp_path: Path) -> None:
    """Where the store has the data; otherwise it says that it does not, and that the task can be used."""
    for folder, words in (
        (searched, " examples of diabetes in "),
        (tmp_path, "? trainer: trains one step: task regression can be used; no step was trained: diabetes is not in "),
    ):
        said = environment.call("doctor", "diabetes", *STORE, folder=folder)
        assert said.returncode == 0, said.stdout
        text = " ".join(said.stdout.split())
        assert words in text
        assert text.count("task regression") == (folder == tmp_path), "it is proved once"
        assert ("; measures mse, r2" in text) == (folder == searched)
        assert "✓ trainer: starts: in " in text


def assert_about_no_images(text: str) -> None:
    for word in ("accurac", "image", "None", "Traceback", "nan"):
        assert word not in text, text


def trials_of(environment: Environment, folder: Path, run: str = "first") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(environment.run("trials", run, *STORE, "-o", "json", folder=folder))
    return found


def beliefs(environment: Environment, folder: Path) -> str:
    return str(json.loads(environment.run("status", "first", *STORE, "-o", "json", folder=folder))["q_digest"])


def test_what_is_installed_is_found(environment: Environment, tmp_path: Path) -> None:
    plugins = json.loads(environment.run("config", "plugins", "-o", "json", folder=tmp_path))
    ours = {(plugin["kind"], plugin["name"]) for plugin in plugins if plugin["distribution"] == "metaqnn-tables 0.1.0"}
    assert ours == {
        ("searcher", "mutation"),
        ("space", "widths"),
        ("task", "regression"),
        ("dataset", "diabetes"),
        ("preset", "diabetes"),
    }
    assert "diabetes" in environment.run("config", "presets", folder=tmp_path).splitlines()
    shown = environment.run("config", "show", "diabetes", folder=tmp_path)
    assert "preset diabetes of metaqnn-tables 0.1.0" in shown
    assert "task.noise" in shown
    assert environment.run("space", "diabetes", "--after", "", folder=tmp_path).split() == ["4", "8", "16"]
    assert environment.run("space", "diabetes", "--after", "16", folder=tmp_path).split() == ["4", "8", "16", "0"]
    words = environment.run("space", "diabetes", folder=tmp_path)
    assert [line.split()[0] for line in words.splitlines()] == ["inputs", "widths", "most"]
    described = environment.run("describe", "16-8", "--space", "diabetes", folder=tmp_path)
    assert described.splitlines()[1].split() == ["part", "output", "params", "MACs"]
    assert "objective: reward x (params / 200)^-0.05" in described


def test_what_a_search_leaves(environment: Environment, searched: Path) -> None:
    trials = trials_of(environment, searched)
    learned = [trial for trial in trials if trial["state"] == "completed"]
    assert len(trials) == 6
    assert learned
    for trial in learned:
        assert trial["reward"] == pytest.approx(trial["measures"]["r2"] * (trial["params"] / 200) ** -0.05)
    children = trials[CHILDREN:]
    parent = max(trials[:CHILDREN], key=lambda trial: trial["reward"])
    assert [child["initial"] for child in children] == [parent["trial"]] * 2
    assert [child["recipe"] for child in children] == [{"learning_rate": 0.01}] * 2
    assert not any("initial" in trial or "recipe" in trial for trial in trials[:CHILDREN])

    for command in ("status", "trials", "explain"):
        for output in ("table", "json"):
            said = environment.run(command, "first", *STORE, "-o", output, folder=searched)
            assert_about_no_images(said.replace("best_accuracy", ""))  # a field that every explanation has
    rows = [*csv.DictReader(StringIO(environment.run("trials", "first", *STORE, "-o", "csv", folder=searched)))]
    assert {"reward", "measure.mse", "measure.r2"} < {*rows[0]}
    explained = environment.run("explain", "first", *STORE, "--after", trials[0]["net"].split("-")[0], folder=searched)
    assert explained.splitlines()[0].split() == ["choice", "trained", "best", "reward"], "it keeps no values"
    listed = environment.run("dataset", "list", *STORE, folder=searched)
    assert "columns=10" in listed
    assert_about_no_images(listed)
    bill = environment.run("start", "diabetes", "--run", "next", *STORE, *QUICK, "--dry-run", folder=searched)
    assert "run first, 6 nets" in bill
    assert_about_no_images(bill)


def test_its_report_shows_what_the_task_draws(environment: Environment, searched: Path, tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    environment.run("report", "first", *STORE, "--to", str(tmp_path / "report"), folder=searched)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<figcaption>fit</figcaption>" in page
    assert "its examples" in page
    assert 'id="beliefs"' not in page
    assert "accurac" not in page.lower()
    assert "image" not in page.replace("data:image/png", "")
    assert (tmp_path / "report" / "front-reward-params.csv").exists()
    front = ("--front", "params,mse", "--to", str(tmp_path / "other"))
    environment.run("report", "first", *STORE, *front, folder=searched)
    assert (tmp_path / "other" / "front-mse-params.csv").exists()
    refused = environment.fails("report", "first", *STORE, "--to", "x", "--front", "params,accuracy", folder=searched)
    assert "no net has the measure accuracy" in refused


def test_q_learning_searches_it_too(environment: Environment, tmp_path: Path) -> None:
    start = ("start", "diabetes", "--run", "first", *STORE, "--set", "search.method=q-learning", *QUICK)
    environment.run(*start, "--max-trials", "3", folder=tmp_path)
    explained = environment.run("explain", "first", *STORE, folder=tmp_path)
    assert explained.splitlines()[0].split()[:3] == ["choice", "q", "value"]
    assert "3 choices, all equally likely" in explained
    environment.run("report", "first", *STORE, "--to", "report", folder=tmp_path)
    shown = environment.run("config", "show", "diabetes", "--set", "search.method=random", folder=tmp_path)
    assert "search.children" not in shown, "the options of another searcher are void"


PLAIN: Final = """\
dataset: {name: diabetes}
space: {family: widths, inputs: 10, widths: [4, 8, 16], most: 3}
task: {name: regression, noise: 0.05}
search: {method: random}
recipe: {epochs: 4, batch_size: 50, learning_rate: 0.02, dropout: none}
"""


@pytest.mark.parametrize(("rule", "examples"), [("prediction", 20), ("quarter", 10)])
def test_its_nets_are_stopped_early(rule: str, examples: int, environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text(PLAIN)
    early_end = f"execution.early_end={{enabled: true, rule: {rule}, examples: {examples}}}"
    sets = ("--set", early_end, "--set", f"schedule.total={examples + 6}")
    environment.run("start", "plain.yaml", "--run", "first", *STORE, *sets, "--parallel", "1", folder=tmp_path)
    stopped = [trial for trial in trials_of(environment, tmp_path) if trial["state"] == "stopped_early"]
    assert stopped
    for trial in stopped:
        assert trial["measured"] <= trial["reward"]
    best = json.loads(environment.run("status", "first", *STORE, "-o", "json", folder=tmp_path))["best"]
    assert best["trial"] not in {trial["trial"] for trial in stopped}


REFUSED: Final = {
    ("export", "first", *STORE, "--to", "net.onnx"): "do not classify images",
    ("finals", "first", *STORE): "the task of run first is regression",
    ("describe", "8", "--space", "diabetes", "--dropout"): "space.family of diabetes is widths",
    ("describe", "8-x", "--space", "diabetes"): "a width is a number",
    ("import-replay", "table.csv", "--run", "new", "--space", "diabetes", *STORE): "space.family is widths",
    ("start", "diabetes", "--run", "new", *STORE, "--launcher", "table", "--table", "table.csv"): "accuracies of their",
}


@pytest.mark.parametrize("command", REFUSED, ids=lambda command: command[0])
def test_what_is_for_nets_that_classify_is_refused(
    environment: Environment, searched: Path, command: tuple[str, ...]
) -> None:
    (searched / "table.csv").write_text("net,accuracy_best_val,ix_q_value_update,epsilon\n8-8,0.5,1,1.0\n")
    said = environment.fails(*command, folder=searched)
    assert REFUSED[command] in said
    assert said.startswith("error: ")
    assert not (searched / "runs" / "runs" / "new").exists()


def test_lost_weights_come_back_bit_for_bit(environment: Environment, searched: Path, tmp_path: Path) -> None:
    trials = [trial for trial in trials_of(environment, searched) if trial["state"] == "completed"]
    child = next(trial for trial in trials[::-1] if "initial" in trial)["trial"]
    environment.run("retrain", "first", child, *STORE, "--parallel", "1", "--name", "again", folder=searched)
    for run in ("first", "again"):
        environment.run("pull", run, *STORE, "--to", str(tmp_path / run), folder=searched)
    one, other = (tmp_path / run / child / "weights.safetensors" for run in ("first", "again"))
    assert one.read_bytes() == other.read_bytes()
    assert (tmp_path / "first" / child / "picture-fit.png").exists()


def test_interrupted_and_gone_on_with_it_believes_the_same(
    environment: Environment, searched: Path, tmp_path: Path
) -> None:
    command = environment.command(*START, *STORE)
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(line.lstrip().startswith("3/6") for line in process.stderr)
        process.send_signal(signal.SIGINT)
        process.stderr.read()
    assert process.returncode == 130
    environment.run(*START, *STORE, folder=tmp_path)
    assert trials_of(environment, tmp_path)[-1]["initial"]
    assert beliefs(environment, tmp_path) == beliefs(environment, searched)


def test_its_job(environment: Environment, tmp_path: Path) -> None:
    """What the Jobs of such a task do is shown in tests/plugins."""
    where = ("--store", "s3://bucket/runs", "--set=execution.kubernetes.image=trainer")
    printed = environment.run("manifest", "8-8", "--space", "diabetes", "--run", "z", *where, folder=tmp_path)
    assert "metaqnn/net: 8-8" in printed


FROM_PYTHON: Final = """\
from metaqnn_orch import Search
search = Search("first", "./runs")
print(sorted(search.frame().columns))
print(search.best.measures, search.leaderboard(2), search.explain().moves)
try:
    search.q_table
except Exception as error:
    print(error)
"""


def test_python_reads_it(environment: Environment, searched: Path) -> None:
    pytest.importorskip("pandas")
    said = environment.python(FROM_PYTHON, folder=searched)
    assert "'measure.mse', 'measure.r2'" in said
    assert "the searcher mutation has no Q-table" in said
    assert "val_accuracy" not in said


FORGE: Final = """\
import json, sys
from metaqnn_orch.control.ingest import Refused, read_result
from metaqnn_orch.control.objective import Objective
from metaqnn_orch.reporting.summary import read_run
from metaqnn_orch.settings.objective import ObjectiveSettings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.directory import DirectoryStore

store = DirectoryStore(sys.argv[1], durable=False)
view = read_run(store, "first")
trial = next(t.trial for t in view.state.trials.values() if t.state == "completed")
request = read(TrainingRequest, store.get, keys.request("first", trial))
key = keys.result("first", trial)
good = json.loads(store.get(key))
for measure, forged in json.loads(sys.argv[2]):
    store.put(key, json.dumps({**good, **forged}).encode())
    settings = view.state.settings
    settings = settings.model_copy(update={"objective": ObjectiveSettings(measure=measure)})
    found = read_result(store, view.record.info, request, Objective(settings))
    print(json.dumps(found.reason if isinstance(found, Refused) else found.reward))
"""

NAN: Final = float("nan")
FORGED: Final[list[tuple[str | None, dict[str, Any], object]]] = [
    (None, {}, ...),
    (
        "r2",
        {"measures": {"mse": 1.0}},
        "needs the measure r2",
    ),
    (None, {"measures": {"r2": NAN}}, "measures.r2: must be a finite number"),
    (None, {"reward": NAN}, "reward: must be a finite number"),
    (None, {"reward": 1e13}, "reward: must be less than or equal to"),
    (None, {"reward": 0.9}, "history.jsonl"),
    (None, {"reward": -3.0, "history": None}, -3.0),
    (None, {"params": 7}, " 7 parameters and"),
    (None, {"trial": "0" * 12}, "another trial"),
    (
        None,
        {"val_accuracy": 0.9, "last_val_accuracy": 0.9},
        "accuracy 0.9, but the task regression does not measure that",
    ),
    (None, {"pictures": {"fit": {"size": 1, "sha256": "0" * 64}}}, "picture-fit"),
    (None, {"best_epoch": 0, "weights": None, "pictures": {}, "status": "untrainable"}, "no epoch counts, but its"),
]


def test_results_that_cannot_be_are_refused_in_a_sentence(
    environment: Environment, searched: Path, tmp_path: Path
) -> None:
    subprocess.run(["cp", "-r", str(searched / "runs"), str(tmp_path / "runs")], check=True)
    asked = json.dumps([(measure, forged) for measure, forged, _ in FORGED])
    said = environment.python(FORGE, str(tmp_path / "runs"), asked, folder=tmp_path)
    for (_, forged, wanted), line in zip(FORGED, said.splitlines(), strict=True):
        found = json.loads(line)
        if isinstance(wanted, str):
            assert wanted in str(found), forged
        elif wanted is ...:
            assert found > 0
        else:
            assert found == wanted


def test_another_version_or_none(environment: Environment, searched: Path, tmp_path: Path) -> None:
    """The last test of the module: it changes what is installed."""
    [trial, *_] = trials_of(environment, searched)
    environment.install(distribution(tmp_path / "newer", "0.2.0"))
    both = "metaqnn.spaces widths: metaqnn-tables 0.1.0 -> metaqnn-tables 0.2.0\n  metaqnn.tasks regression: "
    for changed in (START, ("retrain", "first", trial["trial"])):
        said = environment.fails(*changed, *STORE, folder=searched)
        assert both in said
        assert "hint: pip install metaqnn-tables==0.1.0" in said
    assert "regression" not in environment.run("status", "first", *STORE, folder=searched), "it is still read"
    environment.remove("metaqnn-tables")
    for command in (("explain",), ("retrain", trial["trial"])):
        said = environment.fails(command[0], "first", *command[1:], *STORE, folder=searched)
        assert "run first needs metaqnn-tables 0.1.0, which is not installed here" in said
        assert "hint: pip install metaqnn-tables==0.1.0" in said

    needs = "needs metaqnn-tables 0.1.0, which is not installed here: pip install metaqnn-tables==0.1.0"
    status = json.loads(environment.run("status", "first", *STORE, "-o", "json", folder=searched))
    assert (status["trouble"], status["q_digest"], status["method"]) == (needs, "", "mutation")
    runs = json.loads(environment.run("runs", "list", *STORE, "-o", "json", folder=searched))
    listed = next(run for run in runs if run["run"] == "first")
    assert (listed["state"], listed["trouble"]) == (status["state"], needs)
    assert needs in environment.run("runs", "show", "first", *STORE, folder=searched)
    assert trials_of(environment, searched)[0] == trial
    environment.run("trial", "first", trial["trial"], *STORE, folder=searched)
    environment.run("report", "first", *STORE, "--to", "./without", folder=searched)
    environment.run("pull", "first", *STORE, "--to", "./best", folder=searched)
    assert (searched / "best" / trial["trial"] / "weights.safetensors").is_file()
    environment.run("gc", "first", *STORE, folder=searched)
    environment.run("runs", "rm", "first", *STORE, "--delete", folder=searched)
    assert not (searched / "runs" / "runs" / "first" / "run.json").exists()
