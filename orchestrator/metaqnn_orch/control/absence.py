"""A store that is not there, a folder that nobody has made; and a run that a store does not have. In a bucket, a prefix
without objects is a store without runs.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from metaqnn_orch.errors import NotFound
from metaqnn_trainer.store.base import Store

_OF_A_STORE: Final = ("runs", "datasets")


def refuse_absent(store: Store) -> None:
    """Refuse to read a store in a folder that does not exist. Nothing is created.

    Raises:
        NotFound: there is no such folder; the hint names a store near it, if there is one.
    """
    place = Path(store.uri)
    if not store.uri.startswith("/") or place.exists():
        return
    near = _near(place)
    meant = f"did you mean --store {shlex.quote(str(near))}? " if near is not None else ""
    raise NotFound(
        f"there is no store at {store.uri}: no such folder",
        hint=f"{meant}the first metaqnn-orch start or metaqnn-orch dataset push with it makes one",
    )


def no_run(store: str, run: str, known: Sequence[str]) -> NotFound:
    """The error about a run that the store does not have; it has those that are `known`."""
    close = [name for name in known if name.startswith(run)] or get_close_matches(run, known, n=1)
    shown = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
    meant = f"did you mean {close[0]}? " if close else ""
    none = "it has no runs: is it the store that you mean? metaqnn-orch start begins one"
    return NotFound(f"no run {run!r} in {store}", f"{meant}runs there: {shown}" if known else none)


def _near(place: Path) -> Path | None:
    """A store beside this place with a similar name, or the only one there; or one that the place is inside of."""
    inside = next((above for above in place.parents if _is_store(above)), None)
    try:
        beside = sorted(path for path in place.parent.iterdir() if _is_store(path))
    except OSError:
        return inside
    similar = get_close_matches(place.name, [path.name for path in beside], n=1)
    if similar:
        return place.parent / similar[0]
    return inside or (beside[0] if len(beside) == 1 else None)


def _is_store(place: Path) -> bool:
    try:
        return any((place / part).is_dir() for part in _OF_A_STORE)
    except OSError:
        return False
