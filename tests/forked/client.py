"""SOCKET ARGUMENT…: stands for the process that the server forks for these arguments."""

import json
import os
import signal
import socket
import sys

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)

connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
asked = json.dumps({"arguments": sys.argv[2:], "folder": os.getcwd(), "environment": dict(os.environ)}).encode()  # noqa: PTH109
for number in SIGNALS:
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, lambda number, _: connection.send(bytes([number])))
socket.send_fds(connection, [len(asked).to_bytes(4, "big")], [0, 1, 2])
connection.sendall(asked)
code = int.from_bytes(connection.recv(4), "big", signed=True)
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
    os.kill(os.getpid(), -code)
os._exit(code)
