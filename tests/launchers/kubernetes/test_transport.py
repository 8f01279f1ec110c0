"""Authorities, certificates, names and proxies."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from metaqnn_orch.errors import ClusterError
from metaqnn_orch.launchers.kubernetes.cluster import Cluster, Resource
from metaqnn_orch.launchers.kubernetes.credentials import connect
from metaqnn_orch.launchers.kubernetes.transport import environment_proxy
from tests.authority import Authority, make_authority
from tests.launchers.kubernetes.conftest import FakeCluster
from tests.launchers.kubernetes.place import TOKEN, Place


def test_an_authority_that_is_not_ours(place: Place, cluster: FakeCluster, tmp_path: Path) -> None:
    with cluster.serve_anew(make_authority(tmp_path).server("127.0.0.1")) as url:
        place.cluster = {"server": url}
        place.write()
        session = Cluster(connect)
        with pytest.raises(ClusterError, match="certificate verify failed") as raised:
            session.list(Resource.JOBS)
        assert "it names no certificate-authority" in raised.value.hint
        assert str(place.file) in raised.value.hint
        place.cluster["insecure-skip-tls-verify"] = True
        place.write()
        assert place.is_let_in()


def test_certificates_and_names(place: Place, cluster: FakeCluster, tmp_path: Path) -> None:
    authority: Authority = make_authority(tmp_path)
    context = authority.server("api.example")
    context.load_verify_locations(authority.certificate)
    context.verify_mode = 2  # type: ignore[assignment]
    with cluster.serve_anew(context) as url:
        certificate, key = authority.issue("ada")
        place.cluster = {"server": url, "certificate-authority": "ca.crt", "tls-server-name": "api.example"}
        place.user |= {"client-certificate": certificate.name, "client-key": key.name}
        place.write()
        assert place.is_let_in()
        status = {"clientCertificateData": certificate.read_text(), "clientKeyData": key.read_text(), "token": TOKEN}
        place.helper(place.answers(**status))
        assert place.is_let_in(), "as a login helper has them"
        assert list(Path(tmp_path).glob("tmp*")) == []
        del place.cluster["tls-server-name"]
        place.write()
        with pytest.raises(ClusterError, match="certificate"):
            place.is_let_in()


@pytest.mark.parametrize("by", ["proxy-url", "https_proxy", "HTTPS_PROXY"])
def test_a_proxy_is_obeyed(
    place: Place, cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    authority = make_authority(tmp_path)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # which serves no https
    with cluster.serve_anew(authority.server("api.test.example")) as url, tunnelling(url) as (proxy, asked):
        place.cluster = {"server": "https://api.test.example:18443", "certificate-authority": "ca.crt"}
        named = proxy.replace("//", "//me:p%40ss@")
        if by == "proxy-url":
            monkeypatch.setenv("NO_PROXY", "*")
            place.cluster["proxy-url"] = named
        else:
            monkeypatch.setenv(by, named)
        place.write()
        assert place.is_let_in()
        basic = base64.b64encode(b"me:p@ss").decode()
        assert asked == [("api.test.example:18443", f"Basic {basic}")]
    with pytest.raises(ClusterError) as raised:
        place.is_let_in()
    assert "p@ss" not in str(raised.value)
    assert "p%40ss" not in str(raised.value)
    assert "the proxy does not serve: HTTPSConnection(host='127.0.0.1'" in str(raised.value)


@contextmanager
def tunnelling(url: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A proxy whose every tunnel leads to `url`, and what was asked of it: where to, and by whom."""
    import socket
    from contextlib import suppress

    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            asked.append((self.path, self.headers.get("Proxy-Authorization", "")))
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as server:
                Thread(target=pass_on, args=(server, self.connection), daemon=True).start()
                pass_on(self.connection, server)

        def log_message(self, format: str, *args: object) -> None:
            pass

    def pass_on(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


PROXY = "http://proxy:1"


SPARED = (
    ("https://a.example.com", "example.com", True),
    ("https://example.com", "example.com", True),
    ("https://example.com", ".example.com", False),
    ("https://a.example.com", ".example.com", True),
    ("https://a.example.com", "*.example.com", True),
    ("https://badexample.com", "example.com", False),
    ("https://a.example.com:6443", "a.example.com:6443", True),
    ("https://a.example.com:6443", "a.example.com:443", False),
    ("https://10.1.2.3", "10.0.0.0/8", True),
    ("https://11.1.2.3", "10.0.0.0/8", False),
    ("https://10.1.2.3", "10.1.2.3", True),
    ("https://[fd00::1]:6443", "fd00::/8", True),
    ("https://A.example", "x, a.EXAMPLE ,y", True),
    ("https://a.example", "*", True),
    ("https://a.example", "", False),
    ("https://a.example", ", ,", False),
    ("https://localhost:1", "", True),
    ("https://127.0.0.1:1", "", True),
    ("https://[::1]:1", "", True),
)


@pytest.mark.parametrize(("url", "no_proxy", "spared"), SPARED)
def test_what_no_proxy_spares(monkeypatch: pytest.MonkeyPatch, url: str, no_proxy: str, spared: bool) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert environment_proxy(url) == ("" if spared else PROXY)
    assert environment_proxy(url.replace("https", "http")) == "", "each scheme has its own"
