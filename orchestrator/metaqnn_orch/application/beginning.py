"""Finds or makes a run's record (run.json), and checks that everything fits before anything is written."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable

from metaqnn_orch.application import datasets
from metaqnn_orch.application.assembly import refuse_unsafe_store
from metaqnn_orch.application.listener import Say
from metaqnn_orch.application.moment import now
from metaqnn_orch.control.holder import this_process
from metaqnn_orch.control.partial import refuse_partial
from metaqnn_orch.control.record import Binding, RunRecord, bind, check_answers, check_same, create_record, load_record
from metaqnn_orch.control.replay_import import import_run
from metaqnn_orch.control.resume import check_imported
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.try_out import try_out
from metaqnn_orch.control.warm_start import recall
from metaqnn_orch.errors import NotFound
from metaqnn_orch.next_command import next_command
from metaqnn_orch.replay.database import Replay
from metaqnn_orch.reporting.tracking import trackers
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.plugged import plugins_of
from metaqnn_trainer import __version__
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import DatasetRef
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore


def begin(
    store: Store,
    run: str,
    settings: Settings,
    check_store: Callable[[Store], None],
    say: Say,
    answered_by: Binding | None = None,
    make_dataset: Callable[[str], DatasetRef] | None = None,
    prove: Callable[[], object] = lambda: None,
) -> RunRecord:
    """The record (run.json) of this run: the existing one, if it has the same settings, or a new one. Whatever can be
    wrong is found before anything is written; `check_store` is called last, because it may have to write to the
    store. `prove` is called before a dataset is made or a run created, and raises what keeps trials from beginning
    here. `answered_by` stands in for the dataset where a table answers. `make_dataset` makes a dataset that the store
    does not have yet; by default this machine makes it.

    Raises:
        BadInput: the run exists with other settings, or its dataset is missing, or does not fit, or a table answers
            where one trained, or the other way round.
        PluginFailed: the searcher or the space of a new run fails at once.
        LauncherError: no trial can begin here.
    """

    def check(record: RunRecord) -> RunRecord:
        check_same(record, settings)
        check_answers(record, answered_by)
        for name, value in record.unsaid.items():
            if getattr(settings.space, name) != value:
                say(f"run {run} began before space.{name} existed, and keeps what it began with: {json.dumps(value)}")
        begun = record.settings_as_run().recipe.precision
        if settings.recipe.precision != begun:
            say(f"run {run} began with recipe.precision {begun}, before presets said another, and keeps it")
        return record

    trackers(settings.tracking)  # what is not installed is reported before anything is written
    try:
        record = check(load_record(store, run))
    except NotFound:
        plugins = plugins_of(settings)
        try_out(settings)
        recall(store, run, settings, rehearsal=answered_by is not None)
        binding = answered_by or _find_dataset(store, settings, say, make_dataset, prove)
        check_store(store)
        # Another process may have begun the run at the same moment.
        return check(create_record(store, _new_record(run, settings, binding, plugins)))
    if record.is_open:
        check_imported(store, record)
        binding = answered_by or _find_dataset(store, settings, say, make_dataset, prove)
        check_store(store)
        return check(bind(store, record, binding))
    check_store(store)
    return record


def _new_record(run: str, settings: Settings, binding: Binding, plugins: dict[str, str]) -> RunRecord:
    return RunRecord(
        run=run,
        uid=secrets.token_hex(16),
        created_at=now(),
        version=__version__,
        settings=settings.on(binding.dataset.digest).recorded(),
        plugins=plugins,
        **dict(binding),
    )


def begin_imported(store: Store, run: str, settings: Settings, replay: Replay) -> RunState:
    """A new run that begins with trials that were imported; or the existing run, if the same import was cut short.

    Raises:
        RunConflict: a run of this name exists, or a part of one.
        RunHeld: the same import, somewhere else, was faster.
        StoreError: two writers could destroy a run in this store.
    """
    refuse_unsafe_store(store)
    refuse_partial(store, run)
    me = this_process(secrets.token_hex(8), now())
    return import_run(store, run, settings, replay, me, version=__version__, uid=secrets.token_hex(16))


def _find_dataset(
    store: Store,
    settings: Settings,
    say: Say,
    make: Callable[[str], DatasetRef] | None,
    prove: Callable[[], object],
) -> Binding:
    """The dataset that the settings name, in the store; it is made now, if it is not there yet."""
    name, digest = settings.dataset.name, settings.dataset.digest
    ref = datasets.find(store, name, digest)
    if ref is None and digest is None:
        prove()
        say(f"dataset {name} is not in {store.uri} yet: making it")
        if make is None:
            return _make_here(store, settings, say)
        ref = make(name)
    if ref is None:
        raise NotFound(f"{store.uri} has no dataset {name}-{digest}", hint=next_command("dataset list", store.uri))
    info = datasets.info(store, ref)
    datasets.check_fit(settings, info)
    prove()
    return Binding(dataset=ref, info=info)


def _make_here(store: Store, settings: Settings, say: Say) -> Binding:
    name = settings.dataset.name
    # The dataset is made in another place first: one that does not fit leaves nothing behind.
    with tempfile.TemporaryDirectory(prefix="metaqnn-") as directory:
        aside = DirectoryStore(directory)
        try:
            ref = datasets.push(aside, name, report=say)
        except NotFound as error:
            hint = f"{next_command(f'dataset push {name} --source DIR', store.uri)} makes it from files"
            raise NotFound(str(error), hint) from None
        info = datasets.info(aside, ref)
        datasets.check_fit(settings, info)
        key = keys.dataset(ref.name, ref.digest)
        store.put_if_absent(key, aside.get(key))
    return Binding(dataset=ref, info=info)
