"""Serves the dashboard until a signal comes."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from metaqnn_orch.errors import BadInput
from metaqnn_orch.needs import need
from metaqnn_trainer.store.base import Store

TOKEN_VARIABLE: Final = "METAQNN_DASHBOARD_TOKEN"
SHORTEST_TOKEN: Final = 16  # characters of a token that somebody chose
EVERYWHERE: Final = ("0.0.0.0", "::")


class Listening(NamedTuple):
    """Where the dashboard answers."""

    host: str
    port: int
    token: str
    """The token that a browser must know; empty where none is needed."""
    chosen: bool
    """Whether somebody chose the token: they know it, and others may read what is printed."""

    def url(self, path: str = "/", *, shown: bool = False) -> str:
        """The address for a browser on this machine, or on another where the server listens on one address alone. It
        holds the token; where it is `shown`, as in a Pod's log, the name of the variable stands for a token that
        somebody chose.
        """
        token = f"${TOKEN_VARIABLE}" if shown and self.chosen else self.token
        host = "localhost" if self.host in EVERYWHERE else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{path}" + (f"?token={token}" if token else "")


def serve(
    store: Store,
    *,
    host: str,
    port: int,
    names: Sequence[str],
    listening: Callable[[Listening], None],
) -> None:
    """Serve the dashboard of a store until Ctrl-C (KeyboardInterrupt) or another signal comes. `listening` is called
    when the server can be reached. `names` are host names under which it answers, too. Port 0 chooses a free one.

    Raises:
        BadInput: the libraries of the extra `dashboard` are not installed, the port is taken, the address is not one of
            this machine, or the token in the environment is too short.
    """
    need("dashboard", "the dashboard")
    import uvicorn

    from metaqnn_orch.dashboard.guard import LOOPBACK_NAMES, is_loopback
    from metaqnn_orch.dashboard.shelf import Shelf
    from metaqnn_orch.dashboard.web import application

    local = is_loopback(host)
    given = _given_token()
    token = given or ("" if local else secrets.token_urlsafe(24))
    with _bound(host, port) as bound:
        where = Listening(host, int(bound.getsockname()[1]), token, bool(given))
        own = {*LOOPBACK_NAMES, host, *names} if local else {*LOOPBACK_NAMES, host, socket.gethostname(), *names}
        app = application(Shelf(store), token=token, names=tuple(own), any_address=not local)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        listening(where)
        uvicorn.Server(config).run(sockets=[bound])


def _given_token() -> str:
    """The token from the environment; empty where it names none.

    Raises:
        BadInput: it is too short.
    """
    given = os.environ.get(TOKEN_VARIABLE, "").strip()
    if given and (len(given) < SHORTEST_TOKEN or not given.isascii() or not given.isprintable()):
        raise BadInput(
            f"{TOKEN_VARIABLE} must have at least {SHORTEST_TOKEN} characters, all of them ASCII",
            hint="openssl rand -hex 20 makes one",
        )
    return given


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        BadInput: nobody can listen there.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        # Python adds the address to the system's own words.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise BadInput(f"cannot listen on {host} port {port}: {reason}", hint="--port 0 takes any free port") from None
