"""start --launcher table: a whole search that trains nothing, and never mixes with one that does."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.directory import DirectoryStore
from tests import forked
from tests.cli.conftest import PROGRAM, Cli, clean_environment, put_dataset, settings_file, tree
from tests.control.world import Session, settings
from tests.seaweedfs import S3Server, free_ports, kill, start, wait_until_it_answers

KNOWN = ["[SM(10)]", "[GAP(10), SM(10)]", "[C(64,3,1), SM(10)]", "[C(128,5,1), P(2,2), SM(10)]"]


@pytest.fixture
def rehearse(tmp_path: Path) -> list[object]:
    """The arguments of a rehearsal of twelve nets."""
    table = tmp_path / "table.csv"
    table.write_text("net,accuracy\n" + "".join(f'"{net}",0.{place + 1}\n' for place, net in enumerate(KNOWN)))
    file = settings_file(tmp_path, settings(dataset__digest=None))
    return ["start", file, "--run", "one", "--store", tmp_path / "store", "--launcher", "table", "--table", table]


def test_a_rehearsal_needs_no_dataset_and_marks_what_it_made_up(
    rehearse: list[object], tmp_path: Path, cli: Cli
) -> None:
    ended = cli(*rehearse, "--parallel", "3", "-o", "json").json()
    assert (ended["state"], ended["unique"], ended["told"] >= 12) == ("complete", 12, True)
    store = tmp_path / "store"
    assert not (store / "datasets").exists()
    rows = cli("trials", "one", "--store", store, "-o", "json").json()
    assert {row["net"]: row["estimated"] for row in rows} == {row["net"]: row["net"] not in KNOWN for row in rows}
    assert ended["estimated"] == sum(row["estimated"] for row in rows) > 0
    assert cli("status", "one", "--store", store, "-o", "json").json()["estimated"] == ended["estimated"]
    lines = cli("trials", "one", "--store", store).out.splitlines()[1:]
    assert Counter("completed, estimated" in line for line in lines)[True] == ended["estimated"]
    assert all(0.1 <= row["val_accuracy"] <= 0.4 for row in rows)


def test_metrics_are_served_meanwhile(rehearse: list[object], cli: Cli) -> None:
    answer = cli(*rehearse, "--metrics-port", "0")
    assert answer.code == 0
    assert re.search(r"^metrics at port \d+, /metrics$", answer.err, re.MULTILINE)
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        rehearse[rehearse.index("one")] = "two"
        refused = cli(*rehearse, "--metrics-port", taken.getsockname()[1])
    assert refused.code == 2
    assert "metrics cannot be served on port" in refused.err


def test_it_goes_on_and_says_what_it_is(rehearse: list[object], tmp_path: Path, cli: Cli) -> None:
    assert cli(*rehearse, "--max-trials", "5").code == 0
    answer = cli(*rehearse, "--table-delay", "0.01")
    assert answer.code == 0
    assert "the accuracies of 4 nets" in answer.err
    assert "a rehearsal with the table table.csv: nothing was trained; " in answer.err
    assert "pull" not in answer.err, "there are no weights"
    whole = cli("status", "one", "--store", tmp_path / "store", "-o", "json").json()
    rehearse[rehearse.index("one")] = "two"
    assert cli(*rehearse, "-o", "json").json()["q_digest"] == whole["q_digest"]


def test_a_store_that_is_killed_in_mid_run_is_waited_for(
    rehearse: list[object], tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real SeaweedFS, killed with writes under way, and started again on what it left."""
    undisturbed = cli(*rehearse, "--parallel=1", "-o", "json").json()
    server, ports = S3Server("", "tester", "secret", "metaqnn-killed"), free_ports(4)
    server = server._replace(endpoint=f"http://127.0.0.1:{ports[3]}")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    process = start(tmp_path, ports, server, "127.0.0.1")
    assert wait_until_it_answers(server)
    rehearse[rehearse.index("--store") + 1] = f"s3://{server.bucket}/runs"
    command = [forked.PYTHON, str(PROGRAM), *map(str, rehearse), "--parallel=1", "--table-delay=0.1", "-o", "json"]
    environment = {**clean_environment(), **server.environment()}
    said = []
    try:
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as run:
            assert run.stderr is not None
            assert run.stdout is not None
            for line in run.stderr:
                said.append(line)
                if line.startswith(" 4/12"):
                    kill(process)
                if line.startswith("waiting: ") and process.poll() is not None:
                    process = start(tmp_path, ports, server, "127.0.0.1")
                    assert wait_until_it_answers(server)
            ended = json.loads(run.stdout.read())
    finally:
        kill(process)
    assert ended["q_digest"] == undisturbed["q_digest"], "".join(said)
    assert (ended["failed"], ended["told"]) == (0, undisturbed["told"])


def test_a_moved_table_is_the_same_table_and_a_changed_one_is_not(
    rehearse: list[object], tmp_path: Path, cli: Cli
) -> None:
    assert cli(*rehearse, "--max-trials", "3").code == 0
    moved = shutil.copy(str(rehearse[-1]), tmp_path / "moved.csv")
    assert cli(*rehearse[:-1], moved, "--max-trials", "5").code == 0
    before = tree(tmp_path / "store")
    with Path(moved).open("a") as file:
        file.write("[SM(10)],0.2\n")
    answer = cli(*rehearse[:-1], moved)
    assert answer.code == 2
    assert "run 'one' uses the table table.csv with digest" in answer.err
    assert "moved.csv has" in answer.err
    assert tree(tmp_path / "store") == before


def test_training_does_not_go_on_with_a_rehearsal(rehearse: list[object], tmp_path: Path, cli: Cli) -> None:
    assert cli(*rehearse, "--max-trials", "3").code == 0
    before = tree(tmp_path / "store")
    answer = cli(*rehearse[:6], "--launcher", "local")
    assert (
        "run 'one' is a rehearsal: its results come from the table table.csv, and nothing was trained"
        in answer.refused()
    )
    assert "--launcher table" in answer.err
    assert tree(tmp_path / "store") == before


def test_a_rehearsal_does_not_go_on_with_a_search(rehearse: list[object], tmp_path: Path, cli: Cli) -> None:
    store = DirectoryStore(tmp_path / "store")
    session = Session(store, settings(execution__max_trials=3), run="one")
    session.run_to_end()
    session.hold.release()
    before = tree(tmp_path / "store")
    answer = cli(*rehearse)
    assert answer.code == 2
    assert "run 'one' trains on digits-0123456789abcdef and uses no table" in answer.err
    assert tree(tmp_path / "store") == before


@pytest.mark.parametrize("launcher", ["table", "local"])
def test_an_imported_run_is_bound_by_the_first_start(
    launcher: str, rehearse: list[object], tmp_path: Path, cli: Cli
) -> None:
    """To the table; or to the dataset, where nothing is left to train."""
    store, theirs = DirectoryStore(tmp_path / "store"), tmp_path / "theirs.csv"
    ref = put_dataset(store)
    theirs.write_text(
        "net,accuracy_best_val,ix_q_value_update,epsilon\n"
        + "".join(f'"{net}",0.5,{place},1.0\n' for place, net in enumerate(KNOWN))
    )
    begun = cli("import-replay", theirs, "--run", "one", "--space", rehearse[1], "--store", store.uri, "-o", "json")
    assert begun.json()["unique"] == 4
    chosen = rehearse if launcher == "table" else rehearse[:6]
    ended = cli(*chosen, "--max-trials", "4", "-o", "json").json()
    assert ended["told"] >= 4
    binding = json.loads(store.get(keys.run_dataset("one")))
    assert binding["table"] == ("table.csv" if launcher == "table" else None)
    assert (binding["dataset"]["digest"] == ref.digest) is (launcher == "local")
    other = rehearse if launcher == "local" else rehearse[:6]
    assert cli(*other, "--max-trials", "4").code == 2
    assert cli(*chosen, "--max-trials", "4").code == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--table", "no.csv"], "cannot read 'no.csv': No such file or directory"),
        (["--table", "."], "cannot read '.': Is a directory"),
        (["--table", "empty.csv"], "the first line of empty.csv must have the columns net and accuracy, each once"),
        (["--table-delay", "-1"], "invalid value for '--table-delay'"),
        (["--table-delay", "nan"], "invalid value for '--table-delay'"),
        (["--table-delay", "inf"], "invalid value for '--table-delay'"),
        (["--launcher", "local"], "--table and --table-delay work only with the table launcher"),
        (["--parallel", "0"], "execution.parallel"),
    ],
)
def test_bad_input_creates_nothing(
    change: list[str], says: str, rehearse: list[object], tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.csv").touch()
    before = tree(tmp_path)
    answer = cli(*rehearse, *change)
    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err
    assert tree(tmp_path) == before


def test_the_launcher_alone_asks_for_the_table(rehearse: list[object], tmp_path: Path, cli: Cli) -> None:
    assert "the table launcher needs a table" in cli(*rehearse[:-2]).refused()
    assert not (tmp_path / "store").exists()


def test_a_rehearsal_begins_with_another_ones_experience(rehearse: list[object], tmp_path: Path, cli: Cli) -> None:
    assert cli(*rehearse).code == 0
    begun = list(rehearse)
    begun[begun.index("one")] = "two"
    missing = cli(*begun, "--warm-start-from", "nobody")
    assert (missing.code, "no run 'nobody'" in missing.err) == (2, True)
    assert not (tmp_path / "store/runs/two").exists()
    answer = cli(*begun, "--warm-start-from", "one", "--max-trials", "4", "-o", "json")
    assert "starting from " in answer.err
    assert answer.json()["warm_start"] == "one"
    whole = cli(*begun, "--warm-start-from", "one", "-o", "json").json()
    assert (whole["state"], whole["unique"]) == ("complete", 12)
    begun[begun.index("two")] = "three"
    assert cli(*begun, "--warm-start-from", "one", "-o", "json").json()["q_digest"] == whole["q_digest"]
    assert "warm_start.run" in cli(*begun).err, "it is what the run is"
