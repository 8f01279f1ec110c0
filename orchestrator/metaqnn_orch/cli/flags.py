"""Options that are settings, declared once for every command that takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple

import typer

from metaqnn_orch.cli import completion, options

Flags = Mapping[str, Any]
"""Dotted keys of settings with the values that were given."""
NO_FLAGS: Final[Flags] = MappingProxyType({})


class Flag(NamedTuple):
    """One option that is a setting."""

    key: str
    """The setting's dotted key."""
    kind: Any
    """Type and help text, as typer takes them."""


# The flags by the names of their options, in the order in which --help lists them.
SEARCH: Final[Mapping[str, Flag]] = {
    "parallel": Flag(
        "execution.parallel",
        options.Parallel,
    ),
    "max_trials": Flag(
        "execution.max_trials",
        Annotated[
            int | None,
            typer.Option(metavar="N", help="Stop after this many different trained nets, before the schedule ends."),
        ],
    ),
    "seed": Flag(
        "seed",
        Annotated[int | None, typer.Option(metavar="S", help="Seed of the search (default 0).")],
    ),
    "warm_start_from": Flag(
        "warm_start.run",
        Annotated[
            str | None,
            typer.Option(
                metavar="RUN",
                help="Name of another run from whose results the search starts (see warm_start.weight).",
                autocompletion=completion.run,
            ),
        ],
    ),
    "gpu_hours": Flag(
        "budget.gpu_hours",
        Annotated[float | None, typer.Option(metavar="H", help="Budget: hours of training times the GPUs of a trial.")],
    ),
    "money": Flag(
        "budget.money",
        Annotated[float | None, typer.Option(metavar="M", help="Budget: money, at --price-per-gpu-hour.")],
    ),
    "wall_clock_hours": Flag(
        "budget.wall_clock_hours",
        Annotated[
            float | None, typer.Option(metavar="H", help="Budget: hours that the search runs, over all sessions.")
        ],
    ),
    "target": Flag(
        "budget.target",
        Annotated[
            float | None,
            typer.Option(metavar="R", help="Stop when a net has this reward (by default its validation accuracy)."),
        ],
    ),
    "target_accuracy": Flag(
        "budget.target_accuracy", Annotated[float | None, typer.Option(metavar="A", help="Older name of --target.")]
    ),
    "price_per_gpu_hour": Flag(
        "budget.price_per_gpu_hour",
        Annotated[float | None, typer.Option(metavar="P", help="Price of an hour of one GPU, in any currency.")],
    ),
}
_DECIDED: Final = ("seed", "warm_start_from")  # of a run that exists
TRACKING: Final[Mapping[str, Flag]] = {
    "mlflow": Flag("tracking.mlflow", options.Mlflow),
    "tensorboard": Flag("tracking.tensorboard", options.Tensorboard),
}
RESUMED: Final[Mapping[str, Flag]] = {
    **{name: flag for name, flag in SEARCH.items() if name not in _DECIDED},
    **TRACKING,
}


def given(values: Mapping[str, Any]) -> Flags:
    """The flags that were given, of values by dotted keys that are None where none was given."""
    return {key: value for key, value in values.items() if value is not None}


def taking(flags: Mapping[str, Flag]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator for commands with a parameter `flags`: it replaces the parameter by these options, and passes their
    values on as Flags.
    """

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**arguments: Any) -> None:
            values = {flag.key: arguments.pop(name) for name, flag in flags.items()}
            command(**arguments, flags=given(values))

        parameters: list[Parameter] = []
        for name, parameter in inspect.signature(command, eval_str=True).parameters.items():
            if name == "flags":
                parameters += [
                    Parameter(option, Parameter.KEYWORD_ONLY, default=None, annotation=flag.kind)
                    for option, flag in flags.items()
                ]
            else:
                parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return run

    return with_options
