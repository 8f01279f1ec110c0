"""The orchestrator: it samples designs, has them trained, and learns from the results.

Belongs here: decisions and bookkeeping. Forbidden here: torch, and anything of the trainer but its contract.

`from metaqnn_orch import Search` is the front door for Python (api.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaqnn_orch.api import Search

__all__ = ["Search"]


def __getattr__(name: str) -> Any:
    # Imported at the first use: importing any module of the package would otherwise import all of them.
    if name == "Search":
        from metaqnn_orch.api import Search

        return Search
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
