"""A cluster for tests: the double, its controllers, a client that found it by a kubeconfig."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch.launchers.kubernetes.cluster import Cluster
from metaqnn_orch.launchers.kubernetes.credentials import Connection, connect
from metaqnn_orch.launchers.kubernetes.launcher import KubernetesLauncher
from metaqnn_orch.launchers.kubernetes.manifest import JobForm
from metaqnn_orch.launchers.kubernetes.names import RunRef
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.directory import DirectoryStore
from tests.launchers.harness import make_request
from tests.launchers.kubernetes.double.api import CALLER, Api, serving
from tests.launchers.kubernetes.double.controllers import Controllers
from tests.launchers.kubernetes.double.kubeconfig import write_kubeconfig
from tests.launchers.kubernetes.place import Place

FAKE_TRAINER = Path(__file__).parent / "double" / "fake_trainer.py"
NAMESPACE = "trials"
RUN = RunRef("suite", "5" * 32)


class FakeCluster:
    """The double and what tests turn on it."""

    def __init__(self, directory: Path, url: str, api: Api) -> None:
        self.api = api
        self.url = url
        self.notes = directory / "notes"
        self.notes.mkdir()
        self.store = DirectoryStore(directory / "progress", durable=False)
        """The launchers' store, where none is named."""
        self.controllers = Controllers(api, {"trainer": [sys.executable, "-SE", str(FAKE_TRAINER), str(self.notes)]})
        self.kubeconfig = write_kubeconfig(directory / "kubeconfig", url, api.token, NAMESPACE)
        self._launchers: list[KubernetesLauncher] = []

    def request(self, fate: str, run: RunRef = RUN) -> TrainingRequest:
        request = make_request(run.name)
        (self.notes / request.trial).write_text(fate)
        return request

    def started(self) -> list[str]:
        """What trainers were started, as `trial attempt`."""
        file = self.notes / "started"
        return file.read_text().splitlines() if file.exists() else []

    def launcher(
        self,
        parallel: int = 2,
        run: RunRef = RUN,
        patience: float = 0.2,
        store: str | None = None,
        timeout: float = 30.0,
        **settings: Any,
    ) -> KubernetesLauncher:
        store = store or str(self.store.uri)
        launcher = make_launcher(run, store, parallel, patience, timeout, **settings)
        self._launchers.append(launcher)
        return launcher

    def serve_anew(self, tls: ssl.SSLContext) -> AbstractContextManager[str]:
        """The same API at another URL, by TLS."""
        return serving(self.api, tls)

    def jobs(self) -> list[dict[str, Any]]:
        return self.api.objects.all("jobs", NAMESPACE)

    def pods(self) -> list[dict[str, Any]]:
        return self.api.objects.all("pods", NAMESPACE)

    def close(self) -> None:
        for launcher in self._launchers:
            launcher.close()
        self.controllers.close()


def connect_as(caller: str) -> Callable[[str | None], Connection]:
    """Connects with a client that says whose every request is: many of them may meet one cluster, each its own fate."""

    def connect_so(context: str | None) -> Connection:
        connection = connect(context)
        connection.client.set_default_header(CALLER, caller)
        return connection

    return connect_so


def make_launcher(
    run: RunRef,
    store: str,
    parallel: int,
    patience: float,
    timeout: float = 30.0,
    connect: Callable[[str | None], Connection] = connect,
    linger: float = 0.2,
    **settings: Any,
) -> KubernetesLauncher:
    """Of the cluster that the kubeconfig names."""
    form = JobForm(store, KubernetesSettings(**{"image": "trainer", "creates_per_second": 1000.0, **settings}))
    found, opened = Cluster(connect, timeout=(timeout, timeout)), DirectoryStore(store, durable=False)
    return KubernetesLauncher(found, run, form, opened, parallel, patience=patience, linger=linger, look_seconds=0.1)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    yield from fake_cluster(tmp_path, monkeypatch)


def fake_cluster(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    api = Api()
    with serving(api) as url:
        fake = FakeCluster(directory, url, api)
        monkeypatch.setenv("KUBECONFIG", str(fake.kubeconfig))
        fake.controllers.start()
        try:
            yield fake
        finally:
            fake.close()


@pytest.fixture
def place(tmp_path: Path, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path, cluster.url, NAMESPACE)
    monkeypatch.setenv("KUBECONFIG", str(made.file))
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return made
