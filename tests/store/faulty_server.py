"""An HTTP server on the loopback that answers as a script says: by itself, or by passing the request on to a real
server and then, perhaps, losing the reply."""

from __future__ import annotations

import http.client
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import MappingProxyType
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """What to send back instead of the real server's answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({"Content-Type": "application/xml"})


def error(status: int, code: str, message: str = "as the test wants it") -> Answer:
    """An error as S3 words it."""
    return Answer(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


def page(status: int, **headers: str) -> Answer:
    """What is made for people: by a console, a login, an ingress, a proxy."""
    body = b"<html><head><title>Welcome</title></head><body><p>Please sign in</p></body></html>"
    return Answer(status, body, {"Content-Type": "text/html; charset=utf-8", **headers})


Reaction = Answer | Literal["pass on", "lose the reply", "cut the reply", "hang up"]
Script = Callable[[str, int], Reaction]
"""From the method and the number of the request, from 0, to what shall happen to it."""


def sequence(*reactions: Reaction) -> Script:
    """One reaction after the other, then everything is passed on."""
    return lambda _method, number: reactions[number] if number < len(reactions) else "pass on"


def always(reaction: Reaction) -> Script:
    return lambda _method, _number: reaction


@contextmanager
def faulty_server(
    script: Script, upstream: str = "", tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, Sequence[str]]]:
    """The server's URL, and the methods asked of it so far."""
    asked: list[str] = []
    lock = Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                number = len(asked)
                asked.append(self.command)
            reaction = script(self.command, number)
            if isinstance(reaction, Answer):
                self.answer(reaction.status, list(reaction.headers.items()), reaction.body)
            elif reaction == "hang up":
                self.hang_up()
            else:
                connection = http.client.HTTPConnection(urlsplit(upstream).netloc, timeout=20)
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() != "expect":
                        connection.putheader(name, value)
                connection.endheaders(body)
                reply = connection.getresponse()
                content = reply.read()
                connection.close()
                if reaction == "lose the reply":
                    self.hang_up()
                elif reaction == "cut the reply":
                    self.answer(reply.status, reply.getheaders(), content, sent=len(content) // 2)
                    self.hang_up()
                else:
                    self.answer(reply.status, reply.getheaders(), content)

        def answer(self, status: int, headers: Sequence[tuple[str, str]], body: bytes, sent: int | None = None) -> None:
            self.send_response_only(status)
            length = str(len(body))
            for name, value in headers:
                if name.lower() == "content-length" and self.command == "HEAD":
                    length = value  # of what GET would have
                elif name.lower() not in ("content-length", "connection", "transfer-encoding"):
                    self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[:sent])

        def hang_up(self) -> None:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

        do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = handle_any  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False  # a client may keep its connection open for as long as it likes

        def handle_error(self, request: Any, client_address: Any) -> None:
            if not isinstance(sys.exception(), ConnectionError):  # a client that left is no error of anybody
                super().handle_error(request, client_address)

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
