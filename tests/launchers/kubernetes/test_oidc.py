"""Identity tokens and their issuers."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import urllib3
import yaml

from metaqnn_orch.errors import LauncherError
from metaqnn_orch.launchers.kubernetes.kubeconfig import KubeconfigEntry
from metaqnn_orch.launchers.kubernetes.oidc import id_token
from tests.launchers.kubernetes.conftest import FakeCluster
from tests.launchers.kubernetes.place import Place


def jwt(seconds: float) -> str:
    body = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + seconds}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{body}.c2ln"


@contextmanager
def serving_pages(pages: Any) -> Iterator[str]:
    """A web server: from method and path to status and body; it is told the request's body and headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            status, content = pages(self.command, self.path, body, self.headers)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_any  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def oidc(issuer: str, token: str) -> dict[str, Any]:
    config = {"idp-issuer-url": issuer, "client-id": "k", "client-secret": "s3cret", "refresh-token": "refresh-1"}
    return {"auth-provider": {"name": "oidc", "config": {**config, "id-token": token}}}


def test_an_expired_identity_is_asked_for_anew_and_kept(place: Place, cluster: FakeCluster) -> None:
    fresh, asked = jwt(3600), []

    def pages(method: str, path: str, body: str, headers: Any) -> tuple[int, bytes]:
        asked.append((method, path, body))
        if method == "GET":
            return 200, json.dumps({"token_endpoint": f"{issuer}/token"}).encode()
        return 200, json.dumps({"id_token": fresh, "refresh_token": "refresh-2"}).encode()

    cluster.api.token = fresh
    with serving_pages(pages) as issuer:
        place.user = oidc(issuer, jwt(-5))
        place.write()
        place.file.chmod(0o600)
        assert place.is_let_in()
        assert asked[0][:2] == ("GET", "/.well-known/openid-configuration")
        assert "refresh_token=refresh-1" in asked[1][2]
        kept = yaml.safe_load(place.file.read_text())["users"][0]["user"]["auth-provider"]["config"]
        assert (kept["id-token"], kept["refresh-token"], kept["client-id"]) == (fresh, "refresh-2", "k")
        assert place.file.stat().st_mode & 0o777 == 0o600
        assert place.is_let_in()
        assert len(asked) == 2, "what is good is not asked for again"


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, b"<html>", "gives no new one: 500"),
        (200, b"[]", "gives no new one"),
        (200, b"{}", "gives no new one"),
        (400, b'{"error": "invalid_grant", "error_description": "refresh_token=refresh-1"}', "400 invalid_grant"),
    ],
)
def test_issuers_that_give_no_identity(place: Place, status: int, body: bytes, words: str) -> None:
    def pages(method: str, path: str, sent: str, headers: Any) -> tuple[int, bytes]:
        if method == "GET" and status == 400:
            return 200, json.dumps({"token_endpoint": f"{issuer}/token"}).encode()
        return status, body

    with serving_pages(pages) as issuer:
        place.user = oidc(issuer, jwt(-5))
        place.write()
        error = place.refused(words)
        assert "refresh-1" not in str(error)
        assert "s3cret" not in str(error)


def test_an_issuer_that_says_nothing_is_not_waited_for_long(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        user = oidc(f"http://127.0.0.1:{silent.getsockname()[1]}", jwt(-5))
        provider = KubeconfigEntry(place.file, "user u, auth-provider", user["auth-provider"])
        began = time.monotonic()
        with pytest.raises(LauncherError, match="Read timed out"):
            id_token(provider, urllib3.Timeout(total=0.5))
        assert time.monotonic() - began < 5.0
