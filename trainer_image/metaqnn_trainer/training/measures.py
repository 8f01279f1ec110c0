"""Reads what a task measured: numbers by name, and the reward among them. A task may be anybody's."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from metaqnn_trainer.contract.bounds import MAX_MEASURE, MAX_MEASURES, MEASURE_NAME
from metaqnn_trainer.contract.errors import PluginError
from metaqnn_trainer.contract.text import one_line
from metaqnn_trainer.tasks.base import Task


class Measurement(NamedTuple):
    """What an evaluation found."""

    measures: dict[str, float]
    """The measures that are finite numbers."""
    reward: float | None
    """The reward, within the task's bounds; None where it, or any measure, is not finite."""
    odd: str = ""
    """What is not finite, in words."""


def measured(task: Task, found: Any) -> Measurement:
    """The measures and the reward in what `evaluate` of this task returned.

    Raises:
        PluginError: it is no mapping of names to numbers, or the reward's measure is missing; the text names the task.
    """
    numbers = _numbers(task, found)
    odd = [f"the measure {name} is {value}" for name, value in numbers.items() if not math.isfinite(value)]
    measures = {name: value for name, value in numbers.items() if math.isfinite(value)}
    if odd:
        return Measurement(measures, None, ", ".join(odd))
    if type(task).reward is Task.reward and task.measure not in numbers:
        there = ", ".join(numbers) or "nothing"
        raise PluginError(f"{task.in_words} names {task.measure!r} as its reward, but measures {there}")
    reward = _number(task, "the reward", task.reward(numbers))
    if not math.isfinite(reward):
        return Measurement(measures, None, f"the reward is {reward}")
    low, high = task.bounds
    return Measurement(measures, min(max(reward, low), high))


def check_loss(task: Task, loss: Any) -> None:
    """Check what `loss` of this task returned.

    Raises:
        PluginError: it is not one number on the device.
    """
    if not isinstance(loss, Tensor) or loss.dim():
        what = f"a tensor of the shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else _shown(loss)
        raise PluginError(f"{task.in_words}: `loss` returned {what}, and not the sum over the examples as a tensor")


def _numbers(task: Task, found: Any) -> dict[str, float]:
    if not isinstance(found, Mapping):
        raise PluginError(f"{task.in_words}: `evaluate` returned {_shown(found)}, and no measures by name")
    if len(found) > MAX_MEASURES:
        raise PluginError(f"{task.in_words}: `evaluate` returned {len(found)} measures, at most {MAX_MEASURES} can be")
    for name in found:
        if not (isinstance(name, str) and re.fullmatch(MEASURE_NAME, name)):
            raise PluginError(
                f"{task.in_words}: {_shown(name)} cannot name a measure: a name has small letters, digits and _, "
                "begins with a letter, and has at most 40 characters"
            )
    return {name: _number(task, f"the measure {name}", value) for name, value in found.items()}


def _number(task: Task, what: str, value: Any) -> float:
    """
    Raises:
        PluginError: it is no number, or one that no result can hold.
    """
    try:
        if isinstance(value, str | bytes):  # float() would read one
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise PluginError(f"{task.in_words}: {what} is {_shown(value)}, and no number") from None
    if math.isfinite(number) and abs(number) > MAX_MEASURE:
        raise PluginError(f"{task.in_words}: {what} is {number:g}, and no result holds more than {MAX_MEASURE:g}")
    return number


def _shown(value: Any) -> str:
    return one_line(repr(value), 80)
