"""The values that a space allows for one number of a layer, and checks that rules have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

MAX_SIZE: Final = 65_536  # the largest value of any number: wider than any layer that fits a device
STRICT: Final[dict[str, Any]] = {"extra": "forbid", "strict": True}
"""How pydantic reads rules: the `__pydantic_config__` of each dataclass of rules."""


def require(condition: bool, sentence: str) -> None:
    """Check a condition.

    Raises:
        ValueError: the condition does not hold.
    """
    if not condition:
        raise ValueError(sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSpaced:
    """`log_spaced` whole numbers between two bounds, with equal ratios; duplicates are dropped."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    log_spaced: int

    def __post_init__(self) -> None:
        require(1 <= self.log_spaced <= 16, "log_spaced must be between 1 and 16")

    def between(self, low: int, high: int) -> tuple[int, ...]:
        if high < low:
            return ()
        steps = max(1, self.log_spaced - 1)
        return tuple(sorted({round(low * (high / low) ** (step / steps)) for step in range(self.log_spaced)}))


Choices = tuple[int, ...] | LogSpaced


def check_choices(name: str, choices: Choices) -> None:
    """Check that choices are positive numbers, at least one, and none of them twice.

    Raises:
        ValueError: they are not.
    """
    if not isinstance(choices, LogSpaced):
        require(len(choices) > 0, f"{name} must have at least one value")
        require(len(set(choices)) == len(choices), f"{name} has a value twice")
        require(all(1 <= choice <= MAX_SIZE for choice in choices), f"{name} must be between 1 and {MAX_SIZE}")


def check_shapes(shapes: tuple[tuple[int, int], ...]) -> None:
    """Check that pairs of kernel and stride are positive numbers, and that no pair occurs twice.

    Raises:
        ValueError: they are not.
    """
    require(len(set(shapes)) == len(shapes), "shapes has a pair twice")
    for kernel, stride in shapes:
        require(1 <= kernel <= MAX_SIZE and 1 <= stride <= MAX_SIZE, f"shapes must be between 1 and {MAX_SIZE}")


def values(choices: Choices, low: int, high: int) -> tuple[int, ...]:
    """The numbers that may be chosen; log-spaced ones lie between `low` and `high`."""
    return choices.between(low, high) if isinstance(choices, LogSpaced) else choices


def in_words(choices: Choices | None, bounds: str = "") -> str:
    """The choices in words; `bounds` names the bounds of log-spaced ones."""
    if isinstance(choices, LogSpaced):
        return f"{choices.log_spaced} log-spaced from {bounds}"
    return ", ".join(map(str, choices or ()))


def fields_and_strides(kernels: Choices | None, strides: Choices | None) -> str:
    return f"kernel sizes {in_words(kernels, '2 to the size')}; strides {in_words(strides, '1 to the kernel size')}"
