"""The colours of a report: fixed values in files, and CSS variables on the page, so that a page can be light or
dark.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Palette(NamedTuple):
    """Colours by their use. `conv` to `softmax` are for layers; people with colour blindness can tell them apart,
    too.
    """

    page: str
    surface: str
    """Background of boxes that stand out from the page a little."""
    ink: str
    soft: str
    """Text of less importance."""
    line: str
    accent: str
    conv: str
    pool: str
    dense: str
    average: str
    softmax: str

    @property
    def series(self) -> list[str]:
        """Colours for several series in one figure."""
        return [self.conv, self.dense, self.pool, self.average, self.softmax]


LIGHT: Final = Palette(
    page="#fdfdfb",
    surface="#f4f5f4",
    ink="#21262c",
    soft="#667079",
    line="#e2e5e6",
    accent="#2a6cb0",
    conv="#3a78b7",
    pool="#2f9486",
    dense="#c2811a",
    average="#8660b3",
    softmax="#b64c5d",
)
DARK: Final = Palette(
    page="#14171a",
    surface="#1c2024",
    ink="#e3e6e8",
    soft="#96a0a9",
    line="#2c3237",
    accent="#74abe6",
    conv="#6ea6e0",
    pool="#58b9aa",
    dense="#dba848",
    average="#b193dc",
    softmax="#e27f8d",
)
ON_PAGE: Final = Palette(*(f"var(--{name})" for name in Palette._fields))
