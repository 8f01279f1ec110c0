"""Every command on a run whose plug-in is not installed any more: what needs no plug-in works, and what does says which
is missing, how it is installed, and changes nothing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from metaqnn_orch import Search
from metaqnn_orch.cli.app import COMMANDS
from metaqnn_orch.control.record import load_record
from metaqnn_orch.control.warm_start import recall
from metaqnn_orch.dashboard import answers
from metaqnn_orch.dashboard.reader import RunReader
from metaqnn_orch.errors import PluginsMissing
from metaqnn_orch.mcp.acting import Cancelling
from metaqnn_orch.mcp.reading import Reading
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Answer, Cli, clean_environment, needs_trainer
from tests.gone import INSTALL, KINDS, NEEDS, forget_plugins, install, runs_of_gone

pytestmark = needs_trainer

ALL: Final = frozenset(KINDS)
NONE: Final = frozenset[str]()
BELOW: Final = frozenset({"spaces", "layers"})  # without which nothing is known of designs
AGAIN: Final = ALL - {"datasets"}  # what training needs: a dataset is in the store
NETS: Final = dict.fromkeys(KINDS, "[C(16,3,1), C(16,3,1), SM(10)]") | {"spaces": "b-b-b"}

USES: Final[dict[tuple[str, ...], frozenset[str]]] = {
    ("status", "RUN"): NONE,
    ("status", "RUN", "-o", "json"): NONE,
    ("attach", "RUN"): NONE,
    ("trial", "RUN", "TRIAL"): NONE,
    ("trials", "RUN"): NONE,
    ("runs list",): NONE,
    ("runs show", "RUN"): NONE,
    ("runs copy", "RUN", "--to-store", "TO"): NONE,
    ("runs rename", "RUN", "other"): NONE,
    ("runs rm", "RUN", "--delete"): NONE,
    ("pull", "RUN", "--to", "TO"): NONE,
    ("report", "RUN", "--to", "TO"): NONE,
    ("track", "RUN", "--tensorboard", "TO"): NONE,
    ("cancel", "RUN"): NONE,
    ("gc", "RUN", "--keep-weights", "best 1", "--delete"): NONE,
    ("export-replay", "RUN", "--to", "TO"): frozenset({"layers"}),
    ("explain", "RUN"): BELOW,
    ("enqueue", "RUN", "NET"): BELOW,
    ("export", "RUN", "--trial", "TRIAL", "--to", "TO.safetensors"): BELOW | {"tasks"},
    ("retrain", "RUN", "TRIAL"): AGAIN,
    ("resume", "RUN", "--max-trials", "3"): AGAIN,
}
"""Commands with the kinds of plug-ins that they need."""
ELSEWHERE: Final = {
    *("init", "describe", "space", "dataset push", "dataset list", "trainer check", "doctor", "import-replay"),
    *("config show", "config presets", "config plugins"),  # these read no run
    *("logs", "submit", "manifest"),  # of this machine's searches, or of a cluster's
    *("start", "finals", "dashboard", "mcp"),  # they have tests of their own below
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    return runs_of_gone(tmp_path_factory, worker_id)


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "store"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def trial_of(store: Path, run: str) -> str:
    """A trained trial of a run; of one with a layer kind, a trial whose net has it."""
    trials = Search(run, store).trials
    return next(one.trial for one in trials if one.was_trained and ("ID(" in one.net or run != "layers"))


def words_of(command: tuple[str, ...], run: str, store: Path, folder: Path) -> list[str]:
    name, *rest = command
    places = {"RUN": run, "TRIAL": trial_of(store, run), "NET": NETS[run]}
    words = [places.get(word, word.replace("TO", str(folder / "to")) if word[:2] == "TO" else word) for word in rest]
    return [*name.split(), *words, "--store", str(store)]


def test_every_command_is_here() -> None:
    assert {command[0] for command in USES} | ELSEWHERE == COMMANDS.keys()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", USES, ids=" ".join)
def test_a_command_does_what_it_can(command: tuple[str, ...], kind: str, store: Path, tmp_path: Path, cli: Cli) -> None:
    words = words_of(command, kind, store, tmp_path)
    before = contents(tmp_path)
    done = cli(*words)
    if kind not in USES[command]:
        assert done.code == 0, done.err
        return
    refused(done)
    assert contents(tmp_path) == before


def refused(done: Answer) -> None:
    """Check that it was refused by the name of what is missing, with the command that installs it."""
    assert done.refused().endswith(NEEDS)
    assert f"hint: {INSTALL}\n" in done.err


@pytest.mark.parametrize("command", [("start", "digits"), ("start", "digits", "--dry-run")], ids=" ".join)
@pytest.mark.parametrize("kind", ["searchers", "spaces", "layers"])
def test_a_search_does_not_go_on(kind: str, command: tuple[str, ...], store: Path, cli: Cli) -> None:
    before = contents(store)
    refused(cli(*command, "--run", kind, "--store", store))
    assert contents(store) == before


@pytest.mark.parametrize("kind", sorted(AGAIN))
def test_finals_begin_nothing(kind: str, store: Path, cli: Cli) -> None:
    """Nets of a task of one's own have no finals, whatever is installed."""
    before = contents(store)
    done = cli("finals", kind, "--store", store)
    if kind == "tasks":
        assert "finals measure accuracies on test images" in done.refused()
    else:
        refused(done)
    assert contents(store) == before


@pytest.mark.parametrize("kind", KINDS)
def test_python_reads_it(kind: str, store: Path) -> None:
    search = Search(kind, store)
    assert search.best is not None
    assert len(search.frame()) == 2
    assert search.refresh().settings.recipe.epochs == 1
    shown = search._repr_html_()
    assert search.best.trial in shown
    is_whole = kind in ("tasks", "datasets")
    assert (NEEDS in shown) is not is_whole
    assert search.status["trouble"] == ("" if is_whole else f"{NEEDS}: {INSTALL}")
    if is_whole:
        return
    with pytest.raises(PluginsMissing, match=NEEDS) as caught:
        _ = search.q_table
    assert caught.value.hint == INSTALL
    if kind == "searchers":
        explanation = search.explain()
        assert explanation.choice.endswith(NEEDS)
        assert explanation.trained == sum(move.trained for move in explanation.moves) == 2
    else:
        with pytest.raises(PluginsMissing, match=NEEDS):
            search.explain()


@pytest.mark.parametrize("kind", KINDS)
def test_an_assistant_reads_it(kind: str, store: Path) -> None:
    reading = Reading(lambda: DirectoryStore(store))
    text = reading.report(kind)["text"]
    assert ("What only its plug-ins can say is left out" in text) is (kind not in ("tasks", "datasets"))
    assert reading.status(kind)["told"] == len(reading.trials(kind)["trials"]) == 2
    assert reading.trial(kind, trial_of(store, kind))["files"]
    cancelling = Cancelling(lambda: DirectoryStore(store), reading._launcher)
    assert cancelling.preview_cancel(kind)["in_flight"] == 0
    if kind in BELOW:
        with pytest.raises(PluginsMissing, match=NEEDS):
            reading.explain(kind)
    else:
        assert reading.explain(kind).moves


@pytest.mark.parametrize("kind", KINDS)
def test_the_dashboard_shows_its_page(kind: str, store: Path) -> None:
    reader, trial = RunReader(DirectoryStore(store), kind), trial_of(store, kind)
    reader.look()
    overview = answers.overview(reader, "2026-01-01T00:00:00+00:00")
    assert overview["fault"] is None
    is_whole = kind in ("tasks", "datasets")
    assert overview["status"]["trouble"] == ("" if is_whole else f"{NEEDS}: {INSTALL}")
    assert len(answers.trials(reader)) == 2
    for figure in answers.figure_list(reader)["figures"]:
        assert answers.figure_spec(reader, figure["name"])
    shown = answers.trial(reader, trial)
    assert bool(shown["parts"]) is (kind not in BELOW)
    if kind in BELOW:
        with pytest.raises(PluginsMissing, match=NEEDS) as caught:
            answers.drawing_spec(reader, trial)
        assert caught.value.hint == INSTALL
        with pytest.raises(PluginsMissing, match=NEEDS):
            answers.beliefs(reader, "")
    else:
        assert answers.drawing_spec(reader, trial)
        assert answers.beliefs(reader, "")["moves"]


def test_what_it_learned_begins_another_search(store: Path) -> None:
    settings = load_settings("digits", {}, ["warm_start.run=searchers"], {}).settings
    recalled = recall(DirectoryStore(store), "next", settings, rehearsal=False)
    assert recalled is not None
    assert len(recalled.rows) + recalled.refused == 2


def test_a_record_that_names_no_layer_kind_is_read(store: Path, tmp_path: Path, cli: Cli) -> None:
    """Earlier releases named none: what needs it can only say which setting is not known."""
    forget_plugins(store, "layers")
    assert cli("report", "layers", "--to", tmp_path / "report", "--store", store).code == 0
    assert cli("explain", "layers", "--store", store).refused() == "unknown setting space.gone"


def test_the_ids_of_trials_name_the_layers_of_their_own_nets(store: Path) -> None:
    """The run names a kind that any net may have; a trial, one that its net has."""
    record = load_record(DirectoryStore(store), "layers")
    assert record.plugins == {"metaqnn.layers:gone": "metaqnn-gone 1.0"}
    for trial in Search("layers", store).trials:
        request = json.loads(DirectoryStore(store).get(keys.request("layers", trial.trial)))
        assert ("metaqnn.layers:gone" in request["spec"].get("plugins", {})) is ("ID(" in trial.net)


OTHER: Final[dict[str, tuple[str, str]]] = {
    "spaces": ("2.0", "deep"),  # it has another option than the run says
    "layers": ("2.0", "depth"),
    "tasks": ("2.0", "depth"),
}


@pytest.mark.parametrize("kind", OTHER)
def test_another_version_reads_it_and_does_not_train(kind: str, store: Path, tmp_path: Path) -> None:
    installed = install(tmp_path / "installed", *OTHER[kind])

    def call(*words: object) -> Any:
        command = [sys.executable, "-m", "metaqnn_orch", *map(str, words), "--store", str(store)]
        environment = {**clean_environment(), "PYTHONPATH": str(installed)}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    assert call("attach", kind).returncode == 0
    before = contents(store)
    done = call("retrain", kind, trial_of(store, kind))
    assert done.returncode == 2
    assert INSTALL in done.stderr
    assert contents(store) == before
