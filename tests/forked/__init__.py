"""A trainer that starts at once, for tests that start many.

Most of the processor time of a small trial is the import of torch. Here one process imports it, and forks for each
trainer that is asked of it: the real one, with its own arguments, environment, folder and streams. `trainer` is the
command of a small process that stands for it: signals and the exit code pass through. In two things a trainer differs
from one that was started in the usual way: most variables that libraries read when they are imported are the server's,
and when its stand-in is killed by SIGKILL, it ends a moment later.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLIENT = Path(__file__).with_name("client.py")


@contextmanager
def trainer() -> Iterator[list[str]]:
    """The command that stands for `python -m metaqnn_trainer`. It can be used until the block ends."""
    with tempfile.TemporaryDirectory() as folder:  # a socket's path must be short
        address = f"{folder}/socket"
        command = [sys.executable, "-m", "tests.forked.server", address]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield [sys.executable, "-SEI", str(CLIENT), address]
            server.kill()
