"""EXECUTABLE OWNER: imports the orchestrator and the trainer, and forks one for each that a stand-in asks for. Returns
when it can be asked, and goes on in the background until the process OWNER ends or the file EXECUTABLE is removed.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
from importlib import import_module
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType
from typing import Any

PROGRAMS = (
    "metaqnn_orch.cli.app",
    "metaqnn_orch.api",
    "metaqnn_trainer.worker",
)
TORCH = ("torch", "metaqnn_trainer.bundle", "metaqnn_trainer.trial")


def serve(listener: socket.socket, executable: Path, owner: int) -> dict[str, Any]:
    """Wait for stand-ins. Returns what is asked, in the process that was forked for it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # what has ended is forgotten
    end = os.pidfd_open(owner)
    while True:
        ready, _, _ = select.select([listener.fileno(), end], [], [], 1)
        if end in ready or not executable.exists():
            os._exit(0)
        if listener.fileno() not in ready:
            continue
        connection, _ = listener.accept()
        if not os.fork():
            break
        connection.close()
    listener.close()
    os.close(end)
    with connection:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        size, streams, _, _ = socket.recv_fds(connection, 4, 3)
        asked: dict[str, Any] = json.loads(connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
        if program := os.fork():
            for stream in streams:
                os.close(stream)
            watch(connection, program)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    return asked


def watch(connection: socket.socket, program: int) -> None:
    """Pass signals on until the program ends. It is killed where the connection ends: its stand-in was."""
    end = os.pidfd_open(program)
    while end not in select.select([connection.fileno(), end], [], [])[0]:
        for number in connection.recv(100) or [signal.SIGKILL]:
            os.kill(program, number)
    code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
    try:
        connection.sendall(code.to_bytes(4, "big", signed=True))
    finally:
        os._exit(0)


def become(asked: dict[str, Any]) -> None:
    """Take the signals, streams, folder, environment and arguments that are asked for."""
    for number in asked["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
        raw = open(number, mode + "b", closefd=False)  # noqa: SIM115 - for as long as the process lives
        errors = "backslashreplace" if name == "stderr" else None
        setattr(sys, name, TextIOWrapper(raw, errors=errors, line_buffering=name == "stderr" or raw.isatty()))
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    if "torch" in sys.modules and "OMP_NUM_THREADS" in os.environ:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def run(arguments: list[str]) -> int:
    """`python` with these arguments: -m MODULE, -c PROGRAM or a file, and their own. Returns the exit code."""
    kind, what = arguments[:2] if arguments[0] in ("-m", "-c") else ("", arguments[0])
    sys.argv[:] = [kind or what, *arguments[2 if kind else 1 :]]
    sys.path[0] = "" if kind else str(Path(what).parent)
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        elif kind == "-c":
            sys.modules["__main__"] = ModuleType("__main__")
            exec(compile(what, "<string>", "exec"), vars(sys.modules["__main__"]))
        else:
            runpy.run_path(what, run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    executable, owner = sys.argv[1:]
    sys.executable = executable  # before all imports: some keep the command that starts others
    for module in (*PROGRAMS, *(TORCH if find_spec("torch") else ())):
        import_module(module)
    with socket.socket(socket.AF_UNIX) as listener:
        Path(f"{executable}.socket").unlink(missing_ok=True)
        listener.bind(f"{executable}.socket")
        listener.listen(100)
        if os.fork():
            os._exit(0)
        for number in (1, 2):  # those of whoever asked first
            os.dup2(0, number)
        asked = serve(listener, Path(executable), int(owner))
    become(asked)
    code = run(asked["arguments"])
    threading._shutdown()  # type: ignore[attr-defined]  # waits for those that are no daemons
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)  # tearing all down, which the server imported, takes most of a second


if __name__ == "__main__":
    main()
