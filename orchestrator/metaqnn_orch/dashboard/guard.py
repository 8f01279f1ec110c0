"""Who may ask the dashboard, and what: read requests alone, under a name of this server, with the token where there is
one.

A page of another site can make a browser ask this server, under a name of its own that it lets point here (DNS
rebinding). So only names that are known are answered. Addresses are answered, too, because no site decides where
those point.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEALTH: Final = "/healthz"
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Stands before the application: refuses what nobody should ask, and adds the headers that protect the pages."""

    def __init__(self, app: ASGIApp, *, token: str, names: Collection[str], any_address: bool) -> None:
        """`token` is empty where none is needed. `names` are the host names that are answered; with `any_address` all
        IP addresses are, too.
        """
        self._app = app
        self._token = token
        self._names = {name.lower() for name in names}
        self._any_address = any_address
        self._cookie = "metaqnn-" + _digest(token)[:12]  # cookies do not know ports: several dashboards have several

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        refusal = self._refusal(Request(scope))
        await (refusal or self._app)(scope, receive, send_safely)

    def _refusal(self, request: Request) -> Response | None:
        """The answer to a request that the application does not get; None where it gets it."""
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("this server only shows\n", 405, {"Allow": "GET, HEAD"})
        if not self._is_answered(host_of(request.headers)):
            return PlainTextResponse(
                "this name is not answered; metaqnn-orch dashboard --answer-to NAME allows it\n", 421
            )
        if not self._token or request.url.path == HEALTH:
            return None
        if _same(request.cookies.get(self._cookie, ""), self._token):
            return self._without_token(request)
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if _same(bearer, self._token):
            return None
        if _same(request.query_params.get("token", ""), self._token):
            answer = self._without_token(request) or RedirectResponse("/", 303)
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
            return answer
        return PlainTextResponse("open the address with the token that metaqnn-orch dashboard printed\n", 401)

    def _without_token(self, request: Request) -> Response | None:
        """A redirection to the same page without the token in its address, so that it is not left in a history."""
        if "token" not in request.query_params:
            return None
        others = [(name, value) for name, value in parse_qsl(request.url.query) if name != "token"]
        path = "/" + request.url.path.lstrip("/")  # "//host" would be another site
        return RedirectResponse(path + (f"?{urlencode(others)}" if others else ""), 303)

    def _is_answered(self, host: str) -> bool:
        return host in self._names or (self._any_address and _is_address(host))


def host_of(headers: Headers) -> str:
    """The name or address that a request is meant for, without its port, in lower case; empty where it names none."""
    host = headers.get("Host", "").lower()
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit() and (not name.endswith(":") and ("[" in name or ":" not in name)):
        host = name
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach this address."""
    if host == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _same(given: str, wanted: str) -> bool:
    """Whether the texts are equal; how long this takes says nothing of where they differ."""
    return hmac.compare_digest(_digest(given), _digest(wanted))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
