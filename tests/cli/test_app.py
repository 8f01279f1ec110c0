from __future__ import annotations

import os
import pty
import select
import shlex
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from metaqnn_orch.cli.app import COMMANDS
from tests import forked
from tests.cli.conftest import PROGRAM, Cli, tree

GROUPS = ("", "dataset", "config", "trainer")


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a shell makes of a command line in which $M is the program."""
    return subprocess.run(
        ["bash", "-c", command],
        env={"PATH": os.environ["PATH"], "M": str(PROGRAM), **environment},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def on_terminal(*arguments: str, **environment: str) -> str:
    """What the program writes to a terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        told = {"PATH": os.environ["PATH"], "TERM": "xterm", **environment}
        os.execve(forked.PYTHON, [forked.PYTHON, str(PROGRAM), *arguments], told)
    written = b""
    while select.select([terminal], [], [], 30)[0]:
        try:
            some = os.read(terminal, 65_536)
        except OSError:  # the other end is closed
            break
        if not some:
            break
        written += some
    os.close(terminal)
    os.waitpid(pid, 0)
    return written.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("command", [*GROUPS, *COMMANDS])
def test_help_teaches(command: str, flag: str, cli: Cli) -> None:
    answer = cli(*command.split(), flag)
    assert answer.code == 0
    assert answer.err == ""
    assert answer.out.isascii()
    assert answer.out.startswith(f"Usage: metaqnn-orch {command}".rstrip() + " ")
    if command in COMMANDS:
        assert f"Example:\n    metaqnn-orch {COMMANDS[command][1]}\n" in answer.out
        assert "[train]" in answer.out or command != "dataset push"


def test_help_lists_every_command_in_a_line(cli: Cli) -> None:
    out = cli("--help").out
    for name in COMMANDS:
        assert f"\n  {name.split()[0]}  " in out
    assert "..." not in out.replace("[ARGS]...", "")


def test_help_has_no_line_wider_than_the_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("", "status", "space", "config show"):
        monkeypatch.setenv("COLUMNS", "60")
        lines = cli(*command.split(), "--help").out.splitlines()
        assert max(map(len, lines)) <= 62, command


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_alone_answers_with_its_help_and_a_code(group: str, cli: Cli) -> None:
    answer = cli(*group.split())
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err == cli(*group.split(), "--help").out


def test_version(cli: Cli) -> None:
    assert cli("--version") == (0, version("metaqnn-orch") + "\n", "")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name.split()[0] in ("describe", "space", "config")])
def test_the_examples_that_need_no_store_work(name: str, cli: Cli) -> None:
    answer = cli(*shlex.split(COMMANDS[name][1]))
    assert answer.code == 0
    assert answer.out
    assert answer.err == ""


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("start", "missing argument 'PRESET_OR_FILE'"),
        ("start digits", "missing option '--run'"),
        ("status", "missing argument 'RUN'"),
        ("pull a --store new", "missing option '--to'"),
        ("describe", "missing argument 'NET'"),
        ("describe '[SM(10)]'", "missing option '--space'"),
        ("dataset push --store new", "missing argument 'NAME'"),
        ("stat a", "no such command 'stat'; did you mean 'start', 'status'?"),
        ("dataset pusch", "no such command 'pusch'; did you mean 'push'?"),
        ("nonsense", "no such command 'nonsense'"),
        ("--nonsense", "no such option: --nonsense"),
        ("start digits --run a --store new --max-trails 3", "no such option: --max-trails; did you mean --max-trials?"),
        ("start digits --run a --store new --parallel x", "invalid value for '--parallel': it must be a whole number"),
        ("start digits --run a --store new --parallel 1e3", "invalid value for '--parallel'"),
        (
            "start digits --run a --store new --launcher x",
            "invalid value for '--launcher': 'x' is not one of 'local', 'table'",
        ),
        ("start digits --run a --store new extra", "got unexpected extra argument(s) (extra)"),
        ("start digits --store new --run", "option '--run' requires an argument"),
        ("trials a --store new -o xml", "invalid value for '--output' / '-o': 'xml' is not one of"),
        ("pull a --store new --to x --top 0", "invalid value for '--top': it must be greater than or equal to 1"),
    ],
)
def test_wrong_arguments_are_one_line_and_an_example(
    line: str, says: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = cli(*shlex.split(line))
    assert answer.refused().startswith(says)
    assert "hint: see metaqnn-orch " in answer.err
    assert tree(tmp_path) == []


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("cd $(dirname $M); PATH=/usr/bin:/bin; ./metaqnn-orch", "./metaqnn-orch"),
        ("PATH=/usr/bin:/bin; $M", str(PROGRAM)),
        ("PATH=$(dirname $M):$PATH; metaqnn-orch", "metaqnn-orch"),
        ("PATH=$(dirname $M):$PATH; $M", "metaqnn-orch"),
    ],
)
def test_a_hint_can_be_typed_as_it_stands(line: str, command: str, tmp_path: Path) -> None:
    asked = shell(f"{line} status first --store {tmp_path}").stderr
    assert asked.splitlines()[-1] == f"hint: it has no runs: is it the store that you mean? {command} start begins one"
    wrong = shell(f"{line} status").stderr
    assert f"see {command} status --help; an example: {command} status first --store ./runs" in wrong


def test_a_traceback_is_there_for_who_wants_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("space", "nonsense").code == 2
    monkeypatch.setenv("METAQNN_TRACEBACK", "1")
    with pytest.raises(ValueError, match="column 1"):
        cli("describe", "x", "--space", "digits")


def test_the_store_may_come_from_the_environment(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAQNN_STORE", str(tmp_path))
    assert cli("dataset", "list", "-o", "json").json() == []


@pytest.mark.parametrize("command", ["config show digits | true", "config show digits -o json | head -1"])
def test_a_reader_who_leaves_is_no_error(command: str) -> None:
    done = shell(f"set -o pipefail; $M {command}")
    assert done.stderr == ""
    assert done.returncode in (0, 128 + signal.SIGPIPE)  # 0 where all was written before


def test_a_full_disk_is_said() -> None:
    done = shell("$M config show digits >/dev/full")
    assert (done.returncode, done.stderr) == (1, "error: cannot write to standard output: No space left on device\n")
    assert shell("$M space nonsense 2>&-").returncode == 2


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict"},
        {"LANG": "nonsense"},
    ],
)
def test_letters_that_the_locale_lacks_are_written_out(environment: dict[str, str], tmp_path: Path) -> None:
    done = shell(f"$M dataset list --store {tmp_path}; $M space $'digits\\xc3\\xa9\\xff\\u2014'", **environment)
    assert done.stdout.startswith("name  digest")
    assert done.stderr.startswith("error: 'digits")
    assert "Traceback" not in done.stderr
    assert done.returncode == 2


def test_colour_is_for_terminals_that_want_it() -> None:
    assert "\x1b[1;31merror: \x1b[0m" in on_terminal("space", "nonsense")
    assert "31m" not in on_terminal("space", "nonsense", NO_COLOR="1")
    assert "\x1b" not in on_terminal("space", "nonsense", TERM="dumb")
    assert "\x1b" not in shell("$M space nonsense").stderr
    assert "\x1b[1msetting" in on_terminal("config", "show", "digits")


@pytest.mark.parametrize(("columns", "term"), [("1", "xterm"), ("40", "xterm"), ("40", "dumb"), ("0", "xterm")])
def test_nothing_is_lost_on_a_narrow_terminal(columns: str, term: str) -> None:
    rows = on_terminal("config", "show", "digits", COLUMNS=columns, TERM=term)
    assert "schedule.phases" in rows
    assert '[{"epsilon": 1.0, "unique": 8}, {"epsilon": 0.5, "unique": 4}, {"epsilon": 0.1, "unique": 4}]' in rows
    fields = on_terminal("space", "mnist-table-a1", COLUMNS=columns, TERM=term)
    assert "receptive fields" in fields
    for word in ("60,", "120,", "log-spaced", "termination"):
        assert word in fields


def test_ctrl_c_is_quiet_from_the_beginning(tmp_path: Path) -> None:
    """While a library is imported: here one that stands before the real one on the path."""
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    command = [sys.executable, "-m", "metaqnn_orch", "space", "digits"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
