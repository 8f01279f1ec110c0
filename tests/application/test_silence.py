"""A store that takes calls and says nothing: whoever waits for it is told so, long before the call ends."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from metaqnn_orch.application.opening import open_store, plain
from metaqnn_orch.application.session import search
from metaqnn_orch.application.silence import PATIENCE, Silence, WatchedStore, silence_of
from metaqnn_orch.application.watching import watch
from metaqnn_orch.cli.view import Terminal
from metaqnn_orch.errors import StoreError
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.s3 import S3Store
from tests.cli.conftest import PROGRAM
from tests.control.world import ScriptedLauncher, Session, settings
from tests.seaweedfs import S3Server
from tests.store.behind import client_of
from tests.store.faulty_server import Reaction, error, faulty_server

SHORT = 0.2  # seconds of patience
SILENT = f"no answer from the store s3://bucket/runs for {SHORT:.0f} s"


@contextmanager
def silent_server() -> Iterator[str]:
    """The URL of one that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def soon(question: object) -> bool:
    """Whether the function says yes within some seconds."""
    assert callable(question)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if question():
            return True
        time.sleep(0.01)
    return False


def test_a_socket_that_says_nothing_is_told_of_once_and_its_end_is_no_answer() -> None:
    said: list[str] = []
    with silent_server() as url:
        store = WatchedStore(S3Store("bucket", "runs", client_of(url, patience=0.6)), _silence(said))
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(StoreError, match="timeout") as caught:
                store.get("a")
            assert caught.value.transient
            assert time.monotonic() - began > 0.6, "the client's own limit is the same"
            assert said == [SILENT]
    with faulty_server(lambda _method, _number: error(404, "NoSuchKey")) as (url, _asked):
        store = WatchedStore(S3Store("bucket", "runs", client_of(url)), store.silence)
        with pytest.raises(StoreError, match="no such object"):
            store.get("a")
    assert soon(lambda: said == [SILENT, ""]), "a refusal is an answer"
    assert store.silence.text == ""


def _silence(said: list[str]) -> Silence:
    return Silence("s3://bucket/runs", said.append, SHORT)


def test_whatever_is_asked_is_watched_and_quick_answers_are_no_news(s3_server: S3Server, tmp_path: Path) -> None:
    said: list[str] = []
    speaks = threading.Event()

    def reaction(_method: str, _number: int) -> Reaction:
        speaks.wait(10)
        return "pass on"

    with faulty_server(reaction, s3_server.endpoint) as (url, _asked):
        inner = S3Store(s3_server.bucket, f"silence-{tmp_path.name}", client_of(url, *s3_server[1:3]))
        store = WatchedStore(inner, _silence(said))
        for call in (
            lambda: store.put("a", b"1"),
            lambda: store.put_if_absent("b", b"2"),
            lambda: store.get("a"),
            lambda: store.stat("a"),
            lambda: [*store.list("")],
            lambda: store.delete("a"),
        ):
            speaks.clear()
            said.clear()
            asking = threading.Thread(target=call, daemon=True)
            asking.start()
            assert soon(lambda: said == [SILENT]), said
            speaks.set()
            asking.join(10)
            assert soon(lambda: said == [SILENT, ""])
        said.clear()
        for _ in range(20):
            store.put("a", b"1")
        assert said == []
    assert soon(lambda: not any(thread.name == "silence of the store" for thread in threading.enumerate())), (
        "a store that nobody uses has no thread"
    )


def test_a_call_that_hangs_beside_others_that_are_answered(tmp_path: Path) -> None:
    said: list[str] = []
    store = WatchedStore(Slow(tmp_path), _silence(said))
    store.put("a", b"1")
    plain_store = plain(store)
    assert isinstance(plain_store, Slow)
    plain_store.slow, asking = "slow", threading.Thread(target=lambda: store.put("slow", b"1"), daemon=True)
    asking.start()
    assert soon(lambda: said == [SILENT])
    for _ in range(10):
        store.get("a")
    time.sleep(0.1)
    assert said == [SILENT], "others are answered, and it still waits"
    plain_store.speaks.set()
    assert soon(lambda: said == [SILENT, ""])


class Slow(DirectoryStore):
    """Keeps writes of some objects waiting."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.slow = "\n"
        self.speaks = threading.Event()

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self._wait(key)
        return super().put_if_absent(key, data)

    def put(self, key: str, data: bytes) -> None:
        self._wait(key)
        super().put(key, data)

    def _wait(self, key: str) -> None:
        if self.slow in key and not self.speaks.wait(20):
            raise AssertionError("nobody let it speak")


@pytest.mark.parametrize("screen", [False, True])
def test_a_search_shows_it_on_the_screen_and_in_lines(tmp_path: Path, screen: bool) -> None:
    slow, written = Slow(tmp_path), io.StringIO()
    store = WatchedStore(slow, Silence("s3://bucket/runs", lambda text: None, SHORT))
    session = Session(store, settings())
    session.open()
    slow.slow = "journal/"
    console = Console(file=written, width=150, soft_wrap=True, force_terminal=screen, force_interactive=screen)

    def let_it_speak() -> None:
        if soon(lambda: SILENT in written.getvalue()):
            slow.speaks.set()

    watcher = threading.Thread(target=let_it_speak)
    watcher.start()
    ended = search(store, session.record, settings(), ScriptedLauncher(store), Terminal(console))
    watcher.join()
    assert ended.is_complete
    text = written.getvalue()
    assert f"waiting: {SILENT}" in text
    if not screen:
        lines = text.splitlines()
        assert lines.count(f"waiting: {SILENT}") == lines.count("the store answers again") == 1
    assert silence_of(store).text == ""


def test_who_watches_from_the_store_alone_is_told_as_well(tmp_path: Path) -> None:
    class Pausing(DirectoryStore):
        """Keeps those waiting who look at the journal a second time."""

        looks = 0

        def get(self, key: str, first: int | None = None) -> bytes:
            Pausing.looks += "holder" in key
            if Pausing.looks == 2:
                time.sleep(3 * SHORT)
            return super().get(key, first)

    written = io.StringIO()
    session = Session(DirectoryStore(tmp_path), settings())
    session.open()
    store = WatchedStore(Pausing(tmp_path), Silence("s3://bucket/runs", lambda text: None, SHORT))

    def work(_seconds: float) -> None:
        if "the store answers again" in written.getvalue() and session.state.finished is None:
            session.search(ScriptedLauncher(session.store))

    watch(store, "test", Terminal(Console(file=written, width=150, soft_wrap=True)), work)
    assert f"waiting: {SILENT}" in written.getvalue()


def test_a_command_says_so_when_its_patience_is_over() -> None:
    with silent_server() as url:
        environment = os.environ | {
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
        }
        began = time.monotonic()
        command = [str(PROGRAM), "status", "first", "--store", "s3://bucket/runs"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            line = process.stderr.readline()
            waited = time.monotonic() - began
            process.send_signal(signal.SIGINT)
            assert process.wait() != 0
    assert line == "waiting: no answer from the store s3://bucket/runs for 8 s\n"
    assert waited >= PATIENCE


def test_stores_are_opened_so_that_they_are_watched(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), lambda line, tone=None: None, SHORT)
    assert isinstance(store, WatchedStore)
    assert isinstance(plain(store), DirectoryStore)
    assert silence_of(plain(store)).text == ""
