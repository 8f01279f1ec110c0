"""The credentials for the Kubernetes API, in one place. They are read at the start, and again when the API no longer
accepts them or when they are about to expire. A failed login is tried again at the next call.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from kubernetes import client as api
from kubernetes import config
from kubernetes.config.incluster_config import InClusterConfigLoader

from metaqnn_orch.errors import LauncherError, one_line
from metaqnn_orch.launchers.kubernetes.kubeconfig import Context, KubeconfigEntry, files, read_context
from metaqnn_orch.launchers.kubernetes.login import TOKEN_FILE_SECONDS, bearer, log_in
from metaqnn_orch.launchers.kubernetes.transport import authority, environment_proxy, pools, show_certificate

AGAIN: Final = 1.0  # seconds in which a failed login is not repeated, however many calls need it
SPARE: Final = 10.0  # seconds before they expire at which credentials are read again

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Connection(NamedTuple):
    """A client with its credentials, and facts about them."""

    client: Any
    namespace: str
    inside: bool = False
    """Whether the credentials are those of the Pod that this process runs in."""
    context: str | None = None
    """Name of the kubeconfig's context; None in a Pod."""
    seconds: float = inf
    """Seconds after which the credentials are to be read again."""
    trusted: str = ""
    """The authority whose certificates are accepted, in words."""


def connect(context: str | None = None, account: Path = SERVICE_ACCOUNT) -> Connection:
    """Connect by the kubeconfig and one of its contexts, by default the current one, or by the account of the Pod that
    this process runs in. `account` is the folder in which a Pod finds its service account.

    Raises:
        LauncherError: neither leads anywhere. One line, with the file and what is wrong there.
    """
    try:
        if context is None and not files():
            return _inside(account)
        return _outside(read_context(context))
    except LauncherError as error:
        raise LauncherError(f"no cluster can be reached: {error}", error.hint) from None
    except Exception as error:  # a kubeconfig may hold anything
        where = ", ".join(map(str, files())) or "the account of this Pod"
        words = f"no cluster can be reached: {where}: {type(error).__name__}: {one_line(str(error))}"
        raise LauncherError(words) from None


class Credentials:
    """The credentials of one kubeconfig context, or of one Pod, for this process. They are safe to use from many
    threads.

    Credentials that are read again must lead to the same server as before, or they are refused: so a search does not
    move to another cluster when somebody switches the current context, or when the kubeconfig is gone for a moment.
    """

    def __init__(self, connect: Callable[[str | None], Connection], context: str | None = None) -> None:
        """Read the credentials for the first time.

        Raises:
            LauncherError: as `connect` says.
        """
        self._connect = connect
        self._lock = Lock()  # guards everything below
        self.connection = connect(context)
        """The connection with the credentials that were read last."""
        self._read_at = time.monotonic()
        self._failure: Exception | None = None
        self._failed_at = -inf

    def current(self) -> Connection:
        """The connection for the next call. If the credentials are due to be read again and that fails, the old ones
        are used: only the API knows whether they are still valid.
        """
        connection = self.connection
        if time.monotonic() - self._read_at > max(SPARE, connection.seconds - SPARE):
            with suppress(Exception):
                return self.renewed(connection)
            self._read_at += SPARE
        return connection

    def renewed(self, rejected: Connection) -> Connection:
        """A connection with other credentials than `rejected`. They are read now, unless another thread just did so.

        Raises:
            Exception: whatever `connect` raises; LauncherError if they lead to another server.
        """
        with self._lock:
            if self.connection is not rejected:
                return self.connection
            if self._failure is not None and time.monotonic() - self._failed_at < AGAIN:
                raise self._failure
            try:
                fresh = self._connect(rejected.context)
                if (fresh.inside, server(fresh)) != (rejected.inside, server(rejected)):
                    raise LauncherError(
                        f"the credentials now lead to {server(fresh)}, but led to {server(rejected)} before",
                        "start again to use the new ones",
                    )
            except Exception as error:
                self._failure, self._failed_at = error, time.monotonic()
                raise
            self.connection, self._read_at, self._failure = fresh, time.monotonic(), None
            return fresh


def server(connection: Connection) -> str:
    return one_line(str(connection.client.configuration.host))


def _inside(folder: Path) -> Connection:
    """A connection by the client's own loader, which knows where a Pod finds its account; the token is read again
    here.
    """
    settings = _settings()
    try:
        loader = InClusterConfigLoader(str(folder / "token"), str(folder / "ca.crt"), try_refresh_token=False)
        loader.load_and_set(settings)
        namespace = (folder / "namespace").read_text().strip()
    except (config.ConfigException, OSError, ValueError):
        raise LauncherError(
            "there is no kubeconfig, and this is not inside a Pod",
            hint="name a cluster with KUBECONFIG or in ~/.kube/config",
        ) from None
    account = KubeconfigEntry(folder, "service account", {"certificate-authority": str(settings.ssl_ca_cert)})
    token = str(settings.api_key["BearerToken"]).removeprefix("bearer ").strip()
    settings.api_key["BearerToken"] = bearer(account, token)
    client = api.ApiClient(settings)
    tls = authority(account, "certificate-authority")
    client.rest_client.pool_manager = pools(tls, environment_proxy(str(settings.host)))
    return Connection(client, namespace, inside=True, seconds=TOKEN_FILE_SECONDS, trusted="the cluster's own authority")


def _outside(chosen: Context) -> Connection:
    cluster, user = chosen.cluster, chosen.user
    settings = _settings()
    settings.host = cluster.text("server").rstrip("/")
    scheme = urlsplit(settings.host).scheme
    if scheme not in ("http", "https") or not urlsplit(settings.host).hostname:
        raise cluster.wrong(
            f"its server is {settings.host!r}, which is no URL" if settings.host else "it has no server"
        )
    login = log_in(user, cluster)
    if login.authorization:
        settings.api_key["BearerToken"] = login.authorization
    tls = None
    if scheme == "https":
        tls = authority(cluster, "certificate-authority", cluster.flag("insecure-skip-tls-verify"))
        if login.certificate:
            try:
                show_certificate(tls, login.certificate, login.key)
            except (OSError, ValueError) as error:
                raise user.wrong(f"its certificate and key cannot be used: {error}") from None
    proxy = cluster.text("proxy-url")
    if proxy and urlsplit(proxy).scheme not in ("http", "https"):
        raise cluster.wrong(f"proxy-url is {proxy}: only http:// and https:// proxies are supported")
    client = api.ApiClient(settings)
    client.rest_client.pool_manager = pools(
        tls, proxy or environment_proxy(settings.host), cluster.text("tls-server-name"), _acting_as(user)
    )
    named = cluster.text("certificate-authority") or ("its own" if cluster.text("certificate-authority-data") else "")
    trusted = f"{chosen.words} trusts {named or 'the authorities of this system: it names no certificate-authority'}"
    return Connection(
        client,
        chosen.own.text("namespace") or "default",
        context=chosen.name,
        seconds=login.seconds,
        trusted=trusted,
    )


def _settings() -> Any:
    settings = api.Configuration()
    settings.proxy = None  # the client uses HTTP_PROXY for every URL
    return settings


def _acting_as(user: KubeconfigEntry) -> list[tuple[str, str]]:
    """The headers of a request with another account's rights."""
    name = user.text("as")
    others = {key: user.values.get(key) for key in ("as-uid", "as-groups", "as-user-extra")}
    if not name:
        if any(others.values()):
            raise user.wrong("as-uid, as-groups and as-user-extra need as")
        return []
    extra = user.inner("as-user-extra")
    if extra is not None and extra.values:
        raise user.wrong("as-user-extra is not supported", "as, as-uid and as-groups are supported")
    uid = user.text("as-uid")
    headers = [("Impersonate-User", name), *(("Impersonate-Group", group) for group in user.texts("as-groups"))]
    return [*headers, ("Impersonate-Uid", uid)] if uid else headers
