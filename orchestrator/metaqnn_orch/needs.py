"""Refuses, before anything is spent, what an extra of the distribution is missing for."""

from __future__ import annotations

from importlib.util import find_spec

from metaqnn_orch.errors import BadInput
from metaqnn_trainer.extras import Find, lack, remedy


def need(extra: str, what: str, find: Find = find_spec) -> None:
    """Check that an extra is installed here; `what` is the piece of work that needs it.

    Raises:
        BadInput: a package of it is missing; the text says which, and the hint how to install it.
    """
    if missing := lack(extra, find):
        raise BadInput(f"{what} needs {missing}", hint=remedy(extra))
