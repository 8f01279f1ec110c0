"""Jobs that stand still: whether they have stood still for long, and what that means for the run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final

from metaqnn_orch.launchers.kubernetes.status import Status, Stuck

_ADVICE: Final = {
    Stuck.UNSCHEDULABLE: "no node has enough free resources; execution.kubernetes says what a trial asks for",
    Stuck.IMAGE: "is execution.kubernetes.image right, and may the cluster pull it?",
    Stuck.CONFIG: "repair it in the cluster, or change execution.kubernetes and start again",
    Stuck.QUOTA: "the namespace's quota is exhausted; the search goes on when there is room",
    Stuck.ADMISSION: "the namespace's rules refuse the Pod; change execution.kubernetes or its template",
}


class Standstill:
    """Judges Jobs that stand still, by their uids."""

    def __init__(self, patience: float) -> None:
        """`patience`: seconds that a Job may stand still before it is trouble."""
        self._patience = patience
        self._since: dict[str, float] = {}
        self.trouble = ""
        """Why Jobs that have stood still for long cannot go on, in one line; empty where none is stuck."""

    def judge(self, still: Iterable[str], stuck: Mapping[str, Status]) -> bool:
        """Judge the Jobs that stand `still` now, of which some are `stuck`. Returns whether any has stood still for
        long: then the cluster's warnings may tell why.
        """
        now = time.monotonic()
        self._since = {uid: self._since.get(uid, now) for uid in still}
        lasting = [uid for uid, since in self._since.items() if now - since >= self._patience]
        worst = next((stuck[uid] for uid in lasting if uid in stuck), None)
        self.trouble = f"{worst.detail} ({_ADVICE[worst.stuck]})" if worst and worst.stuck else ""
        return bool(lasting)
