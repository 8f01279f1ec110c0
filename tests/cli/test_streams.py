"""Standard streams that are closed, full, or read by nobody: every command ends quietly and rightly."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from metaqnn_trainer.store.directory import DirectoryStore
from tests import forked
from tests.cli.conftest import PROGRAM, clean_environment

COMMANDS: Final = (
    "--help",
    "--version",
    "nonsense",
    "status test --store STORE",
    "status missing --store STORE",
    "status test --watch --store STORE",
    "export-replay test --store STORE",
    "cancel test --store STORE",
)
SEARCH: Final = "start digits --run=new --launcher=table --table=TABLE --store STORE --max-trials=3"
REALLY_RUN: Final = "status test --store STORE"
"""With this one Python itself begins and ends, with such streams; the others are forked."""


def ends(command: str, *redirections: str, **places: Path) -> list[tuple[int, str, str]]:
    """Exit code, standard output and standard error of the command with each of these behind it."""
    python = sys.executable if command == REALLY_RUN else forked.PYTHON
    for name, place in places.items():
        command = command.replace(name.upper(), shlex.quote(str(place)))
    found = []
    for redirection in redirections:
        done = subprocess.run(
            ["bash", "-c", f"{python} {PROGRAM} {command} {redirection}; exit ${{PIPESTATUS[0]}}"],
            env=clean_environment(),
            capture_output=True,
            text=True,
        )
        for words in ("Traceback", "Exception", "lost sys", "Errno"):
            assert words not in done.stderr, redirection
        found.append((done.returncode, done.stdout, done.stderr))
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_ends_rightly_whatever_its_streams_are(command: str, finished: DirectoryStore) -> None:
    place = Path(finished.uri)
    whole, *closed = ends(command, "", "<&-", "2>&-", "2>/dev/full", ">&-", ">&- 2>&- <&-", store=place)
    code, out, err = whole
    assert closed == [whole, (code, out, ""), (code, out, ""), (code, "", err), (code, "", "")]
    full, nobody = ends(command, ">/dev/full", "2>/dev/null | true", store=place)
    if not out:
        assert full == whole
    else:
        no_space = "error: cannot write to standard output: No space left on device\n"
        assert full == (1, "", err + no_space)
    assert nobody[0] in (code, 128 + signal.SIGPIPE)
    assert nobody[1:] == ("", "")


@pytest.mark.parametrize("redirection", [">&- 2>&- <&-", "2>&1 >/dev/null | head -1", "2>/dev/full"])
def test_a_search_goes_on_whether_anybody_sees_it_or_not(redirection: str, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    nets = [f"[{first}{last}SM(10)]" for first in ("", "C(16,1,1), ", "C(32,1,1), ") for last in ("", "GAP(10), ")]
    table.write_text("net,accuracy\n" + "".join(f'"{net}",0.{number}\n' for number, net in enumerate(nets, 10)))
    store = tmp_path / "store"
    ((code, _, _),) = ends(SEARCH, redirection, table=table, store=store)
    assert code == 0
    ((_, out, _),) = ends("status new --store STORE -o json", "", store=store)
    assert '"state": "complete"' in out


def test_a_closed_stream_is_not_the_next_files(tmp_path: Path) -> None:
    """The first file that a process opens gets the lowest number that is free, and everything that is printed."""
    program = (
        "from metaqnn_orch.cli.streams import open_closed; open_closed(); import os, sys, subprocess; "
        f"file = open({str(tmp_path / 'file')!r}, 'w'); print('out'); print('err', file=sys.stderr); sys.stdin.read(); "
        "subprocess.run(['sh', '-c', 'cat; echo child; echo child >&2'], check=True); assert file.fileno() > 2"
    )
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", command]).returncode == 0
    assert (tmp_path / "file").read_text() == ""
