"""A Python that starts the orchestrator and the trainer at once, for tests that start many.

Most of the processor time of a short command or a small trial is the import of what it uses. Here one process imports
the orchestrator, another one the trainer, and they fork for each `-m metaqnn_orch …`, `-m metaqnn_trainer …`, `-c …`
and file that is to run: the real program, with its own arguments, environment, folder and streams. A small process
stands for each: signals and the exit code pass through. What such a program starts by `sys.executable` is forked, too.
All else the real Python does, and everything where PYTHONPATH is another one.

In four things a forked program differs: everything is imported already, most variables that libraries read when they
are imported are the server's, its process has another number than its stand-in, and when that is killed by SIGKILL, it
ends a moment later. What is about one of these starts `sys.executable`.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

STAND_IN: Final = Path(__file__).with_name("stand_in.py")
SHARED: Final = "FORKING_PYTHON"  # the variable by which all processes of pytest know the same one


def forking(folder: Path, interpreter: str = sys.executable, path: str = os.environ.get("PYTHONPATH", "")) -> str:
    """Make such an executable in a folder whose path is short, and return its path. The processes that fork begin when
    they are first needed, and with this PYTHONPATH. They end when this process does, or the executable is removed.
    """
    made = folder / "python"
    # A shell, because the first line of a file must be short.
    what = f'"{interpreter}" -SEI "{STAND_IN}" "{interpreter}" "{made}" {os.getpid()} "{path}"'
    made.write_text(f'#!/bin/sh\nexec {what} "$@"\n')
    made.chmod(0o755)
    return str(made)


def trainer_with(folder: Path, path: str, interpreter: str = sys.executable) -> list[str]:
    """The command of a forked trainer with this PYTHONPATH, whatever that of its caller is."""
    return ["/usr/bin/env", f"PYTHONPATH={path}", forking(folder, interpreter, path), "-m", "metaqnn_trainer"]


def _shared() -> str:
    if SHARED not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="forked-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ[SHARED] = forking(folder)
    return os.environ[SHARED]


PYTHON: Final = _shared()
TRAINER: Final = (PYTHON, "-m", "metaqnn_trainer")
ORCHESTRATOR: Final = (PYTHON, "-m", "metaqnn_orch")
