"""INTERPRETER EXECUTABLE OWNER PYTHONPATH ARGUMENT…: stands for the process that the server forks for these arguments.
It starts the server where there is none.
"""
# ruff: noqa: PTH109, PTH118, PTH120, PTH123
# pathlib costs more than all that is done here.

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)

interpreter, executable, owner, path, *arguments = sys.argv[1:]
ours = arguments[:2] in (["-m", "metaqnn_orch"], ["-m", "metaqnn_trainer"]) or arguments[0][:1] != "-"
there = "--multiprocessing-fork" not in arguments and os.environ.get("PYTHONPATH", "") == path
if not (there and (ours or arguments[0] == "-c")):
    os.execv(interpreter, [interpreter, *arguments])


def connected() -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(f"{executable}.socket")
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    return connection


def started() -> socket.socket:
    import subprocess

    with open(f"{executable}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (connection := connected()):
            subprocess.run(
                [interpreter, "-m", "tests.forked.server", executable, owner],
                cwd=os.path.join(os.path.dirname(__file__), "..", ".."),
                env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                check=True,
            )
            connection = connected()
    assert connection
    return connection


connection = connected() or started()
ignored = [number for number in SIGNALS if signal.getsignal(number) is signal.SIG_IGN]
for number in SIGNALS:
    if number not in ignored:
        signal.signal(number, lambda number, _: connection.send(bytes([number])))
asked = {"arguments": arguments, "ignored": ignored, "folder": os.getcwd(), "environment": dict(os.environ)}
message = json.dumps(asked).encode()
socket.send_fds(connection, [len(message).to_bytes(4, "big")], [0, 1, 2])
connection.sendall(message)
code = int.from_bytes(connection.recv(4), "big", signed=True)
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
    os.kill(os.getpid(), -code)
os._exit(code)
