"""Objects against the schemas of Kubernetes' own releases."""

from __future__ import annotations

from functools import cache
from typing import Any

import kubernetes_validate
from kubernetes_validate import utils

utils.schema_contents = cache(utils.schema_contents)  # it would read a megabyte for each object


def validate(thing: dict[str, Any], release: str) -> None:
    """
    Raises:
        kubernetes_validate.ValidationError: that release knows a field not, or not of this type.
    """
    kubernetes_validate.validate(thing, release, strict=True)
