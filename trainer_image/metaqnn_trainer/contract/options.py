"""Checks the options of a plug-in against the plug-in's own model of them."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from metaqnn_trainer.contract.codec import canonical_json, first_error, refusal
from metaqnn_trainer.contract.messages import PluginRef


def parse_options(kind: Any, ref: PluginRef, section: str) -> Any:
    """The options of `ref` as an instance of `kind`, which is a pydantic model or a dataclass.

    Raises:
        UnknownField: one of them is not known here, and nothing else is wrong.
        MessageError: one of them is wrong; the text begins with its dotted key below `section`.
    """
    try:
        return TypeAdapter(kind).validate_json(canonical_json(ref.options))
    except ValidationError as error:
        raise refusal(error)(first_error(error, f"{section}.options")) from error
