"""Credentials that are read again, where they lead, whose rights they ask for; and those of a Pod."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from metaqnn_orch.errors import ClusterError, LauncherError
from metaqnn_orch.launchers.kubernetes.cluster import Cluster, Resource
from metaqnn_orch.launchers.kubernetes.credentials import connect
from tests.authority import make_authority
from tests.launchers.kubernetes.conftest import NAMESPACE, FakeCluster
from tests.launchers.kubernetes.double.api import Fault
from tests.launchers.kubernetes.place import TOKEN, Place


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


def test_a_search_is_not_sent_elsewhere_in_its_midst(place: Place, cluster: FakeCluster) -> None:
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
    with pytest.raises(ClusterError, match=r"now lead to http://127.0.0.1:1, but led to"):
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


def test_inside_a_pod(place: Place, cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = make_authority(tmp_path)
    account = tmp_path / "account"
    account.mkdir()
    place.file.unlink()
    (account / "ca.crt").write_bytes(authority.certificate.read_bytes())
    (account / "token").write_text(f"{TOKEN}\n")
    (account / "namespace").write_text(f"{NAMESPACE}\n")
    with cluster.serve_anew(authority.server("127.0.0.1")) as url:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", url.rpartition(":")[2])
        session = Cluster(partial(connect, account=account))
        assert session.namespace == NAMESPACE
        assert session.list(Resource.JOBS).items == []
        cluster.api.token = "of-tomorrow"
        (account / "token").write_text("of-tomorrow")
        assert session.list(Resource.JOBS).items == [], "the kubelet has written another"
        place.write()
        cluster.api.token = "of-the-day-after"
        with pytest.raises(ClusterError, match="the credentials now lead to"):
            session.list(Resource.JOBS)
        assert not session.disowned, "it was not asked by the account of the Pod"
        place.file.unlink()
        time.sleep(1.1)
        with pytest.raises(ClusterError, match="401"):
            session.list(Resource.JOBS)
        assert session.disowned
        (account / "token").unlink()
        with pytest.raises(LauncherError, match="there is no kubeconfig, and this is not inside a Pod"):
            connect(account=account)
