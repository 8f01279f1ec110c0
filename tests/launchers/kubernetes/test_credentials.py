"""Kubeconfigs as people have them, logins that fail and come back, proxies, other people's rights; and that nobody's
secret is ever printed."""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from metaqnn_orch.errors import ClusterError, LauncherError
from metaqnn_orch.launchers.kubernetes import login
from metaqnn_orch.launchers.kubernetes.cluster import Cluster, Resource
from metaqnn_orch.launchers.kubernetes.credentials import connect
from metaqnn_orch.launchers.kubernetes.transport import environment_proxy
from tests.cli.conftest import Cli, cli
from tests.launchers.harness import until
from tests.launchers.kubernetes.conftest import NAMESPACE, FakeCluster
from tests.launchers.kubernetes.double.api import Fault
from tests.launchers.kubernetes.double.authority import Authority, make_authority

__all__ = ["cli"]

CASES = Path(__file__).parents[3].parent / "shared" / "cases" / "kubeconfigs"
TOKEN = "secret-token"


class Place:
    """A folder with a kubeconfig, which leads to the double."""

    def __init__(self, folder: Path, cluster: FakeCluster) -> None:
        self.folder = folder
        self.url = cluster.url
        self.file = folder / "config"
        self.cluster: dict[str, Any] = {"server": cluster.url}
        self.user: dict[str, Any] = {"token": TOKEN}
        self.context: dict[str, Any] = {"cluster": "c", "user": "u", "namespace": NAMESPACE}
        self.write()

    def write(self, **changes: Any) -> Path:
        """What is said of cluster, user and context, and at the top."""
        content = {
            "current-context": "lab",
            "contexts": [{"name": "lab", "context": self.context}],
            "clusters": [{"name": "c", "cluster": self.cluster}],
            "users": [{"name": "u", "user": self.user}],
            **changes,
        }
        self.file.write_text(yaml.safe_dump(content))
        return self.file

    def helper(self, script: str, **more: Any) -> None:
        """A login helper that runs this, of a shell."""
        path = self.folder / "helper.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        version = "client.authentication.k8s.io/v1"
        self.user = {"exec": {"apiVersion": version, "command": "./helper.sh", **more}}
        self.write()

    def answers(self, **status: str) -> str:
        """A script that answers so."""
        credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
        return f"printf %s {shlex.quote(json.dumps(credential))}"

    def refused(self, words: str, context: str | None = None) -> LauncherError:
        """Why there is no connection: one line, which holds `words` and no secret."""
        with pytest.raises(LauncherError) as raised:
            Cluster(connect, context=context)
        message = str(raised.value)
        assert words in message
        assert f"{message}{raised.value.hint}".isprintable()
        assert TOKEN not in message + raised.value.hint
        assert raised.value.exit_code == 6
        return raised.value


@pytest.fixture
def place(tmp_path: Path, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path, cluster)
    monkeypatch.setenv("KUBECONFIG", str(made.file))
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return made


def is_let_in(context: str | None = None) -> bool:
    cluster = Cluster(connect, context=context)
    return cluster.namespace == NAMESPACE and cluster.list(Resource.JOBS).items == []


WRONG = {
    "k2-empty": ("names no current context; contexts: lab", None),
    "k2-nocurrent": ("names no current context; contexts: lab", None),
    "k4-empty": ("is empty", None),
    "k5-nulls": ("names no current context; there is none", None),
    "k12-tab": ("line 4: found character '\\t' that cannot start any token", None),
    "k6-noplugin": ("login helper gke-gcloud-auth-plugin cannot be started", "Install gke-gcloud-auth-plugin"),
    "k8-exec-fails": ("exit code 1: your session has expired, log in again", None),
    "k15d-missingca": ("certificate-authority /nowhere/ca.crt: No such file", None),
    "k18-oidc": ("its id-token has expired, and the issuer https://127.0.0.1:1/realms/x does not answer", None),
    "k19c-no-user": ("user nobody is not in the kubeconfig", None),
}
"""What is said of those that lead nowhere, and the hint where it is of interest."""
LEADING = ("good", "k11-token-newline", "k2-empty", "k2-nocurrent", "k23-impersonate")
ELSEWHERE = ("k13-proxyurl", "k15b-noca")
"""They lead to servers of TLS, and have tests of their own."""


@pytest.fixture
def case(place: Place, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts one of the collected kubeconfigs in place."""
    if not CASES.is_dir():
        pytest.skip("the collected kubeconfigs are not here")

    monkeypatch.setenv("PATH", "/no/programs")  # somebody may have installed the login helpers

    def put(name: str) -> None:
        text = (CASES / f"{name}.yaml").read_text().replace("http://127.0.0.1:40701", place.url)
        place.file.write_text(text)
        helper = place.folder / "failing-login-helper.sh"
        helper.write_bytes((CASES / helper.name).read_bytes())
        helper.chmod(0o700)

    return put


@pytest.mark.parametrize("name", WRONG)
def test_collected_kubeconfigs_that_lead_nowhere(
    place: Place, case: Any, cli: Cli, s3_store_uri: str, name: str
) -> None:
    case(name)
    words, hint = WRONG[name]
    began = time.monotonic()
    error = place.refused(words)
    assert time.monotonic() - began < 30.0
    assert str(place.file) in str(error)
    assert (hint or "") in error.hint
    start = ("start", "digits", "--run=a", f"--store={s3_store_uri}", "--launcher=kubernetes")
    settings = ("--set=execution.kubernetes.image=i", "--set=execution.kubernetes.store_endpoint=http://s:1")
    assert words in cli(*start, *settings).refused(6)


@pytest.mark.parametrize("name", WRONG)
def test_the_same_kubeconfigs_in_mid_session(place: Place, cluster: FakeCluster, case: Any, name: str) -> None:
    cluster.api.faults = lambda ask: Fault(watch_seconds=1.1)
    search = cluster.launcher()
    search.observe()
    cluster.api.token = "of-tomorrow"
    case(name)
    # A context that was found once is not asked for again by its being the current one.
    words = {"k5-nulls": "has no context 'lab'; there is none"}.get(name, WRONG[name][0])
    if name in LEADING:
        words = "401"
    until(lambda: search.observe() is not None and words in search.trouble)
    assert search.trouble.isprintable()
    assert TOKEN not in search.trouble
    place.user["token"] = "of-tomorrow"
    place.write()
    until(lambda: search.observe() is not None and search.trouble == "")


@pytest.mark.parametrize("name", LEADING)
def test_collected_kubeconfigs_that_lead_to_a_cluster(place: Place, cluster: FakeCluster, case: Any, name: str) -> None:
    case(name)
    assert is_let_in("lab")
    asked = cluster.api.asked[-1].headers
    assert asked["Authorization"] == f"Bearer {TOKEN}"
    if name == "k23-impersonate":
        assert (asked["Impersonate-User"], asked.get_all("Impersonate-Group")) == ("restricted-user", ["interns"])


def test_every_collected_kubeconfig_is_tested() -> None:
    if not CASES.is_dir():
        pytest.skip("the collected kubeconfigs are not here")
    assert {path.stem for path in CASES.glob("*.yaml")} == {*WRONG, *LEADING, *ELSEWHERE}


MALFORMED: dict[str, tuple[str, str]] = {
    "a list": ("[]", "is empty"),
    "text": ("hello", "it is no kubeconfig"),
    "binary": ("\x00\x01", "not"),
    "a date that is none": ("a: 2020-99-99", "it is not YAML"),
    "a tag": ("a: !!python/object:os.system {}", "line 1"),
    "contexts that are no list": ("{current-context: a, contexts: {a: 1}}", "contexts is no list"),
    "a context that is none": ("{current-context: a, contexts: [3]}", "no mapping with a name"),
    "a context without cluster": ("{current-context: a, contexts: [{name: a, context: {}}]}", "it names no cluster"),
    "a cluster that is not there": (
        "{current-context: a, contexts: [{name: a, context: {cluster: b}}]}",
        "cluster b is not in the kubeconfig",
    ),
    "a cluster without server": (
        "{current-context: a, contexts: [{name: a, context: {cluster: b}}], clusters: [{name: b}]}",
        "it has no server",
    ),
}


@pytest.mark.parametrize(("text", "words"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_files(place: Place, text: str, words: str) -> None:
    place.file.write_text(text)
    assert str(place.file) in str(place.refused(words))


FIELDS: tuple[tuple[dict[str, Any], dict[str, Any], str], ...] = (
    ({"server": 3}, {}, "is no URL"),
    ({"server": "ftp://x"}, {}, "is no URL"),
    ({"server": {"a": 1}}, {}, "server is no text"),
    ({"server": "https://x", "certificate-authority-data": "???"}, {}, "certificate-authority"),
    ({"server": "https://x", "certificate-authority-data": "aGVsbG8="}, {}, "holds no certificate"),
    ({"server": "https://x", "insecure-skip-tls-verify": "yes"}, {}, "neither true nor false"),
    ({"proxy-url": "socks5://x:1"}, {}, "only proxies of http:// and https://"),
    ({}, {"token": {"a": 1}}, "token is no text"),
    ({}, {"token": f"{TOKEN}\n  x"}, "holds what no token can"),
    ({}, {"tokenFile": "/no/file"}, "tokenFile /no/file: No such file"),
    ({}, {"auth-provider": {"name": "gcp"}}, "auth-provider gcp is not spoken here"),
    ({}, {"exec": {"command": ""}}, "it names no command"),
    ({}, {"exec": {"command": "x", "env": [3]}}, "env is no list of names and values"),
    ({}, {"exec": {"command": "x", "args": 3}}, "args is no list of texts"),
    ({}, {"exec": 3}, "exec is no mapping"),
    ({}, {"token": TOKEN, "as-groups": ["a"]}, "say nothing without as"),
    ({}, {"token": TOKEN, "as": "a", "as-user-extra": {"b": ["c"]}}, "as-user-extra is not spoken here"),
    ({"server": "https://x"}, {"client-certificate-data": "aGVsbG8="}, "certificate and key cannot be used"),
)


@pytest.mark.parametrize(("cluster_says", "user_says", "words"), FIELDS)
def test_fields_that_are_wrong(place: Place, cluster_says: Any, user_says: Any, words: str) -> None:
    place.cluster |= cluster_says
    place.user = user_says
    place.write()
    place.refused(words)


def test_no_kubeconfig_at_all(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.file.unlink()
    place.refused("there is no kubeconfig, and this is no Pod")
    place.refused("there is no kubeconfig", context="lab")
    monkeypatch.setenv("KUBECONFIG", str(place.folder))
    place.refused("Is a directory")


def test_several_files_of_which_the_first_that_says_something_counts(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, empty = (place.folder / name for name in ("one", "two", "empty"))
    empty.write_text("")
    one.write_text(yaml.safe_dump({"current-context": "lab", "users": [{"name": "u", "user": {"token": TOKEN}}]}))
    place.user = {"token": "another"}
    place.write(**{"current-context": "no-such"}).rename(two)
    files = [str(path) for path in (place.folder / "no-such", empty, one, two)]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(files))
    assert is_let_in()


def test_a_token_is_trimmed_and_a_token_file_is_followed(place: Place, cluster: FakeCluster) -> None:
    (place.folder / "token").write_text(f"\n{TOKEN}\n\n")
    place.user = {"tokenFile": "token"}
    place.write()
    session = Cluster(connect)
    assert session.list(Resource.JOBS).items == []
    cluster.api.token = "of-tomorrow"
    (place.folder / "token").write_text("of-tomorrow\n")
    assert session.list(Resource.JOBS).items == []


def test_what_takes_us_for_anybody_is_asked_again_with_credentials_read_anew(
    place: Place, cluster: FakeCluster
) -> None:
    session = Cluster(connect)
    anybody = b'{"reason": "Forbidden", "message": "jobs is forbidden: User \\"system:anonymous\\" cannot list"}'
    cluster.api.faults = lambda ask: (
        Fault(status=403, body=anybody) if ask.headers["Authorization"] == f"Bearer {TOKEN}" else Fault()
    )
    with pytest.raises(ClusterError, match="system:anonymous") as raised:
        session.list(Resource.JOBS)
    assert "the credentials are not accepted" in raised.value.hint
    cluster.api.token = place.user["token"] = "of-tomorrow"
    place.write()
    assert session.list(Resource.JOBS).items == []


def test_a_login_helper(place: Place, cluster: FakeCluster) -> None:
    note = place.folder / "note"
    place.helper(
        f'echo "$KUBERNETES_EXEC_INFO" "$1" "$FOO" >> {note}; cat token',
        args=["--now"],
        env=[{"name": "FOO", "value": "bar"}],
        provideClusterInfo=True,
    )
    (place.folder / "helper.sh").write_text(
        (place.folder / "helper.sh").read_text().replace("cat token", f"cat {place.folder}/answer")
    )

    def answer(**status: str) -> None:
        (place.folder / "answer").write_text(subprocess.check_output(["sh", "-c", place.answers(**status)], text=True))

    answer(token=f"{TOKEN}\n")
    session = Cluster(connect)
    assert session.list(Resource.JOBS).items == []
    told, words = note.read_text().rsplit("}", 1)
    assert words.split() == ["--now", "bar"]
    assert json.loads(told + "}")["spec"] == {"interactive": False, "cluster": {"server": place.url}}
    assert len(note.read_text().splitlines()) == 1, "asked once"
    cluster.api.token = "of-tomorrow"
    answer(token="of-tomorrow", expirationTimestamp="2001-01-01T00:00:00Z")
    assert session.list(Resource.JOBS).items == []
    assert len(note.read_text().splitlines()) == 2
    for _ in range(5):
        session.list(Resource.JOBS)
    assert len(note.read_text().splitlines()) == 2, "what is good for a moment only is not asked for at every call"


HELPERS = {
    "exit 3": "exit code 3: it said nothing",
    "echo 'Authorization: Bearer secret-token' >&2; exit 1": "Authorization: Bearer ***",
    'echo \'{"token": "secret-token"}\' >&2; exit 1': '"token": "***"',
    "echo no json": "answered no ExecCredential",
    "echo '[]'": "answered no ExecCredential",
    "echo '{}'": "answered no ExecCredential",
    "echo '{\"status\": null}'": "answered no ExecCredential",
    'echo \'{"status": {}, "apiVersion": "v7"}\'': "answered in v7 instead of client.authentication.k8s.io/v1",
    'echo \'{"status": {}, "apiVersion": "client.authentication.k8s.io/v1"}\'': "neither token nor certificate",
    "echo waiting for you >&2; sleep 600 & sleep 600": "did not end within 1 s: waiting for you",
}


@pytest.mark.parametrize(("script", "words"), HELPERS.items())
def test_login_helpers_that_fail(place: Place, monkeypatch: pytest.MonkeyPatch, script: str, words: str) -> None:
    monkeypatch.setattr(login, "HELPER_SECONDS", 1.0)
    place.helper(script)
    began = time.monotonic()
    place.refused(words)
    assert time.monotonic() - began < 10.0


def test_a_login_helper_that_wants_a_terminal(place: Place) -> None:
    place.helper(place.answers(token=TOKEN), interactiveMode="Always")
    place.refused("needs a terminal")


def test_a_login_helper_that_fails_in_mid_session_is_asked_again_but_not_by_everybody(
    place: Place, cluster: FakeCluster
) -> None:
    note = place.folder / "note"
    place.helper(place.answers(token=TOKEN))
    cluster.api.faults = lambda ask: Fault(watch_seconds=1.1)
    search = cluster.launcher()
    search.observe()
    cluster.api.token = "of-tomorrow"
    began = time.monotonic()
    place.helper(f"echo >> {note}; echo Bearer of-yesterday: session expired >&2; exit 1")
    search.launch(cluster.request("delivers"), 1)
    until(lambda: "session expired" in search.trouble)
    assert "of-yesterday" not in search.trouble
    assert len(note.read_text().splitlines()) <= 2 + time.monotonic() - began
    place.helper(place.answers(token="of-tomorrow"))
    until(lambda: search.observe() is not None and search.trouble == "")
    until(lambda: len(cluster.started()) == 1)


def test_a_search_is_not_sent_elsewhere_in_its_midst(
    place: Place, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Cluster(connect)
    other = {"name": "other", "context": {"cluster": "d", "user": "u"}}
    clusters = [{"name": "c", "cluster": place.cluster}, {"name": "d", "cluster": {"server": "http://127.0.0.1:1"}}]
    contexts = [{"name": "lab", "context": place.context}, other]
    cluster.api.token = place.user["token"] = "of-tomorrow"
    place.write(**{"current-context": "other", "contexts": contexts, "clusters": clusters})
    assert session.list(Resource.JOBS).items == [], "the context that it began with"
    cluster.api.token = "of-the-day-after"
    place.cluster = {"server": "http://127.0.0.1:1"}
    place.write()
    with pytest.raises(ClusterError, match=r"lead to http://127.0.0.1:1 now, and led to"):
        session.list(Resource.JOBS)
    place.file.unlink()
    time.sleep(1.1)
    with pytest.raises(ClusterError, match="there is no kubeconfig"):
        session.list(Resource.JOBS)


def test_rights_of_others_are_asked_for_with_every_request(place: Place, cluster: FakeCluster) -> None:
    place.user |= {"as": "ada", "as-uid": "7", "as-groups": ["interns", "a, b"]}
    place.write()
    session = Cluster(connect)
    session.list(Resource.JOBS)
    session.may("create", "jobs", "batch")
    assert len(cluster.api.asked) == 2
    for ask in cluster.api.asked:
        assert ask.headers.get_all("Impersonate-User") == ["ada"]
        assert ask.headers.get_all("Impersonate-Uid") == ["7"]
        assert ask.headers.get_all("Impersonate-Group") == ["interns", "a, b"]


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
        assert is_let_in()
        assert asked[0][:2] == ("GET", "/.well-known/openid-configuration")
        assert "refresh_token=refresh-1" in asked[1][2]
        kept = yaml.safe_load(place.file.read_text())["users"][0]["user"]["auth-provider"]["config"]
        assert (kept["id-token"], kept["refresh-token"], kept["client-id"]) == (fresh, "refresh-2", "k")
        assert place.file.stat().st_mode & 0o777 == 0o600
        assert is_let_in()
        assert len(asked) == 2, "what is good is not asked for again"


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, b"<html>", "gives no other: 500"),
        (200, b"[]", "gives no other"),
        (200, b"{}", "gives no other"),
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


def test_an_issuer_that_says_nothing_is_not_waited_for_long(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    import urllib3

    monkeypatch.setattr("metaqnn_orch.launchers.kubernetes.oidc._ONCE", {"timeout": urllib3.Timeout(total=0.5)})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place.user = oidc(f"http://127.0.0.1:{silent.getsockname()[1]}", jwt(-5))
        place.write()
        began = time.monotonic()
        place.refused("Read timed out")
        assert time.monotonic() - began < 5.0


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
        assert is_let_in()


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
        assert is_let_in()
        status = {"clientCertificateData": certificate.read_text(), "clientKeyData": key.read_text(), "token": TOKEN}
        place.helper(place.answers(**status))
        assert is_let_in(), "as a login helper has them"
        assert list(Path(tmp_path).glob("tmp*")) == []
        del place.cluster["tls-server-name"]
        place.write()
        with pytest.raises(ClusterError, match="certificate"):
            is_let_in()


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
        assert is_let_in()
        basic = base64.b64encode(b"me:p@ss").decode()
        assert asked == [("api.test.example:18443", f"Basic {basic}")]
    with pytest.raises(ClusterError) as raised:
        is_let_in()
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


def test_inside_a_pod(place: Place, cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = make_authority(tmp_path)
    account = tmp_path / "account"
    account.mkdir()
    place.file.unlink()
    monkeypatch.setattr("metaqnn_orch.launchers.kubernetes.credentials.SERVICE_ACCOUNT", account)
    module = "kubernetes.config.incluster_config"
    monkeypatch.setattr(f"{module}.SERVICE_TOKEN_FILENAME", str(account / "token"))
    monkeypatch.setattr(f"{module}.SERVICE_CERT_FILENAME", str(account / "ca.crt"))
    (account / "ca.crt").write_bytes(authority.certificate.read_bytes())
    (account / "token").write_text(f"{TOKEN}\n")
    (account / "namespace").write_text(f"{NAMESPACE}\n")
    with cluster.serve_anew(authority.server("127.0.0.1")) as url:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", url.rpartition(":")[2])
        session = Cluster(connect)
        assert session.namespace == NAMESPACE
        assert session.list(Resource.JOBS).items == []
        cluster.api.token = "of-tomorrow"
        (account / "token").write_text("of-tomorrow")
        assert session.list(Resource.JOBS).items == [], "the kubelet has written another"
        place.write()
        cluster.api.token = "of-the-day-after"
        with pytest.raises(ClusterError, match="the credentials lead to"):
            session.list(Resource.JOBS)
        assert not session.disowned, "it was not asked by the account of the Pod"
        place.file.unlink()
        time.sleep(1.1)
        with pytest.raises(ClusterError, match="401"):
            session.list(Resource.JOBS)
        assert session.disowned
        (account / "token").unlink()
        place.refused("there is no kubeconfig, and this is no Pod")
