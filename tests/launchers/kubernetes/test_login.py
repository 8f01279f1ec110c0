"""Tokens, token files and login helpers, those that fail and come back among them."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from metaqnn_orch.errors import LauncherError
from metaqnn_orch.launchers.kubernetes.cluster import Cluster, Resource
from metaqnn_orch.launchers.kubernetes.credentials import connect
from metaqnn_orch.launchers.kubernetes.kubeconfig import KubeconfigEntry
from metaqnn_orch.launchers.kubernetes.login import log_in
from tests.launchers.harness import until
from tests.launchers.kubernetes.conftest import FakeCluster
from tests.launchers.kubernetes.double.api import Fault
from tests.launchers.kubernetes.place import TOKEN, Place


def test_a_token_is_trimmed_and_a_token_file_is_followed(place: Place, cluster: FakeCluster) -> None:
    (place.folder / "token").write_text(f"\n{TOKEN}\n\n")
    place.user = {"tokenFile": "token"}
    place.write()
    session = Cluster(connect)
    assert session.list(Resource.JOBS).items == []
    cluster.api.token = "of-tomorrow"
    (place.folder / "token").write_text("of-tomorrow\n")
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
}


@pytest.mark.parametrize(("script", "words"), HELPERS.items())
def test_login_helpers_that_fail(place: Place, script: str, words: str) -> None:
    place.helper(script)
    place.refused(words)


def test_a_login_helper_that_does_not_end(place: Place) -> None:
    place.helper("echo waiting for you >&2; sleep 600 & sleep 600")
    user, cluster = (
        KubeconfigEntry(place.file, "user u", place.user),
        KubeconfigEntry(place.file, "cluster c", place.cluster),
    )
    began = time.monotonic()
    with pytest.raises(LauncherError, match="did not end within 1 s: waiting for you"):
        log_in(user, cluster, helper_seconds=1.0)
    assert time.monotonic() - began < 10.0, "what it started is ended, too"


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
