"""What a searcher raises, renamed once: it may be anybody's, and the run is whole whatever it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from metaqnn_orch.errors import OrchestratorError, SearcherFailed, StoreError, one_line
from metaqnn_orch.search.searcher import SEARCHERS


@contextmanager
def faults_of(method: str, doing: str) -> Iterator[None]:
    """
    Raises:
        SearcherFailed: the searcher of this method raised something else than an error of ours while `doing` that.
    """
    try:
        yield
    except (OrchestratorError, StoreError):
        raise
    except Exception as error:
        what = one_line(f"{type(error).__name__}: {error}")
        raise SearcherFailed(
            f"{SEARCHERS.find(method)} failed while {doing}: {what}",
            hint="nothing is lost; METAQNN_TRACEBACK=1 shows where, and the same command goes on once it is mended",
        ) from error
