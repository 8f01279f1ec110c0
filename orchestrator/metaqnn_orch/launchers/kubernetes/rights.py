"""The rights that the orchestrator needs of the Kubernetes API, and no more: the chart's Role is compared with them.
Pure.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Right(NamedTuple):
    """The right to use `verb` on a resource, in one namespace."""

    resource: str
    verb: str
    group: str = ""
    subresource: str = ""
    name: str = ""
    """Name of the one object; empty for all of the resource."""

    @property
    def full(self) -> str:
        """The resource as a Role names it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


RIGHTS: Final = (
    *(Right("jobs", verb, "batch") for verb in ("create", "get", "list", "watch", "delete")),
    *(Right("pods", verb) for verb in ("list", "watch", "delete")),  # to end those whose Job was deleted without them
    Right("pods", "get", subresource="log"),
    Right("events", "list"),  # for the reason why a Job stands still
)
"""Beside them it reads the ConfigMap of its release. Who starts searches lists ConfigMaps to find one."""
