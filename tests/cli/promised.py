"""What the answers of the commands are held to: their schemas, and the fields that scripts already rely on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import jsonschema
from docs.answers import rows, schemas

from metaqnn_orch.cli.answers import asked
from metaqnn_orch.cli.app import COMMANDS

HELD: Final = Path(__file__).with_name("promised.txt")
"""A line for each field that was ever released: the answer, the field, its types; a question mark where it may be
missing.
"""


@cache
def validator(name: str) -> Any:
    return jsonschema.Draft202012Validator(schemas()[name])


def check(arguments: Sequence[str], out: str) -> None:
    """Fail where a command was asked for JSON, and what it printed is not by its schema. Every command of the tests is
    held to this.
    """
    wants = any(pair in (("-o", "json"), ("--output", "json")) for pair in pairwise(arguments))
    if not wants or not out:
        return
    command = " ".join(arguments[:2]) if " ".join(arguments[:2]) in COMMANDS else arguments[0]
    validator(asked(command, [*arguments])).validate(json.loads(out))


def promises() -> Iterator[str]:
    """The lines of HELD, as the code has them."""
    for name, schema in schemas().items():
        for row in rows(schema):
            mark = "" if row.is_always_there else "?"
            for kind in row.kind.split(", "):
                yield f"{name}: {row.path or '.'}{mark}: {kind}"
