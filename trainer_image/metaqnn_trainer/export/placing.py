"""Which files an export may replace: those that an earlier export wrote, and nobody has changed since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from metaqnn_trainer.errors import RequestError

_BEGIN: Final = "<!-- metaqnn-orch export: "
_END: Final = " -->\n"
_CARD: Final = "this card"


def card_of(file: Path) -> Path:
    """The model card beside an exported file. Its name has the file's ending, too: two formats have two cards."""
    return file.with_name(f"{file.name}.md")


def signed(text: str, files: Iterable[Path]) -> str:
    """The card's text, with a last line that has the digests of the text and of the files."""
    digests = {_CARD: _digest(text.encode()), **{file.name: _digest(file.read_bytes()) for file in files}}
    return f"{text}\n{_BEGIN}{json.dumps(digests)}{_END}"


def refuse_others(file: Path, beside: Iterable[Path]) -> None:
    """Check that `file`, the files that are written `beside` it, and its card can be written: they do not exist, or are
    what an earlier export wrote.

    Raises:
        RequestError: one of them is something else.
    """
    card = card_of(file)
    ours = _signed_by(card)
    for path in (card, file, *beside):
        if not path.exists():
            continue
        if not path.is_file():
            raise RequestError(f"{path} is no file")
        if path != card and ours.get(path.name) == _digest(path.read_bytes()):
            continue
        if path != card or not ours:
            raise RequestError(
                f"{path} exists, and is not what an earlier export wrote; --force replaces it, another --to leaves it"
            )


def _signed_by(card: Path) -> Mapping[str, str]:
    """The digests in the card's last line; none if there is no card, or it was changed."""
    try:
        text, _, last = card.read_text(encoding="utf-8").rpartition(f"\n{_BEGIN}")
        digests = json.loads(last.removesuffix(_END))
    except (OSError, ValueError):
        return {}
    return digests if isinstance(digests, dict) and digests.get(_CARD) == _digest(text.encode()) else {}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
