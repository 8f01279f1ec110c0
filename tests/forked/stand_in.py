"""INTERPRETER EXECUTABLE OWNER PYTHONPATH ARGUMENT…: stands for the process that a server forks for these arguments. It
starts the server where there is none.
"""
# ruff: noqa: PTH109, PTH118, PTH119, PTH120, PTH123
# pathlib, socket, signal and json cost more than all that is done here.

from __future__ import annotations

import os
import sys
from _signal import (  # type: ignore[import-not-found]  # what `signal` is made of, without its enumerations
    SIG_DFL,
    SIG_IGN,
    SIGHUP,
    SIGINT,
    SIGKILL,
    SIGQUIT,
    SIGTERM,
    SIGUSR1,
    SIGUSR2,
    getsignal,
    signal,
)
from _socket import AF_UNIX, SCM_RIGHTS, SOL_SOCKET, socket

SIGNALS = (SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2)

interpreter, executable, owner, path, *arguments = sys.argv[1:]
module = arguments[1] if arguments[0] == "-m" else None
ours = module in ("metaqnn_orch", "metaqnn_trainer") or arguments[0] == "-c" or arguments[0][:1] != "-"
if not ours or "--multiprocessing-fork" in arguments or os.environ.get("PYTHONPATH", "") != path:
    os.execv(interpreter, [interpreter, *arguments])

searches = module == "metaqnn_orch" or arguments[0] == "-c" or os.path.basename(arguments[0]) == "metaqnn-orch"
kind = "search" if searches and "plugins" not in arguments else "train"  # `config plugins` imports torch


def connected() -> socket | None:
    connection = socket(AF_UNIX)
    try:
        connection.connect(f"{executable}.{kind}")
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    return connection


def started() -> socket:
    import fcntl
    import subprocess

    with open(f"{executable}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (connection := connected()):
            subprocess.run(
                [interpreter, "-m", "tests.forked.server", executable, kind, owner],
                cwd=os.path.join(os.path.dirname(__file__), "..", ".."),
                env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                check=True,
            )
            connection = connected()
    assert connection
    return connection


closed = []
for number in (0, 1, 2):  # where one is closed, what is opened next gets its number
    try:
        os.fstat(number)
    except OSError:
        closed.append(os.open(os.devnull, os.O_RDWR))

connection = connected() or started()
ignored = [number for number in SIGNALS if getsignal(number) is SIG_IGN]
for number in SIGNALS:
    if number not in ignored:
        signal(number, lambda number, _: connection.send(bytes([number])))
lists = [" ".join(map(str, numbers)) for numbers in (ignored, closed)]
asked = [*lists, os.getcwd(), str(len(arguments)), *arguments]
asked += [f"{name}={value}" for name, value in os.environ.items()]
message = os.fsencode("\0".join(asked))
streams = b"".join(stream.to_bytes(4, sys.byteorder) for stream in (0, 1, 2))
connection.sendmsg([len(message).to_bytes(4, "big")], [(SOL_SOCKET, SCM_RIGHTS, streams)])
connection.sendall(message)
code = int.from_bytes(connection.recv(4) or b"\xff\xff\xff\xf7", "big", signed=True)  # killed, where nobody answers
if code < 0:
    signal(-code, SIG_DFL) if -code != SIGKILL else None
    os.kill(os.getpid(), -code)
os._exit(code)
