"""What shells offer on TAB: the real protocol of bash, zsh and fish, and a real bash."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metaqnn_orch.cli.app import COMMANDS
from metaqnn_orch.settings.presets import presets
from metaqnn_orch.settings.values import known_keys
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import PROGRAM, Cli, clean_environment

Offered = Callable[..., list[str]]


@pytest.fixture
def offered(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Offered:
    """What bash is offered for a line, as bash asks: it ends a word at each `=` and `:`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("_METAQNN_ORCH_COMPLETE", "complete_bash")

    def offer(line: str) -> list[str]:
        *words, last = re.split(" +", f"metaqnn-orch {line}")
        parts = [part for word in (*words, last) for part in re.split("([=:]+)", word) if part or word is last == ""]
        monkeypatch.setenv("COMP_WORDS", "\n".join(parts))
        monkeypatch.setenv("COMP_CWORD", str(len(parts) - 1))
        answer = cli()
        assert (answer.code, answer.err) == (0, "")
        return answer.out.split()

    return offer


def test_commands(offered: Offered) -> None:
    assert offered("sta") == ["start", "status"]
    assert {*offered("runs ")} == {name.removeprefix("runs ") for name in COMMANDS if name.startswith("runs ")}


@pytest.mark.parametrize(
    "line", ["start ", "submit ", "config show ", "describe x --space ", "finals first --settings "]
)
def test_presets_and_settings_files(offered: Offered, line: str) -> None:
    Path("own.yaml").touch()
    Path("notes.txt").touch()
    Path("flowers").mkdir()
    assert offered(line) == [*presets(), "own.yaml", "flowers/"]
    assert offered(f"{line}cif") == ["cifar10", "cifar100"]
    assert offered(f"{line}own") == [], "the shell's own files"


@pytest.mark.parametrize(
    "line",
    ["trials", "status", "resume", "dashboard", "runs rm --ignore-jobs", "start digits --run", "logs --tail 3"],
)
def test_runs_of_the_store_that_the_line_names(offered: Offered, finished: DirectoryStore, line: str) -> None:
    command, *rest = line.split(" -", 1)
    line = " ".join([command, "--store", finished.uri, *(f"-{part}" for part in rest)])
    assert offered(f"{line} ") == ["test"]
    assert offered(f"{line} te") == ["test"]
    assert offered(f"{line} x") == []


def test_the_store_of_the_environment_and_the_usual_one(
    offered: Offered, finished: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offered("trials ") == []
    Path("runs").symlink_to(finished.uri.removeprefix("file://"))
    assert offered("trials ") == ["test"]
    monkeypatch.setenv("METAQNN_STORE", "./empty")
    assert offered("trials ") == []
    assert offered(f"trials --store={finished.uri} ") == ["test"]
    assert not Path("empty").exists()


def test_trials_of_the_run(offered: Offered, finished: DirectoryStore) -> None:
    trials = finished.names(keys.trials("test"))
    assert len(trials) > 2
    store = f"--store {finished.uri}"
    for line in (f"trial test {store} ", f"logs {store} test ", f"export test {store} --trial "):
        assert offered(line) == [*trials]
        assert offered(f"{line}{trials[0][:8]}") == [trials[0]]
    assert offered(f"retrain {store} test {trials[0]} ") == [*trials[1:]]
    assert offered(f"trial {store} other ") == []
    assert offered(f"trial {store} ../x ") == []


def test_settings_and_their_values(offered: Offered) -> None:
    assert {*offered("start digits --set ")} == {f"{key}=" for key in known_keys()}
    assert offered("start digits --set recipe.opt") == ["recipe.optimizer=adam", "recipe.optimizer=sgd"]
    assert offered("start digits --set recipe.optimizer=") == ["adam", "sgd"]
    assert offered("start digits --set=recipe.optimizer=s") == ["sgd"]
    assert offered("start digits --set recipe.mirror=") == ["true", "false"]
    assert offered("start digits --set recipe.nothing=") == []
    assert "guided" in offered("start digits --set search.method=")


def test_a_value_of_many_is_the_present_one(offered: Offered) -> None:
    assert offered("start digits --set recipe.epo") == ["recipe.epochs=", "recipe.epochs=15"], "no blank behind ="
    assert offered("start digits --set recipe.epochs=") == ["15"]
    assert offered("start digits --set recipe.epochs=7 --set recipe.epochs=") == ["7"]
    Path("own.yaml").write_text("preset: digits\nrecipe: {epochs: 3}\n")
    assert offered("config show own.yaml --set recipe.epochs=") == ["3"]
    assert offered("start digits --set execution.max_trials=") == ["null"]
    assert "search.parents=" in offered("start digits --set search.method=guided --set search.")
    assert "search.parents=" not in offered("start digits --set search.")


def test_settings_that_the_command_takes(offered: Offered) -> None:
    heads = {line: {key.partition(".")[0] for key in offered(f"{line} --set ")} for line in ("enqueue x", "finals x")}
    assert heads == {"enqueue x": {"recipe"}, "finals x": {"finals", "execution", "budget", "tracking"}}


@pytest.mark.parametrize(
    "line",
    [
        "trials --store x://y ",
        "trials --store s3:// ",
        "trial --store /dev/null first ",
        "start no-such-file.yaml --set recipe.epochs=",
        "start digits --set nonsense --set recipe.epochs=x",
        "start --nonsense ",
        "nonsense ",
        "trial first 'unclosed ",
        "= = ",
    ],
)
def test_a_line_that_is_wrong_says_nothing(offered: Offered, line: str) -> None:
    offered(line)


@pytest.mark.usefixtures("own_environment")
def test_a_store_that_does_not_answer_is_not_waited_for(offered: Offered, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        began = time.monotonic()
        assert offered("trials --store s3://bucket/x ") == []
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_whole_words(cli: Cli, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("_METAQNN_ORCH_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "metaqnn-orch start digits --set recipe.optimizer=")
    answer = cli()
    assert re.findall(r"[\w.]+=\w+", answer.out) == ["recipe.optimizer=adam", "recipe.optimizer=sgd"]


def test_a_real_bash_installs_and_completes(finished: DirectoryStore, tmp_path: Path) -> None:
    script = f"""
        set -e
        metaqnn-orch --install-completion
        . "$HOME/.bashrc"
        complete -p metaqnn-orch
        COMP_WORDS=(metaqnn-orch trials --store = {shlex.quote(finished.uri)} te)
        COMP_CWORD=5
        _metaqnn_orch_completion metaqnn-orch
        echo "offered: ${{COMPREPLY[*]}}"
    """
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        env={**clean_environment(), "HOME": str(tmp_path), "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert "-F _metaqnn_orch_completion metaqnn-orch" in done.stdout
    assert done.stdout.endswith("offered: test\n")
