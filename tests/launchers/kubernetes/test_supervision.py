"""Whatever is raised in the threads that work in the background, at whatever call: it is told while it lasts, and when
it is over everything goes on, nothing lost and nothing made twice."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from email.utils import formatdate
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest
import urllib3
from kubernetes.client import ApiException

from metaqnn_orch.errors import LauncherError
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.kubernetes.cluster import Cluster
from metaqnn_orch.launchers.kubernetes.credentials import Connection, connect
from metaqnn_orch.launchers.kubernetes.launcher import KubernetesLauncher
from metaqnn_orch.launchers.kubernetes.manifest import JobForm
from metaqnn_orch.launchers.kubernetes.names import RunRef
from metaqnn_orch.launchers.kubernetes.refusals import refusal
from metaqnn_orch.launchers.kubernetes.supervision import LONGEST_PAUSE, Setbacks, keep_going
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_trainer.contract.messages import TrainingRequest
from tests.authority import make_authority
from tests.launchers.harness import PATIENCE, make_request, until
from tests.launchers.kubernetes.conftest import FakeCluster, connect_as
from tests.launchers.kubernetes.double.api import CALLER, Ask, Fault
from tests.launchers.kubernetes.double.kubeconfig import write_kubeconfig


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("it has no words")


RAISED: tuple[Exception, ...] = (
    AttributeError("'NoneType' object has no attribute 'decode'"),
    TypeError("'NoneType' object is not iterable"),
    KeyError("metadata"),
    RuntimeError("cannot schedule new futures after shutdown"),
    MemoryError(),
    RecursionError("maximum recursion depth exceeded"),
    StopIteration(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ssl.SSLError(1, "[SSL] handshake failure"),
    OSError(24, "Too many open files"),
    urllib3.exceptions.ProtocolError("Connection aborted."),
    ApiException(status=0, reason="SSLError"),
    ApiException(status=None),
    LauncherError("no cluster to talk to: the login helper failed"),
    Unspeakable(),
)


class Moody:
    """A client that raises `error` instead of answering the calls that it is told of, or after having made them."""

    def __init__(self, client: Any, moods: Moods) -> None:
        self._client = client
        self._moods = moods

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def call_api(self, path: str, verb: str, places: Any = None, query: Any = None, *rest: Any, **more: Any) -> Any:
        watched = any(key == "watch" for key, _ in query or ())
        call = f"{'WATCH' if watched else verb} {path.rpartition('/')[2]}"
        if call in self._moods.before:
            raise self._moods.error
        answer = self._client.call_api(path, verb, places, query, *rest, **more)
        if call in self._moods.after:
            raise self._moods.error
        return answer


class Moods:
    """What goes wrong for one orchestrator."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.before: set[str] = set()
        self.after: set[str] = set()
        self.login = False

    def connect(self, context: str | None) -> Connection:
        if self.login:
            raise self.error
        connection = connect(context)
        return connection._replace(client=Moody(connection.client, self))


JOBS, ONE, WATCH = "GET jobs", "{name}", "WATCH jobs"
HEALED: dict[str, set[str]] = {"having created": {"POST jobs"}, "having deleted": {f"DELETE {ONE}"}}
"""After them all is well, as the watch or the next try shows."""
MOMENTS: dict[str, tuple[set[str], set[str]]] = {
    "listing": ({JOBS, WATCH}, set()),
    "watching": ({WATCH}, set()),
    "watching Pods": ({"WATCH pods", "GET pods"}, set()),
    "creating": ({"POST jobs"}, set()),
    "finding what was created": ({f"GET {ONE}", WATCH, JOBS}, {"POST jobs"}),
    "deleting": ({f"DELETE {ONE}"}, set()),
    "everything": ({JOBS, WATCH, "WATCH pods", "GET pods", "POST jobs", f"GET {ONE}", f"DELETE {ONE}"}, set()),
}


class Search(NamedTuple):
    """One orchestrator with a Job that runs, and one that is yet to be made."""

    launcher: KubernetesLauncher
    old: TrainingRequest
    new: TrainingRequest


def calm(ask: Ask) -> Fault:
    """Watches are short, so that what goes wrong with the next one is seen soon."""
    return Fault(watch_seconds=1.1)


def a_search(cluster: FakeCluster, connect: Callable[[str | None], Connection], number: int = 0) -> Search:
    cluster.api.faults = calm
    run = RunRef(f"run-{number}", f"{number:032x}")
    form = JobForm("/no/store", KubernetesSettings(image="trainer", creates_per_second=1000.0))
    launcher = KubernetesLauncher(Cluster(connect, timeout=(5.0, 5.0)), run, form, cluster.store, 2, patience=60.0)
    old, new = make_request(run.name), make_request(run.name)
    (cluster.notes / old.trial).write_text("hangs")
    (cluster.notes / new.trial).write_text("delivers")
    launcher.launch(old, 1)
    return Search(launcher, old, new)


def is_at_work(cluster: FakeCluster, search: Search) -> bool:
    seen = search.launcher.observe().get(search.old.trial)
    return seen is not None and seen.phase is Phase.RUNNING and f"{search.old.trial} 1" in cluster.started()


def has_recovered(cluster: FakeCluster, search: Search) -> bool:
    """The new trial has delivered, the old one is deleted, and nothing is said to be wrong."""
    seen = search.launcher.observe().get(search.new.trial)
    if seen is None or seen.phase is not Phase.DELIVERED or search.launcher.trouble:
        return False
    return all(job["metadata"]["labels"]["metaqnn/trial"] != search.old.trial for job in cluster.jobs())


def disturb(
    cluster: FakeCluster, searches: list[Search], begin: Callable[[], None], end: Callable[[], None] | None = None
) -> None:
    """Every search is at work when the trouble begins, has something to do while it lasts, shows it, and recovers when
    it ends; or before, where it does not end."""
    until(lambda: all(is_at_work(cluster, search) for search in searches))
    begin()
    for search in searches:
        search.launcher.launch(search.new, 1)
        search.launcher.cancel(search.old.trial)
    silent = set(range(len(searches))) if end is not None else set()
    deadline = time.monotonic() + PATIENCE
    while silent:
        assert time.monotonic() < deadline, f"no trouble was told by {silent}"
        silent -= {number for number in silent if searches[number].launcher.trouble}
        time.sleep(0.002)
    if end is not None:
        end()
    until(lambda: all(has_recovered(cluster, search) for search in searches))
    assert sorted(cluster.started()) == sorted(
        f"{request.trial} 1" for search in searches for request in (search.old, search.new)
    ), "and nothing was made twice"


@pytest.fixture
def moods(cluster: FakeCluster) -> list[Moods]:
    cluster.controllers.places = 100
    return [Moods(error) for error in RAISED]


@contextmanager
def searching(cluster: FakeCluster, connects: Sequence[Callable[[str | None], Connection]]) -> Iterator[list[Search]]:
    """A search by each of these connections."""
    with ExitStack() as stack:
        searches = [a_search(cluster, connect, number) for number, connect in enumerate(connects)]
        for search in searches:
            stack.callback(search.launcher.close)
        yield searches


@pytest.mark.parametrize("moment", [*MOMENTS, *HEALED])
def test_whatever_the_client_raises_at_whatever_moment(cluster: FakeCluster, moods: list[Moods], moment: str) -> None:
    before, after = MOMENTS.get(moment) or (set(), HEALED[moment])

    def begin() -> None:
        for mood in moods:
            mood.before, mood.after = before, after

    def end() -> None:
        for mood in moods:
            mood.before = mood.after = set()

    with searching(cluster, [mood.connect for mood in moods]) as searches:
        disturb(cluster, searches, begin, end if moment in MOMENTS else None)


def test_whatever_a_login_raises(cluster: FakeCluster, moods: list[Moods]) -> None:
    def set_logins(fail: bool) -> None:
        cluster.api.token = "of-tomorrow" if fail else "secret-token"
        for mood in moods:
            mood.login = fail

    with searching(cluster, [mood.connect for mood in moods]) as searches:
        disturb(cluster, searches, lambda: set_logins(True), lambda: set_logins(False))


BODIES = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "an empty object": b"{}",
    "no items": b'{"items": null}',
    "items that are none": b'{"metadata": {"resourceVersion": "1"}, "items": [null, 3]}',
    "items without metadata": b'{"metadata": {"resourceVersion": "1"}, "items": [{}]}',
    "metadata that is none": b'{"metadata": null, "items": []}',
    "a page": b"<html>log in here</html>",
    "no text": b"\xff\xfe\x00",
    "brackets": b"[" * 100_000,
}


@pytest.mark.parametrize("status", [200, 404, 409])
def test_whatever_something_on_the_way_answers(cluster: FakeCluster, status: int) -> None:
    cluster.controllers.places = 100
    with searching(cluster, [connect_as(body) for body in BODIES]) as searches:
        disturb(
            cluster,
            searches,
            lambda: setattr(
                cluster.api, "faults", lambda ask: Fault(status=status, body=BODIES[str(ask.headers[CALLER])])
            ),
            lambda: setattr(cluster.api, "faults", calm),
        )


class Wire:
    """A port before another one, which may speak something else, or nothing, instead of passing on."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.instead: bytes | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End what is under way."""
        while self._open:
            with suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.instead is not None:
                    with suppress(OSError):
                        client.sendall(self.instead)
                        client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._to))
                self._open += [client, server]
                for one, other in ((client, server), (server, client)):
                    Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with one, suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


@contextmanager
def wire(port: int) -> Iterator[Wire]:
    made = Wire(port)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("instead", [b"", b"HTTP/1.1 503 busy\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"])
def test_handshakes_that_fail(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instead: bytes
) -> None:
    """The connection is closed, answered in clear, refused by a TLS alert."""
    authority = make_authority(tmp_path)
    with cluster.serve_anew(authority.server("127.0.0.1")) as url, wire(int(url.rpartition(":")[2])) as between:
        path = write_kubeconfig(tmp_path / "tls", f"https://127.0.0.1:{between.port}", cluster.api.token)
        content = json.loads(path.read_text())
        content["clusters"][0]["cluster"]["certificate-authority"] = str(authority.certificate)
        path.write_text(json.dumps(content))
        monkeypatch.setenv("KUBECONFIG", str(path))

        def begin() -> None:
            between.instead = instead
            between.cut()

        with searching(cluster, [connect]) as searches:
            disturb(cluster, searches, begin, lambda: setattr(between, "instead", None))


@pytest.mark.parametrize("fault", [Fault(stall=3.0), Fault(watch_seconds=60.0), Fault(reset=True)])
def test_closing_while_threads_are_in_a_call(cluster: FakeCluster, fault: Fault) -> None:
    search = a_search(cluster, connect)
    until(lambda: is_at_work(cluster, search))
    cluster.api.faults = lambda ask: fault
    cluster.api.objects.compact()
    search.launcher.launch(search.new, 1)
    began = time.monotonic()
    search.launcher.close()
    assert time.monotonic() - began < 6.0
    assert cluster.jobs(), "Jobs go on without us"


def test_a_page_that_says_404_is_not_a_namespace_that_is_gone(cluster: FakeCluster) -> None:
    def fault(ask: Ask) -> Fault:
        return Fault(status=404, body=b"<html>no backend</html>") if ask.verb == "create" else calm(ask)

    with searching(cluster, [connect]) as searches:
        disturb(
            cluster,
            searches,
            lambda: setattr(cluster.api, "faults", fault),
            lambda: setattr(cluster.api, "faults", calm),
        )


def test_pauses_grow_and_end_with_the_trouble() -> None:
    told: list[str] = []
    setbacks = Setbacks(0.1, tolerated=2, on_change=lambda: told.append(setbacks.trouble))
    pauses = [setbacks.add(RuntimeError("odd\nthing")) for _ in range(12)]
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(0.2)
    assert pauses[-1] == LONGEST_PAUSE
    assert told == ["RuntimeError: odd thing"]
    setbacks.relieve()
    assert setbacks.add(None) == LONGEST_PAUSE
    setbacks.clear()
    assert (setbacks.count, told) == (0, ["RuntimeError: odd thing", ""])


def test_work_goes_on_until_it_says_that_there_is_none() -> None:
    fates: Iterator[Any] = iter([True, KeyError("a"), True, MemoryError(), False])
    pauses: list[float] = []

    def work() -> bool:
        fate = next(fates)
        if isinstance(fate, Exception):
            raise fate
        return bool(fate)

    keep_going(work, Setbacks(0.5, tolerated=0), pauses.append)
    assert pauses == [1.0, 2.0]


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("3", 3, 3),
        ("3600", 60, 60),
        ("-1", 0, 0),
        ("soon", 0, 0),
        (None, 0, 0),
        (lambda: formatdate(time.time() + 30, usegmt=True), 25, 30),
        (lambda: formatdate(time.time() - 30, usegmt=True), 0, 0),
        (lambda: formatdate(time.time() + 9999, usegmt=True), 60, 60),
    ],
)
def test_how_long_the_api_asks_to_wait(header: Any, low: float, high: float) -> None:
    answer = ApiException(status=429)
    answer.headers = {"Retry-After": header() if callable(header) else header}
    assert low <= refusal(answer, "x").retry_after <= high
