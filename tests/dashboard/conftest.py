"""A dashboard that really listens, in a process of its own, and what it answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple

from tests import forked
from tests.cli.conftest import PROGRAM, clean_environment
from tests.cli.conftest import cli as cli


class Served(NamedTuple):
    """A dashboard under way."""

    process: subprocess.Popen[str]
    said: dict[str, Any]
    """What it printed with -o json."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.said['port']}"

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
        """The answer to one request, and its content; headers are written with _ for -."""
        connection = HTTPConnection("127.0.0.1", self.said["port"], timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=sent)
        with closing(connection):
            answer = connection.getresponse()
            return answer, answer.read()

    def json(self, path: str, status: int = 200) -> Any:
        answer, data = self.ask(path)
        assert answer.status == status, data
        return json.loads(data)


@contextmanager
def serving(store: Path, *arguments: str, **environment: str) -> Iterator[Served]:
    """A dashboard of this store on a free port."""
    command = [forked.PYTHON, str(PROGRAM), "dashboard", "--store", str(store), "--port=0", "-o", "json", *arguments]
    process = subprocess.Popen(
        command,
        env={**clean_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Served(process, _said(process))
    finally:
        process.kill()
        process.communicate()


def _said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    assert process.stderr is not None
    text = ""
    while not text.endswith("}\n"):
        line = process.stdout.readline()
        assert line, process.stderr.read()
        text += line
    said: dict[str, Any] = json.loads(text)
    return said
