"""SOCKET: imports the trainer, and forks one for each connection, until standard input ends."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import sys
from typing import Any

import torch

import metaqnn_trainer.__main__
import metaqnn_trainer.bundle
import metaqnn_trainer.trial
import metaqnn_trainer.worker


def serve(address: str) -> dict[str, Any]:
    """Wait for connections. Returns what is asked, in the process that was forked for it."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(100)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener.fileno(), 0], [], [])
            if 0 in ready:
                os._exit(0)
            connection, _ = listener.accept()
            if not os.fork():
                break
            connection.close()
    with connection:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        size, streams, _, _ = socket.recv_fds(connection, 4, 3)
        asked: dict[str, Any] = json.loads(connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
        if trainer := os.fork():
            watch(connection, trainer)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    return asked


def watch(connection: socket.socket, trainer: int) -> None:
    """Pass signals on until the trainer ends. It is killed where the connection ends: its stand-in was."""
    end = os.pidfd_open(trainer)
    while end not in select.select([connection.fileno(), end], [], [])[0]:
        for number in connection.recv(100) or [signal.SIGKILL]:
            os.kill(trainer, number)
    code = os.waitstatus_to_exitcode(os.waitpid(trainer, 0)[1])
    try:
        connection.sendall(code.to_bytes(4, "big", signed=True))
    finally:
        os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # what has ended is forgotten
    asked = serve(sys.argv[1])
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    if threads := os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(threads))
    try:
        code = metaqnn_trainer.__main__.main(asked["arguments"])
    except SystemExit as end:
        code = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)  # tearing all down, which the server imported, takes most of a second
