"""What a run left behind in the store and no command needs any more."""

from __future__ import annotations

from collections.abc import Sequence

from metaqnn_orch.application.listener import Say, Tone
from metaqnn_orch.application.moment import now
from metaqnn_orch.control.retention import Removed, Surplus, Why, kept, orphans, remove, surplus
from metaqnn_orch.reporting.summary import RunView
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.base import Store


def left_behind(store: Store, view: RunView, keep_weights: str) -> list[Surplus]:
    """The objects that may be deleted when these weights are kept (settings.model.KEEP_WEIGHTS)."""
    run = view.record.run
    entries = list(store.list(keys.trials(run)))
    doomed = surplus(view.state, entries, run, kept(keep_weights))
    already = {thing.key for thing in doomed}
    doomed += [thing for thing in orphans(store, view.state, entries, run) if thing.key not in already]
    if not view.state.in_flight:  # while a trial is in flight, a Job may need it
        doomed += [Surplus(key, "", size, Why.PROGRESS) for key, size in entries if key.startswith(keys.bundles(run))]
    return doomed


def delete(store: Store, run: str, doomed: Sequence[Surplus], by: str, say: Say) -> None:
    """Delete the leftovers. `by` says who deleted them, in the note that stays."""
    note = Removed(at=now(), by=by)
    for number, thing in enumerate(doomed, 1):
        remove(store, run, thing, note)
        if number % 100 == 0:
            say(f"{number:,} of {len(doomed):,} objects deleted", Tone.ASIDE)
