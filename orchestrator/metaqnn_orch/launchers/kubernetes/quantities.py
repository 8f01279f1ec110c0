"""Quantities of resources, as Kubernetes writes them: 500m, 4Gi, 1e3. Pure, and without the `kubernetes` client, whose
import takes a second: templates are read before there is a cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Final

QUANTITY: Final = re.compile(
    r"(\+?(?:[0-9]{1,30}\.?[0-9]{0,9}|\.[0-9]{1,9}))([KMGTPE]i|[numkMGTPE]?|[eE][+-]?[0-9]{1,2})"
)
"""Matches quantities, but none below zero: there is no negative amount."""

_FACTORS: Final = {
    **{unit: Decimal(1000) ** power for power, unit in zip((-3, -2, -1, 1, 2, 3, 4, 5, 6), "numkMGTPE", strict=True)},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}
_STANDARD: Final = ("cpu", "memory", "ephemeral-storage")


def amount(text: str) -> Decimal:
    """The number that `text` means.

    Raises:
        ValueError: `text` is no quantity.
    """
    match = QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:60]!r} is no quantity")
    number, unit = match.groups()
    return Decimal(number) * _FACTORS[unit] if unit in _FACTORS else Decimal(f"{number}{unit}")


def contradiction(requests: Mapping[str, str], limits: Mapping[str, str]) -> str:
    """Why no server accepts these requests and limits of one container, in words; empty if a server does."""
    for name in {**requests, **limits}:
        if "/" not in name and name not in _STANDARD and not name.startswith("hugepages-"):
            near = get_close_matches(name, _STANDARD, n=1)
            return f"there is no resource {name[:60]!r}" + (f": did you mean {near[0]}?" if near else "")
        # Devices and huge pages are whole numbers, and their request equals their limit.
        whole = name not in _STANDARD
        both = [amount(amounts[name]) for amounts in (requests, limits) if name in amounts]
        if whole and any(value != value.to_integral_value() for value in both):
            return f"{name} must be a whole number"
        if whole and name not in limits:
            return f"{name} needs a limit, not only a request"
        if len(both) == 2 and (both[0] > both[1] or (whole and both[0] != both[1])):
            return f"{requests[name]} of {name} are requested, but the limit is {limits[name]}"
    return ""
