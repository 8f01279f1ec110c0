"""Talks to the Kubernetes API, through its official client; no other file imports the client.

Objects go in and come out as plain mappings. Every call has a time-out and is made once; the caller repeats what may be
repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, Final, NamedTuple

from kubernetes import client as api

from metaqnn_orch.errors import ClusterError, one_line
from metaqnn_orch.launchers.kubernetes.answers import event, json_object, lines, thing, whole
from metaqnn_orch.launchers.kubernetes.calls import Calls
from metaqnn_orch.launchers.kubernetes.credentials import Connection
from metaqnn_orch.launchers.kubernetes.names import RUN, TRIAL

TIMEOUT: Final = (5.0, 30.0)  # seconds to connect, and seconds without a byte
WATCH_SECONDS: Final = 30  # seconds after which the API ends a watch, so that a dead connection is noticed soon after
PAGE: Final = 500
RESTARTS: Final = 3  # tries of a listing whose pages expired
MAX_LOG: Final = 4 << 20

Object = Mapping[str, Any]


class Resource(Enum):
    """A kind of object that is listed and watched: its client, and the name in which the client's methods end."""

    JOBS = ("jobs", api.BatchV1Api, "namespaced_job")
    PODS = ("pods", api.CoreV1Api, "namespaced_pod")
    EVENTS = ("events", api.CoreV1Api, "namespaced_event")
    CONFIG_MAPS = ("configmaps", api.CoreV1Api, "namespaced_config_map")

    @property
    def plural(self) -> str:
        return str(self.value[0])


class Lookup(Enum):
    """An object that is looked up by itself, and the client's method for it."""

    CONFIG_MAP = "read_namespaced_config_map"
    SERVICE_ACCOUNT = "read_namespaced_service_account"
    SECRET = "read_namespaced_secret"
    QUOTAS = "list_namespaced_resource_quota"
    NODES = "list_node"


class Judgement(NamedTuple):
    """What a server says to an object that it does not store."""

    made: dict[str, Any]
    """The object, as it would have been stored."""
    warnings: tuple[str, ...]
    """The server's warnings, such as those of the Pod security."""


class Listing(NamedTuple):
    """Every object that existed at one moment."""

    items: list[dict[str, Any]]
    version: str
    """The version from which a watch goes on."""


class Cluster:
    """One namespace of a cluster. It is safe to use from many threads."""

    def __init__(
        self,
        connect: Callable[[str | None], Connection],
        namespace: str | None = None,
        timeout: tuple[float, float] = TIMEOUT,
        context: str | None = None,
    ) -> None:
        """`connect` is called now, and again when the credentials are no longer accepted. `timeout`: seconds to
        connect, and to wait for an answer. `context`: name of the kubeconfig's context.

        Raises:
            LauncherError: as `connect` says.
        """
        self._calls = Calls(connect, namespace, timeout, context)
        self.namespace = self._calls.namespace
        self.server = self._calls.server

    @property
    def silence(self) -> str:
        """Words for an API that takes calls and says nothing; empty while it answers."""
        return self._calls.silence

    @property
    def disowned(self) -> bool:
        """Whether the account of this Pod was deleted. Its token belongs to no other account, so that only another Pod
        can go on. Other credentials may be renewed, and the run waits for that.
        """
        return self._calls.disowned

    def close(self) -> None:
        """Close the connections that are not in use; calls under way go on to their end."""
        self._calls.close()

    def version(self) -> str:
        """Version of the server, for example v1.34.1."""
        with self._calls.named("ask for the version"):
            return str(json_object(self._calls.ask(api.VersionApi, "get_code")).get("gitVersion", ""))

    def list(self, resource: Resource, labels: str = "", fields: str = "", *, everywhere: bool = False) -> Listing:
        """All objects, page by page. The listing begins again when its pages expire, so that no partial list is ever
        returned. `everywhere` lists all namespaces, which few credentials are allowed to.
        """
        with self._calls.named(f"list {resource.plural}"):
            for restart in range(RESTARTS + 1):
                try:
                    return self._pages(resource, labels, fields, everywhere)
                except api.ApiException as error:
                    if error.status != 410 or restart == RESTARTS:
                        raise
        raise AssertionError("the last restart returns or raises")

    def watch(
        self, resource: Resource, labels: str, version: str, on_open: Callable[[Callable[[], None]], None]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Changes since `version`, by type and object, until the API ends the watch. `on_open` gets a function that
        ends the watch from another thread.

        Raises:
            ClusterError: the watch failed in any way. A new listing shows what it missed.
        """
        with self._calls.named(f"watch {resource.plural}"):
            answer = self._calls.open(
                resource.value[1],
                f"list_{resource.value[2]}",
                self.namespace,
                watch=True,
                allow_watch_bookmarks=True,
                label_selector=labels,
                resource_version=version,
                timeout_seconds=WATCH_SECONDS,
                _request_timeout=(self._calls.timeout[0], WATCH_SECONDS + self._calls.timeout[0]),
            )
            on_open(answer.shutdown)
            try:
                for line in lines(answer):
                    yield event(line)
            finally:
                answer.close()

    def create_job(self, body: Object) -> dict[str, Any]:
        with self._calls.named(f"create job {body['metadata']['name']}"):
            return thing(self._calls.ask(api.BatchV1Api, "create_namespaced_job", self.namespace, body))

    def dry_run(self, resource: Resource, body: Object) -> Judgement:
        """Have the server judge an object without storing it."""
        with self._calls.named(f"check a dry run of {resource.plural}"):
            group, name = resource.value[1:]
            answer = self._calls.open(group, f"create_{name}", self.namespace, body, dry_run="All")
            made = json_object(answer.data)
            texts = (text.split('"', 1)[-1].removesuffix('"') for text in answer.headers.getlist("Warning"))
            return Judgement(made, tuple(one_line(text.replace('\\"', '"')) for text in texts))

    def seconds_ahead(self) -> float:
        """Seconds by which the server's clock is ahead of this machine's; the server's answers name whole seconds."""
        with self._calls.named("ask for the time"):
            answer = self._calls.open(api.VersionApi, "get_code")
            json_object(answer.data)
            try:
                return parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
            except (KeyError, TypeError):  # a server that does not say its time
                return 0.0

    def look_up(self, kind: Lookup, *name: str) -> dict[str, Any]:
        """The release by its name, or an object that only a diagnosis asks for, and that few credentials may see."""
        with self._calls.named(f"look up {' '.join((kind.name.lower(), *name))}"):
            where = () if kind is Lookup.NODES else (self.namespace,)
            return json_object(self._calls.ask(api.CoreV1Api, kind.value, *name, *where))

    def look_up_in(self, group: str, plural: str, name: str, *, everywhere: bool = False) -> dict[str, Any]:
        """An object of a group of resources that not every server has, in the version that the server prefers.
        `everywhere`: it belongs to no namespace.

        Raises:
            ClusterError: status 404 if there is none; with the reason NoGroup if the server does not serve the group.
        """
        version = self.served_version(group)
        if not version:
            raise ClusterError(f"the cluster does not know {group}", status=404, reason="NoGroup")
        with self._calls.named(f"look up {plural} {name}"):
            if everywhere:
                answer = self._calls.ask(
                    api.CustomObjectsApi, "get_cluster_custom_object", group, version, plural, name
                )
            else:
                place = (group, version, self.namespace, plural, name)
                answer = self._calls.ask(api.CustomObjectsApi, "get_namespaced_custom_object", *place)
            return json_object(answer)

    def served_version(self, group: str) -> str:
        """The version in which the server prefers to serve a group of resources; empty if it does not serve it."""
        with self._calls.named(f"ask for {group}"):
            return self._preferred_version(group)

    def get_job(self, name: str) -> dict[str, Any]:
        with self._calls.named(f"get job {name}"):
            return thing(self._calls.ask(api.BatchV1Api, "read_namespaced_job", name, self.namespace))

    def delete_job(self, name: str, uid: str) -> None:
        """Delete the Job of this uid and its Pods. Nothing happens where the Job is gone, or another Job has its
        name.
        """
        # Without the policy the Pods would stay, and keep their GPUs.
        self._delete(Resource.JOBS, name, uid, propagationPolicy="Background")

    def delete_pod(self, name: str, uid: str) -> None:
        """Delete the Pod of this uid, as `delete_job` deletes a Job."""
        self._delete(Resource.PODS, name, uid)

    def _delete(self, resource: Resource, name: str, uid: str, **options: str) -> None:
        group, method = resource.value[1:]
        body = {**options, "preconditions": {"uid": uid}}
        try:
            with self._calls.named(f"delete {resource.plural.removesuffix('s')} {name}"):
                answer = json_object(self._calls.ask(group, f"delete_{method}", name, self.namespace, body=body))
                if not isinstance(answer.get("kind"), str):
                    raise ValueError("an answer without kind")
        except ClusterError as error:
            if error.status not in (404, 409):
                raise

    def read_log(self, pod: str, container: str, tail: int | None = None) -> str:
        """The last `tail` lines of a container, or all of them."""
        options = {"tail_lines": tail} if tail is not None else {}
        with self._calls.named(f"read the log of pod {pod}"):
            answer = self._calls.ask(
                api.CoreV1Api,
                "read_namespaced_pod_log",
                pod,
                self.namespace,
                container=container,
                limit_bytes=MAX_LOG,
                **options,
            )
            return answer.decode(errors="replace")

    def may(self, verb: str, resource: str, group: str = "", subresource: str = "", name: str = "") -> bool:
        """Whether these credentials have this right in this namespace, for all objects or for the one of that name."""
        attributes = {"namespace": self.namespace, "verb": verb, "resource": resource, "group": group}
        attributes |= {key: text for key, text in (("subresource", subresource), ("name", name)) if text}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        with self._calls.named(f"ask whether it may {verb} {resource}"):
            answer = self._calls.ask(api.AuthorizationV1Api, "create_self_subject_access_review", review)
            return json_object(answer).get("status", {}).get("allowed") is True

    def _preferred_version(self, group: str) -> str:
        """The version in which the server prefers to serve a group of resources; empty if it does not serve the
        group.
        """
        try:
            # The client has no method of its own for this call.
            answer = self._calls.ask(
                lambda client: client, "call_api", f"/apis/{group}", "GET", auth_settings=["BearerToken"]
            )
        except api.ApiException as error:
            if error.status != 404:
                raise
            return ""
        return str((json_object(answer).get("preferredVersion") or {}).get("version") or "")

    def _pages(self, resource: Resource, labels: str, fields: str, everywhere: bool) -> Listing:
        method, where = f"list_{resource.value[2]}", [self.namespace]
        if everywhere:
            method, where = f"{method.replace('_namespaced', '')}_for_all_namespaces", []
        items: list[dict[str, Any]] = []
        token = ""
        while True:
            page = json_object(
                self._calls.ask(
                    resource.value[1],
                    method,
                    *where,
                    limit=PAGE,
                    **{k: v for k, v in (("label_selector", labels), ("field_selector", fields)) if v},
                    **({"_continue": token} if token else {}),
                )
            )
            found, metadata = page.get("items"), page.get("metadata")
            # Part of a list would be taken for the whole: an answer that is no list ends the listing.
            if (
                not isinstance(found, list | None)
                or not isinstance(metadata, dict)
                or "resourceVersion" not in metadata
            ):
                raise ValueError("an answer that is no list")
            items += map(whole, found or ())
            token = str(metadata.get("continue") or "")
            if not token:
                return Listing(items, str(metadata["resourceVersion"]))


def refuse_unreachable(cluster: Cluster) -> None:
    """Check that Jobs and Pods can be listed.

    Raises:
        ClusterError: the API does not answer, or refuses to list Jobs and Pods.
    """
    for resource in (Resource.JOBS, Resource.PODS):
        cluster.list(resource, labels=f"{RUN}=,{TRIAL}=")
    if not cluster.may("create", "jobs", "batch"):
        raise ClusterError(
            f"these credentials may not create Jobs in namespace {cluster.namespace} of {cluster.server}",
            hint="metaqnn-orch doctor lists every permission that is needed",
            status=403,
        )
