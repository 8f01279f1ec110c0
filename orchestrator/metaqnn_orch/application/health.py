"""Says over HTTP whether a search still moves: for the liveness probe of its Pod.

A search that waits moves: for a store or an API that is out of reach, for a queue, for trials. Each of its calls has a
time-out, and between two of them it looks whether it was asked to stop. Only one that has not looked for half an hour
is stuck. Its lease does not show that, because a thread of its own renews it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from metaqnn_orch.errors import BadInput

PATH: Final = "/healthz"
STUCK_SECONDS: Final = 1800.0  # a step may make many calls, and a slow store may take a minute for each


class Pulse:
    """When a search last moved. It is safe to use from several threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last: float | None = None

    def beat(self) -> None:
        self._last = self._monotonic()

    def end(self) -> None:
        """What comes now may take as long as it likes."""
        self._last = None

    def still_for(self) -> float:
        """Seconds since the last beat; 0 where there was none, because a search has not begun, or has ended."""
        last = self._last
        return 0.0 if last is None else self._monotonic() - last

    @contextmanager
    def served(self, port: int) -> Iterator[int]:
        """Answer 200 at /healthz while the search moves, and 503 when it is stuck. Yields the port; 0 chooses one.

        Raises:
            BadInput: the port is taken.
        """
        pulse = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10.0  # seconds for a request

            def do_GET(self) -> None:
                still = pulse.still_for()
                status = 404 if self.path != PATH else 503 if still > STUCK_SECONDS else 200
                text = f"the last step of the search was {still:.0f} s ago\n".encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:
                """A probe comes every minute: nobody wants to read of it."""

        try:
            server = ThreadingHTTPServer(("", port), Handler)
        except OSError as error:
            raise BadInput(f"port {port} cannot be used: {error.strerror}", "choose another --health-port") from None
        threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            server.server_close()
