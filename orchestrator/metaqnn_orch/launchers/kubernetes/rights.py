"""What the orchestrator asks of the Kubernetes API, and no more: the Role of the chart is compared with it. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple


class Right(NamedTuple):
    """To do `verb` with a resource, in one namespace."""

    resource: str
    verb: str
    group: str = ""
    subresource: str = ""

    @property
    def full(self) -> str:
        """The resource as a Role names it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


RIGHTS: Final = (
    *(Right("jobs", verb, "batch") for verb in ("create", "get", "list", "watch", "delete")),
    *(Right("pods", verb) for verb in ("list", "watch")),
    Right("pods", "get", subresource="log"),
    Right("events", "list"),  # why something stands still
    Right("configmaps", "list"),  # what the release says
)
