"""The store goes away when a net has been trained: the trainer delivers when it is back, and loses nothing if it has to
end before. The store is real; a proxy before it refuses connections, or takes them and says nothing.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal

import pytest

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode, encode
from metaqnn_trainer.contract.messages import Recipe, TrainerOptions, TrainingRequest
from metaqnn_trainer.contract.result import ExitCode, TrainingResult
from metaqnn_trainer.contract.work import WorkOrder
from metaqnn_trainer.sources.make import MadeDataset
from metaqnn_trainer.store.base import exists
from metaqnn_trainer.store.errors import StoreError
from metaqnn_trainer.store.opening import open_store
from metaqnn_trainer.store.patient import PatientStore
from metaqnn_trainer.store.s3 import S3Store
from metaqnn_trainer.trial import Trainer
from tests.seaweedfs import S3Server
from tests.store.behind import client_of
from tests.trainer.conftest import RUN, spec_of

Fault = Literal["refuses", "says nothing"]
AWAY = 2.0  # seconds


class Proxy:
    """Passes bytes on to a server, until it is told to do otherwise."""

    def __init__(self, upstream: str) -> None:
        host, _, port = upstream.removeprefix("http://").partition(":")
        self._upstream = (host, int(port))
        self._open: set[socket.socket] = set()
        self._fault: Fault | None = None
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def is_away(self) -> bool:
        return self._fault is not None

    def go_away(self, fault: Fault) -> None:
        self._fault = fault
        if fault == "refuses":
            self._close(self._listener)
        for connection in [*self._open]:
            self._close(connection)

    def come_back(self) -> None:
        if self._fault == "refuses":
            self._listener = self._listen(self.port)
        self._fault = None

    def close(self) -> None:
        self.go_away("refuses")

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port), backlog=64)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                here, _ = listener.accept()
                self._open.add(here)
                if self._fault is None:
                    there = socket.create_connection(self._upstream)
                    self._open.add(there)
                    for source, target in ((here, there), (there, here)):
                        threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while self._fault is None and (data := source.recv(65536)):
                if self._fault is None:
                    target.sendall(data)
        if self._fault != "says nothing":
            self._close(source)
            self._close(target)

    def _close(self, one: socket.socket) -> None:
        self._open.discard(one)
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    found = Proxy(s3_server.endpoint)
    yield found
    found.close()


class Leaving(S3Store):
    """Calls a function when the first file of a result is about to be written, when the net is trained."""

    leave: Callable[[], None]

    def put_if_absent(self, key: str, data: bytes) -> bool:
        if "/history" in key:
            self.leave()
        return super().put_if_absent(key, data)

    def put(self, key: str, data: bytes) -> None:
        if "/history" in key:
            self.leave()
        super().put(key, data)


@pytest.fixture
def trial(s3_store_uri: str, digits: MadeDataset) -> str:
    store = open_store(s3_store_uri)
    store.put(keys.dataset(digits.ref.name, digits.ref.digest), digits.data)
    spec = spec_of(digits.ref, recipe=Recipe(epochs=2, batch_size=64))
    options = TrainerOptions(checkpoint_seconds=0)
    request = TrainingRequest(run=RUN, trial=spec.trial_id(), spec=spec, options=options)
    store.put(keys.request(RUN, request.trial), encode(request))
    return request.trial


def leaving(proxy: Proxy, server: S3Server, uri: str, leave: Callable[[], None]) -> Leaving:
    once = iter([leave])
    store = Leaving(server.bucket, uri.split("/")[-1], client_of(proxy.url, *server[1:3], patience=0.5))
    store.leave = lambda: next(once, lambda: None)()
    return store


@pytest.mark.parametrize("fault", ["refuses", "says nothing"])
def test_what_was_trained_is_delivered_when_the_store_is_back(
    fault: Fault, proxy: Proxy, trial: str, s3_server: S3Server, s3_store_uri: str
) -> None:
    waited: list[str] = []

    def leave() -> None:
        proxy.go_away(fault)
        threading.Timer(AWAY, proxy.come_back).start()

    store = PatientStore(leaving(proxy, s3_server, s3_store_uri, leave), [0.2] * 50, waited.append)
    report = Trainer(1, opened=lambda _uri: store).carry_out(order(s3_store_uri, trial))
    assert report.exit_code == ExitCode.DELIVERED, report.reason
    assert waited, "it did wait"
    there = open_store(s3_store_uri)
    assert result_of(s3_store_uri, trial).status == "completed"
    assert not exists(there, keys.checkpoint(RUN, trial)), "nothing is left behind"


@pytest.mark.parametrize("fault", ["refuses", "says nothing"])
def test_asked_to_stop_while_it_waits_it_ends_soon_and_the_next_attempt_trains_nothing_again(
    fault: Fault, proxy: Proxy, trial: str, s3_server: S3Server, s3_store_uri: str
) -> None:
    slow = leaving(proxy, s3_server, s3_store_uri, lambda: proxy.go_away(fault))
    store = PatientStore(slow, [60.0] * 5, stop=lambda: proxy.is_away, last=1.0)
    report = Trainer(1, lambda: proxy.is_away, opened=lambda _uri: store).carry_out(order(s3_store_uri, trial))
    assert report.exit_code == ExitCode.PREEMPTED
    assert "asked to stop while it waited for the store" in report.reason
    there = open_store(s3_store_uri)
    assert not exists(there, keys.result(RUN, trial))
    assert exists(there, keys.checkpoint(RUN, trial)), "the store had it before the result was to be written"
    report = Trainer(1).carry_out(order(s3_store_uri, trial, attempt=2))
    assert report.exit_code == ExitCode.DELIVERED
    resumed = result_of(s3_store_uri, trial).resumed_from
    assert resumed is not None
    assert resumed.epoch == 3, "behind the last of two epochs"


def test_a_refusal_is_told_as_one_although_it_was_asked_to_stop(
    proxy: Proxy, trial: str, s3_server: S3Server, s3_store_uri: str
) -> None:
    asked = threading.Event()

    def leave() -> None:
        asked.set()
        raise StoreError("history: too large")

    store = PatientStore(leaving(proxy, s3_server, s3_store_uri, leave), [60.0], stop=asked.is_set)
    report = Trainer(1, asked.is_set, opened=lambda _uri: store).carry_out(order(s3_store_uri, trial))
    assert report.exit_code == ExitCode.STORE_REFUSED


def order(uri: str, trial: str, attempt: int = 1) -> WorkOrder:
    return WorkOrder(store=uri, run=RUN, trial=trial, attempt=attempt)


def result_of(uri: str, trial: str) -> TrainingResult:
    return decode(TrainingResult, open_store(uri).get(keys.result(RUN, trial)), "result")
