"""What there is: objects by resource, namespace and name, each with a uid and a version, and the history of changes."""

from __future__ import annotations

import marshal
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from threading import Condition
from typing import Any, NamedTuple

Object = dict[str, Any]

KINDS = {
    "configmaps": ("v1", "ConfigMap"),
    "jobs": ("batch/v1", "Job"),
    "pods": ("v1", "Pod"),
    "events": ("v1", "Event"),
}


def copied(thing: Object) -> Object:
    """A copy of an object, which is made of what JSON is made of: a test copies hundreds of thousands."""
    same: Object = marshal.loads(marshal.dumps(thing))
    return same


class Refused(Exception):
    """What the API answers instead."""

    def __init__(self, status: int, reason: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.reason, self.headers = status, reason, headers or {}

    def body(self) -> Object:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "code": self.status,
        }


class Change(NamedTuple):
    version: int
    resource: str
    kind: str
    thing: Object


class Objects:
    """All of one cluster. Whoever takes several steps holds `changed`, which is notified of every change."""

    def __init__(self) -> None:
        self.changed = Condition()
        self.version = 1000
        self.compacted = 0
        """Changes up to this version are forgotten."""
        self.history: list[Change] = []
        self._things: dict[tuple[str, str, str], Object] = {}

    def create(self, resource: str, namespace: str, thing: Object) -> Object:
        with self.changed:
            api_version, kind = KINDS[resource]
            thing = {"apiVersion": api_version, "kind": kind, **copied(thing)}
            name = thing["metadata"]["name"]
            if (resource, namespace, name) in self._things:
                raise Refused(409, "AlreadyExists", f'{resource} "{name}" already exists')
            thing["metadata"] |= {
                "namespace": namespace,
                "uid": str(uuid.uuid4()),
                "creationTimestamp": datetime.now(UTC).isoformat(timespec="microseconds"),
            }
            return self._put(resource, "ADDED", thing)

    def get(self, resource: str, namespace: str, name: str) -> Object:
        with self.changed:
            thing = self._things.get((resource, namespace, name))
            if thing is None:
                raise Refused(404, "NotFound", f'{resource} "{name}" not found')
            return copied(thing)

    def all(self, resource: str, namespace: str | None = None) -> list[Object]:
        with self.changed:
            found = sorted(key for key in self._things if key[0] == resource and namespace in (None, key[1]))
            return [copied(self._things[key]) for key in found]

    def update(self, resource: str, namespace: str, name: str, change: Callable[[Object], object]) -> Object | None:
        """Let `change` edit the object in place; nothing happens where it is gone."""
        with self.changed:
            thing = self._things.get((resource, namespace, name))
            if thing is None:
                return None
            before = copied(thing)
            edited = copied(thing)
            change(edited)
            return edited if edited == before else self._put(resource, "MODIFIED", edited)

    def remove(self, resource: str, namespace: str, name: str, uid: str | None = None) -> None:
        with self.changed:
            thing = self._things.get((resource, namespace, name))
            if thing is not None and uid in (None, thing["metadata"]["uid"]):
                self._put(resource, "DELETED", thing)
                del self._things[resource, namespace, name]

    def since(self, version: int, resource: str) -> list[Change]:
        with self.changed:
            if version < self.compacted:
                raise Refused(410, "Expired", f"too old resource version: {version} ({self.version})")
            return [change for change in self._newest_first(version) if change.resource == resource][::-1]

    def compact(self) -> None:
        """Forget the history, as etcd does every few minutes."""
        with self.changed:
            self.compacted = self.version
            self.history.clear()

    def _newest_first(self, version: int) -> Iterator[Change]:
        for change in reversed(self.history):
            if change.version <= version:
                return
            yield change

    def _put(self, resource: str, kind: str, thing: Object) -> Object:
        self.version += 1
        metadata = thing["metadata"]
        metadata["resourceVersion"] = str(self.version)
        self._things[resource, metadata["namespace"], metadata["name"]] = thing
        self.history.append(Change(self.version, resource, kind, copied(thing)))
        self.changed.notify_all()
        return copied(thing)


def matches(thing: Object, labels: str, fields: str) -> bool:
    """By a label selector of equalities and existence, and a field selector of equalities."""
    own = thing["metadata"].get("labels") or {}
    for requirement in filter(None, labels.split(",")):
        key, equals, value = requirement.partition("=")
        if key.endswith("!"):
            if own.get(key[:-1]) == value:
                return False
        elif key not in own or (equals and own[key] != value.lstrip("=")):
            return False
    for requirement in filter(None, fields.split(",")):
        path, _, value = requirement.partition("=")
        found: Any = thing
        for part in path.split("."):
            found = found.get(part, "") if isinstance(found, dict) else ""
        if found != value:
            return False
    return True


def mark_deleted(thing: Object) -> None:
    thing["metadata"].setdefault("deletionTimestamp", "2026-01-01T00:00:00Z")


def merge_patch(thing: Object, patch: Object) -> None:
    """Mappings are merged, and conditions by their type, as the client asks for; other lists are replaced."""
    for key, value in patch.items():
        if isinstance(value, dict):
            merge_patch(thing.setdefault(key, {}), value)
        elif key == "conditions":
            merged = {one["type"]: one for one in (*thing.get(key, ()), *value)}
            thing[key] = list(merged.values())
        elif value is None:
            thing.pop(key, None)
        else:
            thing[key] = value
