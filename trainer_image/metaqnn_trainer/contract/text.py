"""Foreign text that is about to be shown."""

from __future__ import annotations

import re
from typing import Final

_TERMINAL_COMMAND: Final = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)")
_USER_INFO: Final = re.compile(r"//[^/\s]+@")


def one_line(text: str, limit: int = 300) -> str:
    """Foreign text as one readable line: no control characters, no password in a URL, its middle left out if longer
    than `limit` characters. What another program wrote may hold anything, and is printed to a terminal."""
    plain = _TERMINAL_COMMAND.sub("", text)
    visible = "".join(letter if letter.isprintable() else " " for letter in plain)
    line = " ".join(_USER_INFO.sub("//***@", visible).split())
    if len(line) <= limit:
        return line
    kept = limit - 3
    return line[: kept // 2] + "..." + line[len(line) - (kept - kept // 2) :]
