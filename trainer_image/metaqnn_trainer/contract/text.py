"""Makes foreign text safe to show."""

from __future__ import annotations

import re
from typing import Final

_TERMINAL_COMMAND: Final = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)")
_SECRET: Final = (
    r"password|passwd|passphrase|(?<!store_)secret|token|signature|credential|(?:api|access|private)[_-]?key"
)
_SECRETS: Final = (  # each pattern is bounded, so that a megabyte without a space takes no time
    # User info of a URL; the text after a colon may hold slashes, unless it is a port.
    (re.compile(r"//(?:[^/\s]{1,500}|[^/\s:@]{0,200}:(?!\d+/)[^\s@]{0,500})@"), "//***@"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.S), "***"),
    (re.compile(r"(?i)\b((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?(?:[a-z]+\s+)?)[^\s\"',;]+"), r"\1***"),
    (re.compile(r"(?i)\b(bearer\s+)[^\s\"',;]{6,}"), r"\1***"),
    (re.compile(r"\b([Bb]asic\s+)(?=\S{0,99}?(?:[a-z][A-Z]|\d|=))[A-Za-z0-9+/]{6,}=*"), r"\1***"),
    (re.compile(r"(?<![\w-])eyJ[\w-]{5,}(?:\.[\w-]+)+"), "***"),  # a JSON web token
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"), "***"),
    # name=value, "name": "value"; and name: value, where the value does not look like a word.
    (re.compile(rf"(?i)((?:{_SECRET})[\w.-]{{0,40}}[\"']?\s*(?:=\s*[\"']?|:\s*[\"']))[^\s\"',;&]+"), r"\1***"),
    (re.compile(rf"(?i)((?:{_SECRET})[\w.-]{{0,40}}:\s*)(?=\S{{0,99}}?\d)[^\s\"',;&]{{6,}}"), r"\1***"),
    (re.compile(r"(?i)(\bpass(?:word|wd|phrase):\s*)[^\s\"',;&]+"), r"\1***"),
)


def redacted(text: str) -> str:
    """`text` with *** for what looks like a secret: passwords in URLs, tokens, keys of AWS, private keys."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def one_line(text: str, limit: int = 300) -> str:
    """Foreign text as one readable line: no control characters, no secret, and its middle left out if it is longer than
    `limit` characters. Text from another program may hold anything, and is printed to a terminal.
    """
    plain = _TERMINAL_COMMAND.sub("", text)
    visible = "".join(letter if letter.isprintable() else " " for letter in plain)
    line = " ".join(redacted(" ".join(visible.split())).split())
    if len(line) <= limit:
        return line
    kept = limit - 3
    return line[: kept // 2] + "..." + line[len(line) - (kept - kept // 2) :]


def amount(count: int, thing: str, things: str = "") -> str:
    """A number of things in words: "1 net", "2,000 nets". `things` is a plural that is not `thing` with an s."""
    return f"{count:,} {thing if count == 1 else things or f'{thing}s'}"
