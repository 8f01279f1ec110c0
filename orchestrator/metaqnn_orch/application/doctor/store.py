"""doctor's part about the store: whether everything that a search does can be done with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from metaqnn_orch.application.assembly import store_of_pods
from metaqnn_orch.application.doctor.diagnosis import Diagnosis, Mark, clock, tried
from metaqnn_orch.application.opening import plain
from metaqnn_orch.errors import ObjectMissing, StoreError
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import Store, honours_put_if_absent, lists_what_is_there, removed

LARGE_BYTES: Final = 8 << 20  # beyond what gateways take by default; the weights of a small net


def examine_store(store: Store) -> Iterator[Diagnosis]:
    away = False

    def listing() -> str:
        nonlocal away
        try:
            return f"{store.uri}, {amount(sum(1 for _ in store.list(keys.datasets())), 'dataset')}"
        except StoreError as error:
            away = error.transient or not error.status  # what follows would get no answer, either
            raise

    yield tried("store: can be listed", listing)
    if away:
        return
    yield tried("store: a missing object is reported as missing", lambda: _missing(store))
    yield tried("store: a written object is listed", lambda: _listed(store))
    yield tried("store: accepts large objects", lambda: _large(store))
    yield tried("store: conditional writes", lambda: _conditional(store))
    ahead = getattr(plain(store), "seconds_ahead", None)
    if ahead is not None:
        yield tried("store: clock", lambda: clock("store: clock", ahead()))


def _missing(store: Store) -> str | Diagnosis:
    what, key = "store: a missing object is reported as missing", keys.probes() + "no-such-object"
    for look in (store.get, store.stat):
        with suppress(ObjectMissing):
            look(key)
            return Diagnosis(what, Mark.BAD, f"{store.uri}/{key} is there", "is this the address of a store?")
    return ""


def _listed(store: Store) -> str | Diagnosis:
    by_pages = getattr(plain(store), "by_pages_of", None)
    if lists_what_is_there(store if by_pages is None else by_pages(1), keys.probes()):
        return ""
    fix = "its listings are not complete: use another store, or a newer release of it"
    return Diagnosis("store: a written object is listed", Mark.BAD, "not all objects were listed", fix)


def _large(store: Store) -> str:
    key = keys.probes() + "large"
    with removed(store, key):
        store.put(key, bytes(LARGE_BYTES))
    return f"{LARGE_BYTES >> 20} MiB"


def _conditional(store: Store) -> str | Diagnosis:
    if honours_put_if_absent(store, keys.probes()):
        return "the second of two writes was refused, as it must be"
    fix = "use another store, or --unsafe-single-writer if no second orchestrator will ever touch the run"
    return Diagnosis("store: conditional writes", Mark.BAD, "ignored: the second of two writes was accepted", fix)


def examine_as_pods(store: Store, settings: KubernetesSettings, asked_inside: str) -> Iterator[Diagnosis]:
    """Examine the store once more, with the options that the trainers get. This machine may be unable to reach it that
    way; `asked_inside` says in words what does.
    """
    what = "store: as Pods talk to it"
    told = store_of_pods(store, settings)
    if told is None:
        return

    def ask() -> str | Diagnosis:
        try:
            conditional = _conditional(told)
        except StoreError as error:
            if error.status:
                raise
            seen = f"{error.hint}; if only Pods can reach it, {asked_inside} from inside the cluster"
            return Diagnosis(what, Mark.UNKNOWN, f"no answer at this machine: {error}", seen)
        where = f"{settings.store_endpoint or 'AWS'}, region {settings.store_region or 'by default'}"
        return where if isinstance(conditional, str) else conditional._replace(what=what)

    yield tried(what, ask)
