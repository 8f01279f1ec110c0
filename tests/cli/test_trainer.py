"""trainer check as somebody uses it who writes a trainer: what it prints, how it ends, and that it leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.application.trainer_check.example import write_example
from tests.cli.conftest import PROGRAM, Cli, clean_environment, tree

pytest.importorskip("numpy")

DEAF = ("if options[", "if False and options[")


def test_ticks_and_progress(cli: Cli, tmp_path: Path) -> None:
    answer = cli("trainer", "check", "--only=delivers", "--only", "no-request", *write_example(tmp_path))
    assert answer.code == 0, answer
    first, second, last = answer.out.splitlines()
    assert first.startswith("✓ right: delivers: completed, reward ")
    assert second.startswith("✓ wrong: no-request: exit code 11: ")
    assert last == "2 passed"
    assert answer.err.splitlines() == ["1/2 right: delivers", "2/2 wrong: no-request"]


def test_a_cross_has_its_evidence_and_a_remedy(cli: Cli, tmp_path: Path) -> None:
    answer = cli("trainer", "check", "--only=no-gpu", *write_example(tmp_path, DEAF))
    assert answer.code == 1
    assert answer.out.splitlines() == [
        "✗ devices: no-gpu: it trained on cpu",
        "    A GPU was asked for, and there is none.",
        "    expected: exit code 14: a trial that was given a GPU is not trained on anything else",
        "    what to do: where options.devices is above 0 and no GPU is usable, end with 14: other nodes are tried",
        "1 failed",
    ]


def test_json_is_for_scripts(cli: Cli, tmp_path: Path) -> None:
    command = write_example(tmp_path)
    made = cli("trainer", "check", "-o", "json", "--only=delivers", "--only=siblings", *command).json()
    assert [(one["check"], one["group"], one["mark"]) for one in made] == [
        ("delivers", "right", "passed"),
        ("siblings", "right", "passed"),
    ]
    assert set(made[0]) == {"group", "check", "mark", "about", "found", "expected", "fix", "seconds"}


def test_wrong_input_is_one_line(cli: Cli, tmp_path: Path) -> None:
    assert "is no program" in cli("trainer", "check", tmp_path / "no-such-program").refused()
    assert "no check 'x'" in cli("trainer", "check", "--only", "x", "python").refused()
    assert "missing argument 'COMMAND...'" in cli("trainer", "check", "--only", "delivers").refused()
    assert "timeout" in cli("trainer", "check", "--timeout", "0", "python").refused()


def test_what_follows_the_program_is_the_programs(cli: Cli, tmp_path: Path) -> None:
    """Options of the same name, too."""
    (tmp_path / "told.py").write_text("import sys\nsys.exit(' '.join(sys.argv[1:3]))\n")
    answer = cli("trainer", "check", "--only=delivers", sys.executable, tmp_path / "told.py", "--only", "-o")
    assert answer.code == 1
    assert "exit code 1, saying: --only -o" in answer.out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_whoever_stops_it_finds_no_process_and_no_folder(number: int, code: int, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    note = tmp_path / "pid"
    (tmp_path / "slow.py").write_text(
        "import os, pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(note)!r}).write_text(f'{{os.getpid()}} ')\n"
        "time.sleep(1000)\n"
    )
    process = subprocess.Popen(
        [PROGRAM, "trainer", "check", sys.executable, str(tmp_path / "slow.py")],
        env={**clean_environment(), "TMPDIR": str(tmp_path / "scratch")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    while not (note.exists() and note.read_text().endswith(" ")):
        assert process.poll() is None
        time.sleep(0.01)
    assert len(tree(tmp_path / "scratch")) > 1
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    assert tree(tmp_path / "scratch") == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)
