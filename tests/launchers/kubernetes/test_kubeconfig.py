"""Kubeconfigs as people have them: whole, wrong, in several files. What is wrong takes one line, without a secret."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Cli, cli
from tests.launchers.harness import until
from tests.launchers.kubernetes.conftest import FakeCluster
from tests.launchers.kubernetes.double.api import Fault
from tests.launchers.kubernetes.place import TOKEN, Place

__all__ = ["cli"]


CASES = Path(__file__).parents[3].parent / "shared" / "cases" / "kubeconfigs"


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


IN_MID_SESSION = ("k2-empty", "k4-empty", "k5-nulls", "k8-exec-fails", "k12-tab", "k15d-missingca")
"""One of each kind: it is not accepted, it is empty, the context is gone, a login helper fails, it is no YAML, one of
its files is missing. What a login may raise besides, test_supervision.py has."""


@pytest.mark.parametrize("name", IN_MID_SESSION)
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
    assert place.is_let_in("lab")
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
    "text": ("hello", "is not a kubeconfig"),
    "binary": ("\x00\x01", "not"),
    "a date that is none": ("a: 2020-99-99", "it is not YAML"),
    "a tag": ("a: !!python/object:os.system {}", "line 1"),
    "contexts that are no list": ("{current-context: a, contexts: {a: 1}}", "contexts is not a list"),
    "a context that is none": ("{current-context: a, contexts: [3]}", "not a mapping with a name"),
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
    ({"server": {"a": 1}}, {}, "server is not a text"),
    ({"server": "https://x", "certificate-authority-data": "???"}, {}, "certificate-authority"),
    ({"server": "https://x", "certificate-authority-data": "aGVsbG8="}, {}, "holds no certificate"),
    ({"server": "https://x", "insecure-skip-tls-verify": "yes"}, {}, "neither true nor false"),
    ({"proxy-url": "socks5://x:1"}, {}, "only http:// and https:// proxies"),
    ({}, {"token": {"a": 1}}, "token is not a text"),
    ({}, {"token": f"{TOKEN}\n  x"}, "contains white space"),
    ({}, {"tokenFile": "/no/file"}, "tokenFile /no/file: No such file"),
    ({}, {"auth-provider": {"name": "gcp"}}, "auth-provider gcp is not supported"),
    ({}, {"exec": {"command": ""}}, "it names no command"),
    ({}, {"exec": {"command": "x", "env": [3]}}, "env is not a list of names and values"),
    ({}, {"exec": {"command": "x", "args": 3}}, "args is not a list of texts"),
    ({}, {"exec": 3}, "exec is not a mapping"),
    ({}, {"token": TOKEN, "as-groups": ["a"]}, "need as"),
    ({}, {"token": TOKEN, "as": "a", "as-user-extra": {"b": ["c"]}}, "as-user-extra is not supported"),
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
    place.refused("there is no kubeconfig, and this is not inside a Pod")
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
    assert place.is_let_in()
