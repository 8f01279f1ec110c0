"""However a program behaves, it ends with all that it started, and its words take little memory."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from metaqnn_orch.application.trainer_check.process import MOST_WORDS, Process


def python(code: str) -> Process:
    return Process([sys.executable, "-c", code], os.environ)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_its_end_its_words_and_its_time() -> None:
    with python("import sys; print('out'); print('first\\nlast', file=sys.stderr); sys.exit(7)") as process:
        ended = process.wait(30)
    assert ended is not None
    assert (ended.code, ended.out, ended.last_words) == (7, b"out\n", "last")
    assert ended.in_words() == "exit code 7, saying: last"
    assert ended.seconds > 0
    assert process.signal(signal.SIGTERM) is False


def test_who_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "import pathlib, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
        f"pathlib.Path({str(note)!r}).write_text(str(child.pid))\n"
        "print('ready', flush=True)\n"
        "time.sleep(1000)\n"
    )
    with python(code) as process:
        while not (note.exists() and note.read_text()):
            time.sleep(0.01)
        assert process.signal(signal.SIGTERM) is True
        assert process.wait(0.3) is None
    ended = process.wait(0)
    assert ended is not None
    assert ended.in_words().startswith("killed by SIGKILL")
    deadline = time.monotonic() + 10
    while is_alive(int(note.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_child_that_stays_behind_does_not_keep_us() -> None:
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])"
    began = time.monotonic()
    with python(code) as process:
        ended = process.wait(30)
    assert ended is not None
    assert ended.code == 0
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("stream", [1, 2])
def test_who_never_stops_talking_is_ended(stream: int) -> None:
    with python(f"import os\nwhile True: os.write({stream}, b'x' * 65536)") as process:
        ended = process.wait(60)
    assert ended is not None
    assert ended.too_much
    assert f"more than {MOST_WORDS >> 20} MiB of output" in ended.in_words()
    assert len(ended.out) + len(ended.err) < 1 << 20


def test_what_cannot_be_started_is_the_callers_to_tell() -> None:
    with pytest.raises(OSError, match="No such file"):
        Process(["/no/such/program"], os.environ)
