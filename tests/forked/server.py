"""EXECUTABLE KIND OWNER: imports what searches or what trains, and forks a process for each that a stand-in asks
for. Returns when it can be asked, and goes on in the background until the process OWNER ends or the file EXECUTABLE is
removed. What was forked ends with it.
"""

from __future__ import annotations

import atexit
import gc
import os
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType

# The more memory a process has, the longer it takes to fork: with torch ten times as long.
IMPORTED = {
    "search": ["metaqnn_orch.cli.app", "metaqnn_orch.api"],
    "train": ["metaqnn_trainer.worker"],
}
if find_spec("torch"):
    IMPORTED["train"] += ["metaqnn_trainer.bundle", "metaqnn_trainer.trial"]
NEEDED = {
    "search": {
        b"s3://": "metaqnn_trainer.store.s3",
        b"kubernetes": "metaqnn_orch.launchers.kubernetes.launcher",
        b"--mlflow": "mlflow.store.tracking.sqlalchemy_store",
    },
    "train": {b"s3://": "metaqnn_trainer.store.s3", b"dataset": "sklearn.datasets"},
}
"""What is imported, too, once a program with such a word is asked for: it takes half a second, or a whole one."""


@dataclass
class Program:
    """One that was forked, and the connection to its stand-in."""

    pid: int
    connection: socket.socket

    def pass_on(self) -> None:
        """Its stand-in got a signal, or has ended: then nobody can stop the program any more."""
        signals = b""
        with suppress(ConnectionResetError):
            signals = self.connection.recv(100)
        for number in signals or [signal.SIGKILL]:
            os.kill(self.pid, number)

    def tell(self) -> None:
        """Tell the stand-in how it ended."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        with self.connection, suppress(OSError):
            self.connection.sendall(code.to_bytes(4, "big", signed=True))


def serve(
    listener: socket.socket, executable: Path, owner: int, needed: Mapping[bytes, str]
) -> tuple[bytes, list[int]]:
    """Wait for stand-ins. Returns what is asked, and the streams, in the process that was forked for it."""
    end = os.pidfd_open(owner)
    programs: dict[int, Program] = {}  # by a file that can be read when the program has ended
    while True:
        connections = {program.connection.fileno(): program for program in programs.values()}
        ready, _, _ = select.select([listener.fileno(), end, *programs, *connections], [], [], 1)
        if end in ready or not executable.exists():
            for program in programs.values():
                os.kill(program.pid, signal.SIGKILL)
            os._exit(0)
        for number in connections.keys() & ready:
            connections[number].pass_on()
        for number in programs.keys() & ready:
            programs.pop(number).tell()
            os.close(number)
        if listener.fileno() in ready and (request := _received(listener.accept()[0])):
            connection, asked, streams = request
            _prepare(asked, needed)
            if not (pid := os.fork()):
                for opened in [listener, connection, *(program.connection for program in programs.values())]:
                    opened.close()
                for number in [end, *programs]:
                    os.close(number)
                return asked, streams
            for stream in streams:
                os.close(stream)
            programs[os.pidfd_open(pid)] = Program(pid, connection)


def _prepare(asked: bytes, needed: Mapping[bytes, str]) -> None:
    for word, module in needed.items():
        if word in asked and module not in sys.modules:
            with suppress(ImportError):
                import_module(module)
            gc.freeze()


def _received(connection: socket.socket) -> tuple[socket.socket, bytes, list[int]] | None:
    """The request of a stand-in and its streams; None where it has ended meanwhile."""
    size, streams, _, _ = socket.recv_fds(connection, 4, 3)
    asked = connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL) if size else b""
    if asked and len(asked) == int.from_bytes(size, "big"):
        return connection, asked, streams
    connection.close()
    for stream in streams:
        os.close(stream)
    return None


def become(asked: bytes, streams: list[int]) -> list[str]:
    """Take the streams, signals, folder and environment that are asked for. Returns the arguments."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    ignored, closed, folder, count, *words = os.fsdecode(asked).split("\0")
    for number in map(int, ignored.split()):
        signal.signal(number, signal.SIG_IGN)
    for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
        if str(number) in closed:
            os.close(number)
            setattr(sys, name, None)
            continue
        raw = open(number, mode + "b", closefd=False)  # noqa: SIM115 - for as long as the process lives
        errors = "backslashreplace" if name == "stderr" else None
        setattr(sys, name, TextIOWrapper(raw, errors=errors, line_buffering=name == "stderr" or raw.isatty()))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(dict(word.split("=", 1) for word in words[int(count) :]))
    if "torch" in sys.modules and "OMP_NUM_THREADS" in os.environ:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()  # or all draw the same numbers
    return words[: int(count)]


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
    executable, kind, owner = sys.argv[1:]
    sys.executable = executable  # before all imports: some keep the command that starts others
    for module in IMPORTED[kind]:
        import_module(module)
    gc.collect()
    gc.freeze()  # or each process that is forked copies the memory of what it looks through
    with socket.socket(socket.AF_UNIX) as listener:
        Path(f"{executable}.{kind}").unlink(missing_ok=True)
        listener.bind(f"{executable}.{kind}")
        listener.listen(100)
        if os.fork():
            os._exit(0)
        for number in (1, 2):  # those of whoever asked first
            os.dup2(0, number)
        asked, streams = serve(listener, Path(executable), int(owner), NEEDED[kind])
    code = run(become(asked, streams))
    threading._shutdown()  # type: ignore[attr-defined]  # waits for those that are no daemons
    atexit._run_exitfuncs()
    if sys.stdout:
        sys.stdout.flush()
    os._exit(code)  # tearing all down, which the server imported, takes most of a second


if __name__ == "__main__":
    main()
