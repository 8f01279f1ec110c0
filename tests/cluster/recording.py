"""An address of the API server that writes down what is asked of it, and passes everything on."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import urllib3
from kubernetes import client, config

_PATH: Final = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/[^/]+/namespaces/[^/]+/(?P<resource>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>[^/]+))?)?"
)
_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NOT_PASSED: Final = (
    "transfer-encoding",
    "content-length",
    "connection",
    "content-encoding",
    "accept-encoding",
    "host",
)


class Asked(NamedTuple):
    """A right that was used in some namespace, as a Role names it."""

    group: str
    resource: str
    verb: str


@contextmanager
def recorded() -> Iterator[tuple[str, set[Asked]]]:
    """A URL that passes on to the server of KUBECONFIG, with its credentials; and what was asked there."""
    config.load_kube_config()
    mine = client.Configuration.get_default_copy()
    pool = urllib3.PoolManager(
        maxsize=16, block=False, ca_certs=mine.ssl_ca_cert, cert_file=mine.cert_file, key_file=mine.key_file
    )
    asked: set[Asked] = set()

    class Handler(BaseHTTPRequestHandler):
        def _pass(self) -> None:
            if (seen := _right(self.command, self.path)) is not None:
                asked.add(seen)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            passed = {key: value for key, value in self.headers.items() if key.lower() not in _NOT_PASSED}
            answer = pool.request(
                self.command, mine.host + self.path, body=body or None, headers=passed, preload_content=False
            )
            self.send_response(answer.status)
            for key, value in answer.headers.items():
                if key.lower() not in _NOT_PASSED:
                    self.send_header(key, value)
            self.end_headers()
            try:
                while piece := answer.read1():
                    self.wfile.write(piece)
            except OSError:  # whoever watched has gone
                pass
            finally:
                answer.close()

        def log_message(self, format: str, *args: object) -> None:
            pass

    for method in ("GET", *_VERBS):
        setattr(Handler, f"do_{method}", Handler._pass)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()


def _right(method: str, path: str) -> Asked | None:
    parts = urlsplit(path)
    match = _PATH.fullmatch(parts.path)
    if match is None:
        return None
    if method == "GET":
        verb = "get" if match["name"] else "list"
        verb = "watch" if parse_qs(parts.query).get("watch", ["false"])[0] in ("true", "1") else verb
    else:
        verb = _VERBS[method] if match["name"] or method != "DELETE" else "deletecollection"
    return Asked(match["group"] or "", "/".join(filter(None, (match["resource"], match["sub"]))), verb)
