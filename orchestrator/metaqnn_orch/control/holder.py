"""Who works on a run. holder.json only tells a second orchestrator that the first one lives.

The journal alone makes a single writer certain: whoever wrote its newest entry holds the run, whatever holder.json
says. A holder proves that it lives by changing the object. Whether it did is judged by watching the object, never by
comparing clocks. On the same machine a dead process is recognised at once.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Lock, Thread

from metaqnn_orch.control.journal import last_writer
from metaqnn_orch.errors import ObjectMissing, RunHeld, redacted
from metaqnn_orch.next_command import next_command
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import Message, encode, read
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.store.base import Store

LEASE_SECONDS = 20.0  # seconds: several beats, and short enough to wait for
BEAT_SECONDS = 5.0


class Holder(Message):
    """The content of holder.json."""

    session: str
    host: str
    machine: str
    """Host, boot and process namespace: the machine on which the process number is valid."""
    pid: int
    process_started: str
    at: str
    beat: int
    released: bool = False
    trouble: str = ""
    """What the orchestrator waits for; empty where it does not wait."""

    @property
    def owner(self) -> str:
        return f"process {self.pid} on {self.host}"


def this_process(session: str, at: str) -> Holder:
    return Holder(
        session=session,
        host=socket.gethostname(),
        machine=_machine(),
        pid=os.getpid(),
        process_started=_process_started(os.getpid()),
        at=at,
        beat=0,
    )


def read_holder(store: Store, run: str) -> Holder | None:
    """The last holder that is recorded; None where none is recorded, or the record cannot be read."""
    try:
        return read(Holder, store.get, keys.holder(run))
    except (ObjectMissing, MessageError):
        return None


def is_dead(holder: Holder) -> bool | None:
    """Whether the holder's process has ended; None where this cannot be told from this machine."""
    if holder.released:
        return True
    if holder.machine != _machine():
        return None
    return _process_started(holder.pid) != holder.process_started


def living(holder: Holder | None) -> Holder | None:
    """The holder, unless its process is known to have ended."""
    return holder if holder is not None and not is_dead(holder) else None


class Hold:
    """This process's hold on a run. It is safe to use from several threads."""

    def __init__(
        self, store: Store, run: str, me: Holder, monotonic: Callable[[], float], beat_seconds: float = BEAT_SECONDS
    ) -> None:
        self._pace = beat_seconds
        self._store = store
        self._run = run
        self._monotonic = monotonic
        self._lock = Lock()  # guards everything below
        self.me = me
        self._next_beat = 0.0
        self._trouble = ""  # as the last beat was told of it
        self._lost: RunHeld | None = None

    def claim(self, sleep: Callable[[float], None], on_wait: Callable[[str], None]) -> None:
        """Take the run, unless a living orchestrator holds it. Waits for one lease where that cannot be seen at once.

        Raises:
            RunHeld: somebody alive holds it.
        """
        seen = read_holder(self._store, self._run)
        if seen is not None and seen.session != self.me.session and not (dead := is_dead(seen)):
            if dead is False:
                raise self._held_by(seen)
            on_wait(
                f"run {self._run} was last held by {seen.owner}; waiting {LEASE_SECONDS:.0f} s to see whether it "
                "still runs"
            )
            deadline = self._monotonic() + LEASE_SECONDS
            while self._monotonic() < deadline:
                sleep(1.0)
                now = read_holder(self._store, self._run)
                if now is not None and now.released:
                    break
                if now != seen:
                    raise self._held_by(now or seen)
        self.beat(self.me.at)

    @contextmanager
    def kept(self, now: Callable[[], str], waits_for: Callable[[], str] = lambda: "") -> Iterator[None]:
        """Beat in a thread of its own until the block ends, however long the work in the block takes. `waits_for` says
        what the work waits for that does not beat itself meanwhile.
        """
        ended = Event()

        def beat_on() -> None:
            while not ended.wait(self._pace / 2):
                # An error here comes again where the run is worked on, and is reported and waited for there.
                with suppress(Exception):
                    self.beat(now(), waits_for() or self._trouble)

        thread = Thread(target=beat_on, name=f"lease of run {self._run}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(self._pace)  # a store that does not answer delays it, and nobody waits

    def beat(self, at: str, trouble: str = "") -> None:
        """Write that this process lives, and what it waits for; does nothing if the last beat was a moment ago.
        Everybody with access to the store can read `trouble`, so secrets in it are hidden first.

        Raises:
            RunHeld: somebody took the run over meanwhile, and said so.
        """
        with self._lock:
            if self._lost is not None:
                raise self._lost
            if self._monotonic() < self._next_beat and trouble == self._trouble:
                return
            seen = read_holder(self._store, self._run) if self.me.beat else None
            # An orchestrator that lost a race, or slept between its read and its write, may have written its name here.
            other = seen is not None and seen.session != self.me.session
            if seen is not None and other and last_writer(self._store, self._run) != self.me.session:
                self._lost = self._taken_by(seen)
                raise self._lost
            told = {"beat": self.me.beat + 1, "at": at, "trouble": redacted(trouble)}
            self.me = self.me.model_copy(update=told)
            self._store.put(keys.holder(self._run), encode(self.me))
            self._next_beat, self._trouble = self._monotonic() + self._pace, trouble

    def check(self) -> None:
        """
        Raises:
            RunHeld: somebody took the run over, whether or not it went on since.
        """
        with self._lock:
            seen = read_holder(self._store, self._run)
            if self._lost is None and seen is not None and seen.session != self.me.session:
                self._lost = self._taken_by(seen)
            if self._lost is not None:
                raise self._lost

    def _taken_by(self, other: Holder) -> RunHeld:
        return RunHeld(
            f"run {self._run} was taken over by {other.owner}",
            hint=f"nothing more was changed; see {next_command(f'status {self._run}', self._store.uri)}",
        )

    def release(self) -> None:
        """Let the next orchestrator begin at once. No beat follows, not even one that was about to be written."""
        with self._lock:
            self._lost = self._lost or RunHeld(f"run {self._run} was released")
            now = read_holder(self._store, self._run)
            if now is not None and now.session == self.me.session:
                self._store.put(keys.holder(self._run), encode(self.me.model_copy(update={"released": True})))

    def _held_by(self, holder: Holder) -> RunHeld:
        shows, stops = (next_command(f"{what} {self._run}", self._store.uri) for what in ("attach", "cancel"))
        return RunHeld(
            f"run {self._run} is held by {holder.owner}, last heard of at {holder.at}",
            hint=f"nothing was changed; {shows} shows it; to go on with it here, first stop it with Ctrl-C there, or "
            f"with {stops} (--keep-jobs lets trials in a cluster go on)",
        )


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux: the host's name has to do
        boot = namespace = "-"
    return f"{socket.gethostname()}/{boot}/{namespace}"


def _process_started(pid: int) -> str:
    """When the process began, so that a reused process number is no mistake; empty where there is no such process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "running"
    return "" if fields[0] == "Z" else fields[19]
