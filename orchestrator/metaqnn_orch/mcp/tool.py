"""A tool: a function with its arguments, their schema, and the schema of its answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from metaqnn_orch.errors import BadInput
from metaqnn_orch.reporting.schemas import schema_of
from metaqnn_orch.settings.errors import place_of, sentence


class Tool(NamedTuple):
    """One tool, named like its function."""

    name: str
    about: str
    """What it does: the function's docstring."""
    arguments: type[BaseModel]
    answer: Mapping[str, Any]
    """JSON Schema of its answer, which is an object."""
    function: Callable[..., Any]
    reads_only: bool
    destroys: bool
    """Whether something ends or is lost."""

    def call(self, given: Mapping[str, Any]) -> Any:
        """The answer to a call with these arguments.

        Raises:
            BadInput: they are not by the schema.
        """
        try:
            made = self.arguments.model_validate(dict(given))
        except ValidationError as error:
            raise BadInput("; ".join(map(self._wrong, error.errors(include_url=False)))) from None
        return self.function(**{name: getattr(made, name) for name in self.arguments.model_fields})

    def _wrong(self, error: Any) -> str:
        place = place_of(error)
        if error["type"] == "extra_forbidden":
            names = ", ".join(self.arguments.model_fields) or "none"
            return f"{self.name} has no argument {place[:80]}; its arguments: {names}"
        return sentence(error, ())


def tool_of(function: Callable[..., Any], *, reads_only: bool = True, destroys: bool = False) -> Tool:
    """The tool that a function with annotations and a docstring is."""
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
    }
    arguments = create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)
    about = inspect.cleandoc(function.__doc__ or "")
    return Tool(function.__name__, about, arguments, schema_of(hints["return"]), function, reads_only, destroys)
