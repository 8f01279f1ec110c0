"""The API over HTTP, and a plan of faults between it and its clients."""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from tests.launchers.kubernetes.double.checks import refusals
from tests.launchers.kubernetes.double.objects import (
    Object,
    Objects,
    Refused,
    copied,
    mark_deleted,
    matches,
    merge_patch,
)

_PATH = re.compile(
    r"/(?:api/v1|apis/batch/v1)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<resource>jobs|pods|events|configmaps)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>log|status))?"
)


CALLER = "X-Caller"
"""Header that says whose a request is, where several clients meet one API."""


class Ask(NamedTuple):
    """One request."""

    verb: str
    """As RBAC has it: list, watch, get, create, delete, patch."""
    resource: str
    query: dict[str, str]
    number: int
    """Number of this call among those of its verb, resource and caller, from 1."""
    headers: Message


class Fault(NamedTuple):
    """What happens to a request. The default is nothing at all."""

    status: int = 0
    """Answered instead of doing it."""
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b"<html>a proxy's page</html>"
    stall: float = 0.0
    """Seconds before anything happens."""
    reset: bool = False
    """The connection is cut before anything happens."""
    lose_reply: bool = False
    """It is done, and the connection is cut instead of answered."""
    after: Callable[[], object] = lambda: None
    """Called when it is done, before anything is answered."""
    cut_reply: bool = False
    """It is done, and half of the answer is sent. A watch ends within its first event."""
    event: bytes = b""
    """Sent by a watch before anything else, as it is."""
    watch_seconds: float | None = None
    """A watch is ended so soon."""


def no_fault(ask: Ask) -> Fault:
    return Fault()


class Api:
    """The server's side of everything, to be turned by tests."""

    def __init__(self) -> None:
        self.objects = Objects()
        self.token = "secret-token"
        self.denied: set[tuple[str, str]] = set()
        """Verbs and resources that the client's role lacks."""
        self.admission: Callable[[str, Object], Refused | None] = lambda resource, thing: None
        self.faults: Callable[[Ask], Fault] = no_fault
        self.asked: list[Ask] = []
        self.logs: Callable[[str, str], str] = lambda namespace, pod: ""
        self.bookmark_seconds = 0.5
        self.namespaces: set[str] | None = None
        """Those that there are; any if None."""
        self.others: dict[str, Object] = {}
        """Whatever else can be got, by path."""
        self.version = "v1.36.2"
        self.warning = ""
        """What a creation is warned of."""
        self._counts: dict[tuple[str, str, str], Iterator[int]] = {}
        self._pages: dict[str, tuple[int, list[Object]]] = {}

    def number(self, verb: str, resource: str, caller: str) -> int:
        return next(self._counts.setdefault((verb, resource, caller), count(1)))

    def asks(self, verb: str, resource: str = "jobs") -> int:
        """How many requests of this kind there were."""
        return sum((ask.verb, ask.resource) == (verb, resource) for ask in self.asked)

    def create(self, resource: str, namespace: str, thing: Object, *, keep: bool = True) -> Object:
        refused = self.admission(resource, thing)
        if refused is not None:
            raise refused
        if self.namespaces is not None and namespace not in self.namespaces:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        return self.objects.create(resource, namespace, thing) if keep else thing

    def delete(self, resource: str, namespace: str, name: str, options: Object) -> Object:
        thing = self.objects.get(resource, namespace, name)
        uid = (options.get("preconditions") or {}).get("uid")
        if uid not in (None, thing["metadata"]["uid"]):
            raise Refused(409, "Conflict", f"the UID in the precondition ({uid}) does not match")
        if resource == "pods":  # the kubelet removes it when its process has ended
            self.objects.update(resource, namespace, name, mark_deleted)
            return thing
        orphaned = options.get("propagationPolicy", "Orphan") == "Orphan"
        if orphaned:  # as the garbage collector does: it is marked, its Pods are let go, and then it is removed
            self.objects.update(resource, namespace, name, mark_deleted)
        else:
            self.objects.remove(resource, namespace, name)
        for pod in self.objects.all("pods", namespace):
            if any(owner["uid"] == thing["metadata"]["uid"] for owner in pod["metadata"].get("ownerReferences", ())):
                self.objects.update("pods", namespace, pod["metadata"]["name"], disown if orphaned else mark_deleted)
        if orphaned:
            self.objects.remove(resource, namespace, name)
        return thing

    def patch(self, resource: str, namespace: str, name: str, patch: Object, part: str | None) -> Object | None:
        """The status of a Job is a part of its own: what names it changes nothing else, and it alone changes it."""

        def change(thing: Object) -> None:
            old = copied(thing)
            keys = patch.keys() & ({"status"} if part else patch.keys() - {"status"})
            merge_patch(thing, {key: patch[key] for key in keys})
            if part and (wrong := "; ".join(refusals(old, thing))):
                raise Refused(422, "Invalid", f'Job.batch "{name}" is invalid: status: {wrong}')

        return self.objects.update(resource, namespace, name, change)

    def page(self, resource: str, namespace: str, query: dict[str, str]) -> Object:
        token, limit = query.get("continue", ""), int(query.get("limit", 0))
        with self.objects.changed:
            if token:
                if token not in self._pages:
                    raise Refused(410, "Expired", "The provided continue parameter is too old")
                version, found = self._pages.pop(token)
            else:
                labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
                version = self.objects.version
                found = [thing for thing in self.objects.all(resource, namespace) if matches(thing, labels, fields)]
            metadata: Object = {"resourceVersion": str(version)}
            if limit and len(found) > limit:
                metadata["continue"] = f"page-{version}-{len(found)}"
                self._pages[metadata["continue"]] = (version, found[limit:])
                found = found[:limit]
        return {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": found}

    def forget_pages(self) -> None:
        """Continue tokens expire."""
        self._pages.clear()


def disown(thing: Object) -> None:
    del thing["metadata"]["ownerReferences"]


@contextmanager
def serving(api: Api, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The API at a URL, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}") if length else {}
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query))
            place = _PATH.fullmatch(parts.path)
            verb, resource = self.verb(place, parts.path, query)
            ask = Ask(verb, resource, query, api.number(verb, resource, self.headers.get(CALLER, "")), self.headers)
            api.asked.append(ask)
            fault = api.faults(ask)
            if fault.stall:
                time.sleep(fault.stall)
            if fault.reset:
                return self.hang_up()
            if fault.status:
                return self.answer(fault.status, fault.body, fault.headers)
            try:
                if self.headers.get("Authorization") != f"Bearer {api.token}":
                    raise Refused(401, "Unauthorized", "Unauthorized")
                if ("create" if verb == "judge" else verb, resource) in api.denied:
                    raise Refused(
                        403, "Forbidden", f'{resource} is forbidden: User "x" cannot {verb} resource "{resource}"'
                    )
                if verb == "watch" and place is not None:
                    return self.stream(place["namespace"], resource, query, fault)
                answer = self.do(verb, place, parts.path, query, body)
            except Refused as refused:
                return self.answer(refused.status, json.dumps(refused.body()).encode(), refused.headers)
            fault.after()
            if fault.lose_reply:
                return self.hang_up()
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            told = {"Warning": f'299 - "{api.warning}"'} if api.warning and verb in ("create", "judge") else {}
            return self.answer(201 if verb in ("create", "judge") else 200, data, told, cut=fault.cut_reply)

        def verb(self, place: re.Match[str] | None, path: str, query: dict[str, str]) -> tuple[str, str]:
            verbs = {"POST": "create", "DELETE": "delete", "PATCH": "patch"}
            if place is None:
                return verbs.get(self.command, "get"), "reviews" if "review" in path else path.rpartition("/")[2]
            if self.command == "GET" and place["name"] is None:
                where = "" if place["namespace"] else " everywhere"
                return "watch" if query.get("watch") in ("true", "True") else "list", place["resource"] + where
            verb = "judge" if query.get("dryRun") == "All" else verbs.get(self.command, "get")
            return verb, "/".join(filter(None, (place["resource"], place["sub"])))

        def do(self, verb: str, place: re.Match[str] | None, path: str, query: dict[str, str], body: Object) -> Any:
            if place is None:
                if path.startswith("/version"):
                    return {"gitVersion": api.version}
                if verb == "get":
                    if path not in api.others:
                        raise Refused(404, "NotFound", f"{path} not found")
                    return api.others[path]
                wanted = body["spec"]["resourceAttributes"]
                resource = "/".join(filter(None, (wanted["resource"], wanted.get("subresource"))))
                return {**body, "status": {"allowed": (wanted["verb"], resource) not in api.denied}}
            namespace, resource, name = place["namespace"], place["resource"], place["name"]
            match verb:
                case "list":
                    return api.page(resource, namespace, query)
                case "create" | "judge":
                    return api.create(resource, namespace, body, keep=verb == "create")
                case "delete":
                    return {"kind": resource, **api.delete(resource, namespace, name, body)}
                case "patch":
                    return api.patch(resource, namespace, name, body, place["sub"])
                case _ if place["sub"]:
                    api.objects.get("pods", namespace, name)
                    return api.logs(namespace, name).encode()
                case _:
                    return api.objects.get(resource, namespace, name)

        def stream(self, namespace: str, resource: str, query: dict[str, str], fault: Fault) -> None:
            version = int(query.get("resourceVersion") or 0)
            seconds = float(query.get("timeoutSeconds") or 60) if fault.watch_seconds is None else fault.watch_seconds
            end = time.monotonic() + seconds
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            with suppress(OSError):
                self.chunk(fault.event)
                marked = time.monotonic()
                while (left := end - time.monotonic()) > 0:
                    lines, version = self.changes(namespace, resource, query, version)
                    if lines and fault.cut_reply:
                        self.chunk(lines[: len(lines) // 2])
                        return self.hang_up()
                    due = time.monotonic() - marked >= api.bookmark_seconds
                    if due and not lines and query.get("allowWatchBookmarks") in ("true", "True"):
                        marked = time.monotonic()
                        mark = {"kind": "x", "metadata": {"resourceVersion": str(version)}}
                        lines = json.dumps({"type": "BOOKMARK", "object": mark}).encode() + b"\n"
                    self.chunk(lines)
                    if b'"type": "ERROR"' in lines:
                        break
                    with api.objects.changed:
                        if api.objects.version == version:
                            api.objects.changed.wait(min(left, api.bookmark_seconds))
                self.wfile.write(b"0\r\n\r\n")
                return None
            self.close_connection = True
            return None

        def changes(self, namespace: str, resource: str, query: dict[str, str], version: int) -> tuple[bytes, int]:
            with api.objects.changed:
                try:
                    found = api.objects.since(version, resource)
                except Refused as refused:
                    return json.dumps({"type": "ERROR", "object": refused.body()}).encode() + b"\n", version
                newest = api.objects.version
            lines = [
                json.dumps({"type": change.kind, "object": change.thing}).encode() + b"\n"
                for change in found
                if change.thing["metadata"]["namespace"] == namespace
                and matches(change.thing, query.get("labelSelector", ""), query.get("fieldSelector", ""))
            ]
            return b"".join(lines), newest

        def chunk(self, data: bytes) -> None:
            if data:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        def answer(self, status: int, data: bytes, headers: Mapping[str, str] | None = None, cut: bool = False) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if cut else data)
            if cut:
                self.hang_up()

        def hang_up(self) -> None:
            with suppress(OSError):
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

        do_GET = do_POST = do_DELETE = do_PATCH = do_any  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

        def finish_request(self, request: Any, client_address: Any) -> None:
            if tls is None:
                super().finish_request(request, client_address)
                return
            with tls.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that left

    with Server(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
