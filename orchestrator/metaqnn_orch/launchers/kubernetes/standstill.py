"""Jobs that stand still: whether they have stood still for long, and what that means for the run."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import Final

from metaqnn_orch.launchers.kubernetes.refusals import advice_on
from metaqnn_orch.launchers.kubernetes.status import Status, Stuck

_ADVICE: Final = {
    Stuck.UNSCHEDULABLE: "no node has enough free resources; execution.kubernetes says what a trial asks for",
    Stuck.IMAGE: "is execution.kubernetes.image right, and may the cluster pull it? Once it can be pulled, the node "
    "tries again by itself, within five minutes",
    Stuck.CONFIG: "repair it in the cluster, or change execution.kubernetes and start again",
    Stuck.QUOTA: "the namespace's quota is exhausted; the search goes on when there is room",
    Stuck.ADMISSION: "the namespace's rules refuse the Pod; change execution.kubernetes or its template",
}

_SECRET: Final = re.compile(r'secret "([\w.-]+)" not found')
_KEPT_OFF: Final = re.compile(r"taint|unschedulable|node affinity|node selector")
_KEY: Final = re.compile(r"couldn't find key (\S+) in Secret (\S+)")


def _advice(stuck: Stuck, detail: str) -> str:
    """What to do about a Pod that does not begin, by what the cluster says of it."""
    if secret := _SECRET.search(detail):
        return (
            f"create it: kubectl create secret generic {secret[1]} with the store's keys; the Pods then begin by "
            "themselves. Or name another: execution.kubernetes.store_secret, chart: store.existingSecret.name"
        )
    if key := _KEY.search(detail):
        named = "execution.kubernetes.store_secret_keys says under what names it has the keys"
        return f"add {key[1]} to secret {key[2]}; {named}"
    if stuck is Stuck.UNSCHEDULABLE and "Insufficient" not in detail and _KEPT_OFF.search(detail):
        return (
            "`kubectl describe nodes` shows their taints and labels, and whether they are cordoned; a Job template "
            "tolerates taints and chooses nodes"
        )
    return advice_on(detail) or _ADVICE[stuck]


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
        self.trouble = f"{worst.detail} ({_advice(worst.stuck, worst.detail)})" if worst and worst.stuck else ""
        return bool(lasting)
