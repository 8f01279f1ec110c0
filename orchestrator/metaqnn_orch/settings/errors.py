"""Turns pydantic's errors about settings into words of settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from metaqnn_trainer.contract.words import OWN_RULES, given, rule_of

_OWN_KEY: Final = re.compile(r"[a-z_][a-z0-9_]*")
_GONE: Final = {
    "execution.side_by_side": "a worker trains one net at a time: several in one process were slower, on GPUs too",
}
UNKNOWN: Final = ("extra_forbidden", "unexpected_keyword_argument")  # pydantic's phrases about models and dataclasses


def place_of(error: Mapping[str, Any]) -> str:
    """The dotted key that the error is about."""
    # Members of unions add their type's name to the location; only what a user wrote is a key.
    *above, last = error["loc"] or ("",)
    kept = [str(part) for part in above if isinstance(part, int) or _OWN_KEY.fullmatch(part)]
    if error["type"] in UNKNOWN or isinstance(last, int) or _OWN_KEY.fullmatch(last):
        kept.append(str(last))
    return ".".join(kept)


def sentence(error: Mapping[str, Any], known: Sequence[str]) -> str:
    """What is wrong, in words; `known` are the existing keys."""
    place = place_of(error)
    if error["type"] in UNKNOWN:
        if place in _GONE:
            return f"{place} is gone: {_GONE[place]}; leave it out"
        close = _similar(place, known)
        return f"unknown setting {place[:80]}" + (f"; did you mean {close}?" if close else "")
    if error["type"] == "missing":
        return f"{place} must be given"
    rule = rule_of(error)
    if error["type"] in OWN_RULES:
        return f"{place} {rule}" if rule.startswith("must be") else f"{place}: {rule}".removeprefix(": ")
    return f"{place} {rule}, got {given(error)}".lstrip()


def _similar(place: str, keys: Sequence[str]) -> str:
    """The setting or section that was perhaps meant: one of the same name in another section, or one of similar
    spelling.
    """
    section, _, leaf = place.rpartition(".")
    sections = {key.rpartition(".")[0] for key in keys} - {""}
    if elsewhere := [key for key in keys if key.rpartition(".")[2] == leaf]:
        return elsewhere[0]
    if section in sections:
        beside = {key.removeprefix(f"{section}.").partition(".")[0] for key in keys if key.startswith(f"{section}.")}
        return next((f"{section}.{name}" for name in get_close_matches(leaf, beside, n=1)), "")
    return next(iter(get_close_matches(place, [*keys, *sections], n=1)), "")
