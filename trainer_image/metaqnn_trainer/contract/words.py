"""Says in words what is wrong with a value that pydantic refused: which kind of value is wanted, and what was given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

OWN_RULES: Final = ("value_error", "assertion_error")
"""Errors of this project's own rules, whose texts are sentences."""

_WANTED: Final = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "tuple": "a list",
    "list": "a list",
    "dict": "a mapping, such as {name: value}",
    "model": "a mapping, such as {name: value}",
    "dataclass": "a mapping, such as {name: value}",
    "mapping": "a mapping, such as {name: value}",
    "none": "null",
    "finite": "a finite number",
}
_RULES: Final = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be greater than or equal to {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be less than or equal to {le}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "missing": "must be given",
    "missing_argument": "must be given",
    "extra_forbidden": "is unknown",
    "unexpected_keyword_argument": "is unknown",
    "json_invalid": "is not valid JSON",
    "json_type": "is not valid JSON",
}
_TRUE: Final = ("yes", "on", "true")
_FALSE: Final = ("no", "off", "false")


def rule_of(error: Mapping[str, Any]) -> str:
    """The rule that a value breaks, as the end of a sentence: `must be a whole number`. `error` is one of pydantic's
    errors, with its context.
    """
    kind, context = str(error["type"]), error.get("ctx") or {}
    if kind in OWN_RULES:
        return str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if kind in _RULES:
        return _RULES[kind].format(**{name: _plain(value) for name, value in context.items()})
    wanted = next((words for name, words in _WANTED.items() if kind.startswith(f"{name}_")), None)
    return f"must be {wanted}" if wanted is not None else "is not of the kind that is wanted"


def _plain(value: Any) -> Any:
    """A limit as it is written: 1 and not 1.0."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value


def given(error: Mapping[str, Any]) -> str:
    """What was given, with what is to be written instead where YAML's words mislead: yes and on are text here."""
    value = error.get("input")
    shown = json.dumps(value, default=str)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    if str(error["type"]).startswith("bool") and isinstance(value, str) and value.lower() in (*_TRUE, *_FALSE):
        return f"{shown}, which is text: write {'true' if value.lower() in _TRUE else 'false'}, without quotes"
    return shown
