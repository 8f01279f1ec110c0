"""The fields of a Job, as the `kubernetes` client's models know them, for the check of Job templates.

python -m tests.launchers.kubernetes.job_schema       writes the table anew, after an update of the client
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import metaqnn_orch.launchers.kubernetes

TABLE: Final = Path(metaqnn_orch.launchers.kubernetes.__file__).with_name("job_schema.json")


def read_models() -> dict[str, dict[str, str]]:
    """Every type that a batch/v1 Job consists of: its fields, each with its type, and a ! where it must be given."""
    from kubernetes.client import models

    found: dict[str, dict[str, str]] = {}
    waiting = ["V1Job"]
    while waiting:
        name = waiting.pop()
        model = getattr(models, name)
        required = _required(model)
        fields = {model.attribute_map[key]: kind + "!" * (key in required) for key, kind in model.openapi_types.items()}
        found[_short(name)] = {field: _short(kind) for field, kind in sorted(fields.items())}
        inner = {word for kind in model.openapi_types.values() for word in re.findall(r"\w+", kind)}
        waiting += sorted(word for word in inner if hasattr(models, word) and _short(word) not in found)
    return dict(sorted(found.items()))


def _short(kind: str) -> str:
    return re.sub(r"\b(?:Core)?V1(?=[A-Z])", "", kind)


def _required(model: Any) -> set[str]:
    """Attributes that the model does not let be None."""
    from kubernetes.client import Configuration

    empty, found = object.__new__(model), set()
    empty.local_vars_configuration = Configuration()
    for key in model.openapi_types:
        try:
            setattr(empty, key, None)
        except ValueError:
            found.add(key)
    return found


def as_text(table: dict[str, dict[str, str]]) -> str:
    """One line for each type."""
    lines = [f"  {json.dumps(name)}: {json.dumps(fields)}" for name, fields in table.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    TABLE.write_text(as_text(read_models()))
