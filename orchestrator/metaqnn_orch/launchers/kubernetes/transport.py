"""How a connection is made: authorities, certificates, proxies. The environment is read as Go programs such as kubectl
read it: HTTPS_PROXY for https, HTTP_PROXY for http, but no proxy for hosts in NO_PROXY, and never for this machine
itself.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import urllib3

from metaqnn_orch.launchers.kubernetes.kubeconfig import KubeconfigEntry
from metaqnn_orch.launchers.kubernetes.refusals import cause

MAX_CONNECTIONS: Final = 16


def authority(entry: KubeconfigEntry, key: str, insecure: bool = False) -> ssl.SSLContext:
    """A TLS context that trusts the authority that the entry names, or this system's authorities if it names none.

    Raises:
        LauncherError: its file is missing, or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cadata=entry.content(key).decode("ascii", "ignore") or None)
    except (ssl.SSLError, ValueError) as error:
        raise entry.wrong(f"{key} holds no certificate: {cause(error)}") from None
    # Authorities of clusters often lack fields that Python 3.13 began to require; kubectl accepts them.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", ssl.VerifyFlags(0))
    if insecure:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # one context for each request
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def show_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Add the client's certificate to the context. Python reads certificates from files alone: so files exist for a
    moment.

    Raises:
        OSError, ValueError: the certificate is invalid, or the key does not belong to it.
    """
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "certificate"
        pem.touch(0o600)
        pem.write_bytes(certificate + b"\n" + key)
        context.load_cert_chain(pem)


def pools(
    tls: ssl.SSLContext | None,
    proxy: str = "",
    server_name: str = "",
    headers: Sequence[tuple[str, str]] = (),
) -> urllib3.PoolManager:
    """A pool of connections. `headers` are sent with every request; one name may occur several times."""
    options: dict[str, Any] = {"maxsize": MAX_CONNECTIONS, "retries": False}  # the caller repeats a request
    if tls is not None:
        options["ssl_context"] = tls
    if server_name:
        options["server_hostname"] = server_name
    if proxy:
        user = urlsplit(proxy)
        given = f"{unquote(user.username)}:{unquote(user.password or '')}" if user.username else None
        manager: urllib3.PoolManager = urllib3.ProxyManager(
            proxy, proxy_headers=urllib3.make_headers(proxy_basic_auth=given), **options
        )
    else:
        manager = urllib3.PoolManager(**options)
    if headers:
        _send_always(manager, headers)
    return manager


def _send_always(manager: urllib3.PoolManager, headers: Sequence[tuple[str, str]]) -> None:
    def sending(pool: Any) -> Any:
        class Connection(pool.ConnectionCls):  # type: ignore[misc]
            def endheaders(self, *arguments: Any, **options: Any) -> None:
                for name, value in headers:
                    self.putheader(name, value)
                super().endheaders(*arguments, **options)

        return type(pool.__name__, (pool,), {"ConnectionCls": Connection})

    manager.pool_classes_by_scheme = {name: sending(pool) for name, pool in manager.pool_classes_by_scheme.items()}


def environment_proxy(url: str) -> str:
    """The proxy that the environment names for `url`; empty for no proxy."""
    parts = urlsplit(url)
    host, port = (parts.hostname or "").lower(), parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    proxy, spared = (_variable(f"{name}_proxy") for name in (parts.scheme, "no"))
    if not proxy or _is_loopback(host) or any(_names(each.strip().lower(), host, port) for each in spared.split(",")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(name: str) -> str:
    return os.environ.get(name) or os.environ.get(name.upper()) or ""


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _names(spared: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY names the host: *, 10.0.0.0/8, 10.0.0.1, example.com, .example.com, all with :80."""
    with suppress(ValueError):
        return ipaddress.ip_address(host) in ipaddress.ip_network(spared, strict=False)
    name, colon, number = spared.rpartition(":")
    if colon and number.isdecimal():
        if int(number) != port:
            return False
        spared = name
    suffix = spared.removeprefix("*")
    return bool(spared) and (host == spared or host.endswith(suffix if suffix[:1] in ("", ".") else f".{suffix}"))
