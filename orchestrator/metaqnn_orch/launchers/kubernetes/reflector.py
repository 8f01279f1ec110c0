"""A copy of the run's Jobs or Pods, kept up to date by list and watch.

The watch only makes the copy fresher. Any irregularity of the watch (an error, an unknown event, half a line, silence)
leads to a new listing, and so does the passing of time. There are hundreds of objects, and they are looked at for every
trial; so each version of an object is parsed once, when it arrives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any, Final, Generic, NamedTuple, TypeVar

from metaqnn_orch.errors import ClusterError
from metaqnn_orch.launchers.kubernetes.cluster import Cluster, Resource
from metaqnn_orch.launchers.kubernetes.names import Carried, Identity, controller_of, read_carried, read_carried_by_pod
from metaqnn_orch.launchers.kubernetes.status import live
from metaqnn_orch.launchers.kubernetes.supervision import Setbacks, keep_going

RESYNC: Final = 300.0  # seconds after which all objects are listed again, whatever the watch said
FIRST_PAUSE: Final = 0.1  # seconds
SHORT: Final = 1.0  # seconds: a watch that ends sooner, again and again, must not become a hot loop

Object = dict[str, Any]


class SeenJob(NamedTuple):
    """A Job, and the facts that its launcher needs."""

    object: Object
    uid: str
    carried: Carried
    live: bool
    """Whether the Job may have a Pod now or later."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The ids of its trials."""
        return tuple(one.trial for one in self.carried.trials)

    @property
    def is_stand_in(self) -> bool:
        """Whether the Job is gone, and its Pod stands for it."""
        return self.object.get("kind") == "Pod"

    def of(self, trial: str) -> Identity | None:
        """The attempt of the trial that the Job carries, if it does."""
        return next((one for one in self.carried.trials if one.trial == trial), None)


class SeenPod(NamedTuple):
    """A Pod, the Job that it belongs to, and the trials that it carries."""

    object: Object
    controller: str
    """The uid of the object that controls it; its own where none does."""
    carried: Carried

    @property
    def groups(self) -> tuple[str, ...]:
        """The uid of its controller, and the ids of its trials."""
        return (self.controller, *(one.trial for one in self.carried.trials))

    @property
    def uid(self) -> str:
        return str(self.object["metadata"]["uid"])

    @property
    def is_orphan(self) -> bool:
        """Whether no object controls it: its Job was deleted without it."""
        return self.controller == self.uid and bool(self.carried.trials)


def see_job(job: Object) -> SeenJob:
    return SeenJob(job, str(job["metadata"]["uid"]), read_carried(job), live(job))


def see_pod(pod: Object) -> SeenPod:
    return SeenPod(pod, controller_of(pod) or str(pod["metadata"]["uid"]), read_carried_by_pod(pod))


Seen = TypeVar("Seen", SeenJob, SeenPod)


class Reflector(Generic[Seen]):
    """Objects of one resource with one selector, by name and by the groups that they belong to. It is safe to use from
    many threads.
    """

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        labels: str,
        see: Callable[[Object], Seen],
        on_change: Callable[[], None],
    ) -> None:
        self._cluster = cluster
        self._resource = resource
        self._labels = labels
        self._see: Callable[[Object], Seen] = see
        self._on_change = on_change
        self._lock = Lock()
        self._objects: dict[str, Seen] = {}
        self._groups: dict[str, dict[str, Seen]] = {}
        self._version = ""
        self._listed = 0.0
        self._closed = Event()
        self._end_watch: Callable[[], None] | None = None
        self._setbacks = Setbacks(FIRST_PAUSE, tolerated=1, on_change=on_change)
        self._thread = Thread(
            target=keep_going,
            args=(self._turn, self._setbacks, self._closed.wait),
            name=f"watch of {resource.plural}",
            daemon=True,
        )

    @property
    def trouble(self) -> str:
        """Why the copy is not up to date; empty when it is."""
        return self._setbacks.trouble

    def start(self) -> None:
        """List once, then go on in a thread of its own. It may be called again after an error.

        Raises:
            ClusterError: the first listing failed.
        """
        if self._thread.ident is None:
            self._list()
            self._thread.start()

    def objects(self) -> list[Seen]:
        with self._lock:
            return list(self._objects.values())

    def group(self, name: str) -> list[Seen]:
        with self._lock:
            return list(self._groups.get(name, {}).values())

    def get(self, name: str) -> Seen | None:
        with self._lock:
            return self._objects.get(name)

    def put(self, thing: Object) -> None:
        """Take in an object from another answer of the API, so that it is known before the watch shows it."""
        with self._lock:
            known = self._objects.get(_metadata(thing, "name"))
            if known is None or _newer(thing, known.object):
                self._keep(thing)

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            end = self._end_watch
        if end is not None:
            with suppress(Exception):  # the watch ended by itself
                end()

    def join(self, seconds: float) -> None:
        """Wait for the thread, for at most this time."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _turn(self) -> bool:
        """Follow one watch to its end."""
        if self._closed.is_set():
            return False
        began = time.monotonic()
        try:
            if not self._version or began - self._listed > RESYNC:
                self._list()
            self._setbacks.relieve()
            self._follow()
        except Exception:
            self._version = ""  # after any error a change may have been missed
            raise
        if time.monotonic() - began >= SHORT:
            self._setbacks.clear()
        else:
            self._closed.wait(self._setbacks.add(None))
        return True

    def _list(self) -> None:
        listing = self._cluster.list(self._resource, self._labels)
        with self._lock:
            self._objects, self._groups = {}, {}
            for thing in listing.items:
                self._keep(thing)
        self._version, self._listed = listing.version, time.monotonic()
        self._on_change()

    def _follow(self) -> None:
        events = self._cluster.watch(self._resource, self._labels, self._version, self._opened)
        for kind, thing in events:
            version = _metadata(thing, "resourceVersion")
            with self._lock:
                self._apply(kind, thing)
            self._version = version or self._version
            if kind != "BOOKMARK":
                self._on_change()
            if self._closed.is_set() or time.monotonic() - self._listed > RESYNC:
                return

    def _opened(self, end: Callable[[], None]) -> None:
        with self._lock:
            self._end_watch = end
        if self._closed.is_set():
            self.close()

    def _apply(self, kind: str, thing: Object) -> None:
        name = _metadata(thing, "name")
        known = self._objects.get(name)
        match kind:
            case "BOOKMARK":
                pass
            case "ADDED" | "MODIFIED":
                if known is None or _newer(thing, known.object):
                    self._keep(thing)
            case "DELETED":
                if known is not None and _metadata(known.object, "uid") == _metadata(thing, "uid"):
                    self._drop(name)
            case _:
                raise ClusterError(f"the watch of {self._resource.plural} sent an unknown event", status=410)

    def _keep(self, thing: Object) -> None:
        if name := _metadata(thing, "name"):
            thing["metadata"].pop("managedFields", None)  # half of an object's bytes, which are not needed here
            self._drop(name)
            seen = self._see(thing)
            self._objects[name] = seen
            for group in seen.groups:
                self._groups.setdefault(group, {})[name] = seen

    def _drop(self, name: str) -> None:
        known = self._objects.pop(name, None)
        for name_of_group in known.groups if known is not None else ():
            group = self._groups[name_of_group]
            del group[name]
            if not group:
                del self._groups[name_of_group]


def _metadata(thing: Object, key: str) -> str:
    metadata = thing.get("metadata")
    value = metadata.get(key) if isinstance(metadata, Mapping) else None
    return value if isinstance(value, str) else ""


def _newer(one: Object, other: Object) -> bool:
    """Whether `one` is newer than `other`: it is another object, or a later version of the same one."""
    versions = [_metadata(thing, "resourceVersion") for thing in (one, other)]
    same = _metadata(one, "uid") == _metadata(other, "uid")
    return not (same and all(text.isdecimal() for text in versions) and int(versions[0]) <= int(versions[1]))
