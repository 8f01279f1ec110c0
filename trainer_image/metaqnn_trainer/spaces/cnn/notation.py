"""The paper's notation of a net, `[C(64,3,1), P(2,2), FC(128), SM(10)]`: parsing it into layers, and formatting.

The text is a net's identity everywhere: in messages, in the journal, on the command line. It is parsed by the grammar
below with caps on length and sizes, never evaluated:

    net   = "[" layer ("," layer)* "]"
    layer = NAME "(" [INT ("," INT)*] ")"        NAME is a layer kind's, or D; blanks may stand anywhere between

D(i,n), the authors' dropout between layers, is accepted and left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Final

from metaqnn_trainer.contract.errors import NotationError, UnknownLayer
from metaqnn_trainer.spaces.cnn.choices import MAX_SIZE
from metaqnn_trainer.spaces.cnn.layer import Layer, Net
from metaqnn_trainer.spaces.cnn.registry import kinds, registry

MAX_CHARACTERS: Final = 4096  # characters: three times the longest net of 100 layers
MAX_LAYERS: Final = 128

_DROPOUT: Final = "D"
# Every match begins with a token: the end of the text counts as an empty one.
_TOKEN: Final = re.compile(
    r"[ \t]*(?:(?P<name>[A-Za-z]+)|(?P<int>[0-9]+)|(?P<mark>[\[\](),]|\Z)|(?P<other>.))", re.DOTALL
)


def format_net(layers: Iterable[Layer]) -> str:
    """The canonical text of a net, or of its first layers."""
    return "[" + ", ".join(str(layer) for layer in layers) + "]"


def _closes(layer: Layer) -> bool:
    return layer.ends and not layer.tail


@lru_cache(maxsize=1024)  # a net is parsed half a dozen times in the course of its trial
def parse_net(text: str) -> Net:
    """A whole net: layers in an order that can be built, ending in a softmax.

    Raises:
        NotationError: names the column and what was expected there.
    """
    positions = _canonical_layers(text) or _parse_layers(text)
    _check_order(positions)
    if not positions or not _closes(positions[-1][1]):
        raise NotationError("a net ends in a softmax, SM(classes)", len(text.rstrip()) or 1)
    return tuple(layer for _, layer in positions)


def parse_prefix(text: str) -> Net:
    """The first layers of a net, possibly none (`[]` or an empty text), with or without the brackets.

    Raises:
        NotationError: names the column and what was expected there.
    """
    positions = _canonical_layers(text) or _parse_layers(text, bare=not text.lstrip().startswith("["))
    _check_order(positions)
    return tuple(layer for _, layer in positions)


class _Reader:
    """Tokens of one text, one at a time, with their columns."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def take(self, expected: str, *marks: str, group: str = "mark") -> tuple[str, int]:
        match = _TOKEN.match(self.text, self.position)
        assert match is not None
        assert match.lastgroup is not None
        token, column = match[group], match.start(match.lastgroup) + 1
        if token is None or (marks and token not in marks):
            found = self.text[column - 1 : column + 11]
            raise NotationError(f"expected {expected}, found {found!r}" if found else f"expected {expected}", column)
        self.position = match.end()
        return token, column

    def next_is(self, mark: str) -> bool:
        match = _TOKEN.match(self.text, self.position)
        return match is not None and match["mark"] == mark

    def next_is_name(self) -> bool:
        match = _TOKEN.match(self.text, self.position)
        return match is not None and match["name"] is not None


def _canonical_layers(text: str) -> list[tuple[int, Layer]] | None:
    """The layers of a text that format_net wrote; None for any other text. A journal holds thousands of nets, made of
    about a hundred layers: each layer is parsed once.
    """
    if len(text) > MAX_CHARACTERS or not (text.startswith("[") and text.endswith("]")):
        return None
    positions: list[tuple[int, Layer]] = []
    column = 2
    for word in text[1:-1].split(", "):
        layer = _canonical_layer(word)
        if layer is None:
            return None
        positions.append((column, layer))
        column += len(word) + 2
    return positions if len(positions) <= MAX_LAYERS else None


@lru_cache(maxsize=1024)
def _canonical_layer(word: str) -> Layer | None:
    try:
        _, layer = _parse_layer(_Reader(word))
    except NotationError:
        return None
    return layer if str(layer) == word else None


def _parse_layers(text: str, *, bare: bool = False) -> list[tuple[int, Layer]]:
    if len(text) > MAX_CHARACTERS:
        raise NotationError(f"a net has at most {MAX_CHARACTERS} characters, this text has {len(text)}", MAX_CHARACTERS)
    reader = _Reader(text.rstrip())
    positions: list[tuple[int, Layer]] = []
    if not bare:
        reader.take("'['", "[")
    last, called = ("", "the end") if bare else ("]", "']'")
    mark = reader.take(called, last)[0] if reader.next_is(last) else ","
    while mark == ",":
        column, layer = _parse_layer(reader)
        if layer is not None:
            positions.append((column, layer))
        if len(positions) > MAX_LAYERS:
            raise NotationError(f"a net has at most {MAX_LAYERS} layers", column)
        mark, _ = reader.take(f"',' or {called}", ",", last)
    reader.take("nothing more", "")
    return positions


def _parse_layer(reader: _Reader) -> tuple[int, Layer | None]:
    known = kinds()
    name, column = _take_name(reader, [*known, _DROPOUT])
    count = len(known[name].__match_args__) if name in known else 2
    numbers: list[int] = []
    reader.take("'('", "(")
    if not count:
        reader.take("')'", ")")
    while count:
        digits, at = reader.take("a positive whole number", group="int")
        if len(digits) > 6 or not 1 <= int(digits) <= MAX_SIZE:
            raise NotationError(f"numbers must be between 1 and {MAX_SIZE}", at)
        numbers.append(int(digits))
        if reader.take("',' or ')'", ",", ")")[0] == ")":
            break
    if len(numbers) != count:
        raise NotationError(f"{name} takes {count} number{'s' if count > 1 else ''}, found {len(numbers)}", column)
    return column, known[name](*numbers) if name in known else None


def _take_name(reader: _Reader, names: list[str]) -> tuple[str, int]:
    is_name = reader.next_is_name()
    try:
        kinds_alone = ", ".join(name for name in names if name != _DROPOUT)  # nobody but the authors writes D
        return reader.take(f"a layer: {kinds_alone}", *names, group="name")
    except NotationError as error:
        words, failures = str(error).partition(": ")[2], registry().failures
        if failures:
            words += f". Not among them: {'; '.join(failures)}"
        kind = UnknownLayer if is_name else NotationError
        raise kind(words, error.column) from None


def _check_order(positions: list[tuple[int, Layer]]) -> None:
    """Refuse a sequence of layers that no network can have, in any space. The search checks what a given space
    allows.
    """
    for (_, before), (column, layer) in pairwise(positions):
        if reason := before.refuses(layer):
            raise NotationError(reason, column)
