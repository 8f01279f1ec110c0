"""Whether a search moves: it is not killed for waiting, and is when it is stuck."""

from __future__ import annotations

from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from metaqnn_orch.application.health import STUCK_SECONDS, Pulse
from metaqnn_orch.errors import BadInput


def test_a_search_that_is_stuck() -> None:
    time = 0.0
    pulse = Pulse(lambda: time)
    with pulse.served(0) as port:

        def status(path: str = "/healthz") -> int:
            try:
                with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                    return int(answer.status)
            except HTTPError as error:
                return error.code

        time = 2 * STUCK_SECONDS
        assert status() == 200, "it may make a dataset before it begins"
        pulse.beat()
        time += STUCK_SECONDS
        assert status() == 200
        time += 1
        assert status() == 503
        pulse.beat()
        assert status() == 200, "a machine that slept goes on"
        time += 2 * STUCK_SECONDS
        pulse.end()
        assert status() == 200, "and it may clear up"
        assert status("/") == 404
        with pytest.raises(BadInput, match=f"port {port} cannot be used"), pulse.served(port):
            pass
