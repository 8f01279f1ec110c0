"""Messages and their bytes. All messages are strict: wrong types, unknown keys, NaN and infinities are refused, never
repaired. All are values: frozen, and compared by content.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from metaqnn_trainer.contract.errors import MessageError, UnknownField
from metaqnn_trainer.contract.words import rule_of

SCHEMA: Final = 1  # bytes of requests and results
MAX_MESSAGE_BYTES: Final = 1 << 20  # bytes: a result has about 2 KiB, and nothing of this size comes from a trainer
# bytes to read of an object that should be a message: one byte too many shows that it is none
ENOUGH_BYTES: Final = MAX_MESSAGE_BYTES + 1


class Message(BaseModel):
    """Base of all messages of the contract."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


_NEWER: Final = {"extra_forbidden", "literal_error"}  # rules that only what is not known here breaks

M = TypeVar("M", bound=Message)


def canonical_json(value: Any) -> bytes:
    """The only JSON text of a value: keys sorted, no blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def encode(message: Message) -> bytes:
    """A message as indented JSON, for people to read."""
    return (message.model_dump_json(indent=2) + "\n").encode()


def encode_line(message: Message) -> bytes:
    """A message as one line of JSON."""
    return (message.model_dump_json() + "\n").encode()


def decode(kind: type[M], data: bytes | str, what: str) -> M:
    """Decode bytes from outside into a message of `kind`; `what` names them in the error.

    Raises:
        UnknownField: a field, or a word in one, is not known here, and nothing else is wrong.
        MessageError: too long, not JSON, a key twice, or not the shape of `kind`. One line, cut to a readable length.
    """
    # Halves of surrogate pairs pass here and are refused below, with all other text that is not UTF-8.
    raw = data.encode(errors="surrogatepass") if isinstance(data, str) else data
    if len(raw) > MAX_MESSAGE_BYTES:
        raise MessageError(f"{what} has more than the {MAX_MESSAGE_BYTES} bytes that a message may have")
    try:
        json.loads(raw.decode("utf-8"), object_pairs_hook=_no_twins)
        return kind.model_validate_json(raw)
    except ValidationError as error:
        raise refusal(error)(_readable(f"{what} is not valid: {first_error(error)}")) from None
    except (ValueError, RecursionError) as error:
        # Not UTF-8, not JSON, a key twice, a number of thousands of digits, nested too deeply.
        raise MessageError(_readable(f"{what} is not valid JSON: {error}")) from None


def refusal(error: ValidationError) -> type[MessageError]:
    """The class of error for what is wrong: whether a newer release may have written it, and nothing else is wrong."""
    rules = {one["type"] for one in error.errors(include_url=False, include_input=False, include_context=False)}
    return UnknownField if rules <= _NEWER else MessageError


def first_error(error: ValidationError, above: str = "") -> str:
    """The first thing that is wrong: its dotted place, below `above`, and the rule that it breaks."""
    first = error.errors(include_url=False)[0]
    place = ".".join([*([above] if above else []), *map(str, first["loc"])]) or "the whole"
    return f"{place}: {rule_of(first)}"


def read(kind: type[M], get: Callable[[str, int], bytes], key: str, what: str = "") -> M:
    """The message of `kind` that a store holds under `key`. `get` is the store's method, and reads no more bytes than a
    message may have; `what` names the object in errors, by default the key.

    Raises:
        MessageError: as `decode` says.
        Exception: whatever `get` raises.
    """
    return decode(kind, get(key, ENOUGH_BYTES), what or key)


def _no_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # JSON readers disagree about which of two equal keys counts, so both are refused.
    single: dict[str, object] = {}
    for key, value in pairs:
        if key in single:
            raise MessageError(f"the key {key[:40]!r} is there twice")
        single[key] = value
    return single


def _readable(text: str) -> str:
    # An unknown key is quoted in the error, and may hold line breaks or a terminal's escape sequences.
    return "".join(character if character.isprintable() else "?" for character in text[:400])
