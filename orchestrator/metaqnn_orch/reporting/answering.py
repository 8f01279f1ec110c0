"""Whether anybody answers at an address, found out in seconds: clients of servers may try for minutes."""

from __future__ import annotations

import ssl
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

_SECONDS: Final = 5.0


def check_answers(uri: str, seconds: float = _SECONDS) -> None:
    """Check that a server answers at `uri`, whatever it says. An address of another kind than http has no server.

    Raises:
        ConnectionError: nobody answers within so many seconds.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return
    host = parts.netloc.rpartition("@")[2]  # without user and password
    health = urlunsplit((parts.scheme, host, f"{parts.path.rstrip('/')}/health", "", ""))
    try:
        with urlopen(Request(health, method="GET"), timeout=seconds):
            pass
    except HTTPError as error:
        error.close()
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if not isinstance(reason, ssl.SSLError):  # it answers, and the client may know its authority
            raise ConnectionError(f"no answer from {host}: {reason}") from None
