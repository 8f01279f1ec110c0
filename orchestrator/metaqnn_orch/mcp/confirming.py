"""Confirmations: what changes something is first shown, and done only with the token of what was shown."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from metaqnn_orch.errors import BadInput

SECONDS: Final = 900.0
"""How long a token is valid."""
_MOST: Final = 100  # tokens at a time

T = TypeVar("T")


class Confirmations(Generic[T]):
    """What was shown and not yet confirmed, by its token. A token is good for once."""

    def __init__(self, preview: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`preview` names the tool that gives tokens."""
        self._preview = preview
        self._monotonic = monotonic
        self._shown: dict[str, tuple[float, T]] = {}

    def show(self, what: T) -> str:
        """The token for what is shown."""
        while len(self._shown) >= _MOST:
            del self._shown[next(iter(self._shown))]
        token = secrets.token_hex(8)
        self._shown[token] = self._monotonic(), what
        return token

    def confirmed(self, token: str) -> T:
        """What the token stands for.

        Raises:
            BadInput: it stands for nothing, was used, or is too old.
        """
        at, what = self._shown.pop(token, (None, None))
        if at is None or what is None or self._monotonic() - at > SECONDS:
            raise BadInput(
                f"the token {token[:40]!r} confirms nothing: it is unknown, was used, or is older than "
                f"{SECONDS / 60:.0f} minutes",
                hint=f"{self._preview} shows what would happen, and gives a token",
            )
        return what
