"""Reads bytes from the Kubernetes API. Whatever is not an answer of the API raises ValueError: proxies and login
portals answer, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from kubernetes import client as api

MAX_LINE: Final = 8 << 20  # bytes of one line of a watch; no object is larger than 3 MiB


def json_object(answer: bytes) -> dict[str, Any]:
    """A body that is one JSON object."""
    value = json.loads(answer)
    if not isinstance(value, dict):
        raise ValueError("an answer that is no object")
    return value


def thing(answer: bytes) -> dict[str, Any]:
    """A body that is an object of the API."""
    return whole(json_object(answer))


def whole(found: Any) -> dict[str, Any]:
    """`found`, if it is an object of the API: it has a name and a uid."""
    metadata = found.get("metadata") if isinstance(found, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(metadata.get(key), str) for key in ("name", "uid")):
        raise ValueError("an object without name or uid")
    return dict(found)


def lines(answer: Any) -> Iterator[bytes]:
    """The lines of a watch, as they come."""
    waiting = b""
    for chunk in answer.stream(1 << 16):
        *ended, waiting = (waiting + chunk).split(b"\n")
        yield from filter(None, ended)
        if len(waiting) > MAX_LINE:
            raise ValueError("a line without end")
    if waiting:
        raise ValueError("half a line")


def event(line: bytes) -> tuple[str, dict[str, Any]]:
    """One line of a watch: the event's type, and the object that it is about.

    Raises:
        ApiException: it says that the watch failed.
    """
    told = json_object(line)
    kind, about = told.get("type"), told.get("object")
    if not isinstance(kind, str) or not isinstance(about, dict):
        raise ValueError("something that is not an event")
    if kind == "ERROR":
        raise api.ApiException(status=int(about.get("code") or 500), reason=str(about.get("message") or ""))
    return kind, about
