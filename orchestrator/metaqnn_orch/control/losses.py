"""Lost attempts as a person wants to see them: how many ended in which way, since when, and the last one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from metaqnn_orch.errors import one_line
from metaqnn_orch.numbers import seconds_between

MANY: Final = 3  # attempts in a row that are trouble
LATELY: Final = 300.0  # seconds for which the last one keeps it trouble
_SPELL: Final = 3600.0  # seconds without such an end, after which a new spell begins


@dataclass
class Spell:
    """Attempts that ended in one way, without a long time between two of them."""

    attempts: int
    """Number of attempts."""
    since: str
    """When the first one ended."""
    last: str
    """When the last one ended."""
    detail: str
    """Why the last one ended."""


@dataclass
class Losses:
    """The last spell of each end, by its name, and how many attempts were lost since the last result."""

    spells: dict[str, Spell] = field(default_factory=dict)
    in_a_row: int = 0
    began: str = ""
    """When the first of those in a row was lost."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Losses:
        spells = {kind: Spell(**spell) for kind, spell in values["spells"].items()}
        return cls(spells, values["in_a_row"], values["began"])

    def add(self, at: str, kind: str, detail: str) -> None:
        """Take in an attempt that was lost."""
        spell = self.spells.pop(kind, None)
        if spell is None or seconds_between(spell.last, at) > _SPELL:
            spell = Spell(0, at, at, detail)
        spell.attempts += 1
        spell.last, spell.detail = at, detail
        self.spells[kind] = spell  # the newest is the last
        self.began = self.began if self.in_a_row else at
        self.in_a_row += 1


def in_words(kind: str, spell: Spell) -> str:
    """A spell in one line."""
    return f"{spell.attempts} {kind} since {spell.since}, the last at {spell.last}: {one_line(spell.detail, 200)}"


def lost_lately(losses: Losses, now: str) -> str:
    """What a run suffers from whose last attempts were all lost, a moment ago; empty where they were not."""
    if losses.in_a_row < MANY:
        return ""
    kind, last = next(reversed(losses.spells.items()))
    if seconds_between(last.last, now) > LATELY:
        return ""
    return (
        f"{losses.in_a_row} attempts in a row were lost since {losses.began}, and none succeeded; the last one, "
        f"{kind}: {one_line(last.detail, 300)}"
    )
