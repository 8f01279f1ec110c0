"""Takes the searcher's place where a run is only read: it learns nothing, so that reading thousands of results is
quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from metaqnn_orch.search.searcher import Experience, Known, Proposal, Searcher


class Bystander(Searcher):
    """Is told everything, and keeps nothing."""

    def propose(self, step: int, known: Known) -> Proposal | None:
        """Propose nothing."""
        return None

    def tell(self, experience: Experience) -> None:
        """Ignore the result."""

    def restore(
        self, snapshot: Any, recalled: Sequence[tuple[str, float]], weight: float, told: Iterable[Experience]
    ) -> None:
        """Ignore the snapshot, which may be any searcher's."""
