"""What a searcher raises, renamed once: it may be anybody's, and the run is whole whatever it does."""

from __future__ import annotations

from contextlib import AbstractContextManager

from metaqnn_orch.search.searcher import SEARCHERS
from metaqnn_orch.settings.blame import blaming
from metaqnn_trainer.plugins import Plugin


def faults_of(method: str, doing: str, but: tuple[type[BaseException], ...] = ()) -> AbstractContextManager[None]:
    """
    Raises:
        PluginFailed: the searcher of this method raised something else than an error of ours, or one of `but`, while
            `doing` that; or another plug-in did, that it called.
    """
    plugin = SEARCHERS.members().get(method) or Plugin(SEARCHERS.entry_points, method, "")  # a run may outlive it
    return blaming(plugin, doing, but)
