"""run.json: what a run is. It is written once, when the run begins; a later call with the same name must ask for the
same.

A run whose trials a table answers has no dataset. A stand-in for the dataset carries the table's digest, and the record
and the binding name the file. Such a run continues with that table only, and no other run continues with a table: so
measured accuracies and looked-up accuracies are never mixed in one search by accident.

A run that began with an import has no dataset yet: its trials were trained on data that is not in this store, and the
dataset of the further search is known only when it goes on. So the dataset in its run.json is a stand-in for the
imported file, with the file's digest, until the first `start` writes dataset.json. The ids of trials before and after
differ by it, as the trials do; within the run a net is known by its text, whatever its trial's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from re import fullmatch
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from metaqnn_orch.control.absence import no_run, refuse_absent
from metaqnn_orch.control.at_once import each
from metaqnn_orch.control.partial import refuse_partial
from metaqnn_orch.control.without_plugins import (
    of_every_trial,
    of_trials,
    other_plugins,
    pip_install,
    present_plugins,
    readable,
    refuse_missing,
)
from metaqnn_orch.errors import ObjectMissing, RunConflict, SettingsError, one_line
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.plugged import design_options
from metaqnn_orch.settings.values import differences, parse_settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import Sha256
from metaqnn_trainer.contract.codec import Message, encode, read
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.keys import NAME_PATTERN
from metaqnn_trainer.contract.messages import DatasetRef, PluginRef, TrialSpec, WeightsRef
from metaqnn_trainer.spaces.base import DEFAULT_FAMILY
from metaqnn_trainer.spaces.cnn.rules import unsaid
from metaqnn_trainer.store.base import Store, exists


class Imported(Message):
    """The file that a run began with."""

    file: str = Field(max_length=500)
    sha256: Sha256
    rows: int
    """Number of rows that the searcher was told."""
    refused: int


class Copied(Message):
    """The run that a run was copied from."""

    store: str = Field(max_length=2000)
    """Address of its store."""
    run: str = Field(pattern=NAME_PATTERN)
    """Its name."""
    uid: str
    """Its own number, in hexadecimal digits."""
    at: str
    """When it was copied, in ISO 8601."""


class Binding(Message):
    """The source of a run's accuracies. It is also the content of dataset.json, which is written once: the dataset with
    which an imported run goes on.
    """

    dataset: DatasetRef
    info: DatasetInfo
    table: str | None = Field(None, max_length=500)
    """The file of the table, where a table answers in place of a trainer; the dataset then is a stand-in for it."""


class RunRecord(Message):
    """The settings that may not change, the dataset that was found for them, and the orchestrator that began the
    run.
    """

    schema_version: Literal[1] = 1
    run: str = Field(pattern=NAME_PATTERN)
    uid: str
    created_at: str
    version: str
    settings: dict[str, Any]
    dataset: DatasetRef
    info: DatasetInfo
    table: str | None = Field(None, max_length=500)
    imported: Imported | None = None
    plugins: dict[str, str] = Field(default_factory=dict)
    """The installed plug-ins that the run began with, by group and name, with distribution and version."""
    copied: Copied | None = None
    """The run that this one was copied from."""
    _unsaid: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _say_what_went_without_saying(self) -> RunRecord:
        space = self.settings.get("space")
        if isinstance(space, dict) and space.get("family", DEFAULT_FAMILY) == DEFAULT_FAMILY:
            self._unsaid = unsaid(space)
            object.__setattr__(self, "settings", {**self.settings, "space": {**space, **self._unsaid}})
        return self

    @property
    def unsaid(self) -> dict[str, Any]:
        """The rules of the space that run.json does not name, because it is older than they are, and that were others
        then than they are by default now. They are part of `settings`.
        """
        return self._unsaid

    @property
    def is_open(self) -> bool:
        """Whether the dataset is still to be decided: no trial was trained in this run yet."""
        imported = self.imported is not None and self.imported.sha256.startswith(self.dataset.digest)
        return imported and self.table is None

    @property
    def is_stand_in(self) -> bool:
        """Whether a file stands for the dataset, whose numbers of images then mean nothing."""
        return self.is_open or self.table is not None

    def bound_to(self, binding: Binding) -> RunRecord:
        settings = {**self.settings, "dataset": {**self.settings["dataset"], "digest": binding.dataset.digest}}
        return self.model_copy(update={**dict(binding), "settings": settings})

    def spec(
        self,
        settings: Settings,
        net: str,
        recipe: Mapping[str, Any] = MappingProxyType({}),
        initial: WeightsRef | None = None,
    ) -> TrialSpec:
        """The specification of a trial of this run: a design, and where the searcher wants them, changes to the recipe
        and weights to begin with.

        Raises:
            ValueError: the changes make no recipe.
        """
        return trial_spec(settings, self.dataset, self.plugins, net, recipe, initial)

    def settings_as_run(self, present: Settings | None = None) -> Settings:
        """The settings that the run began with; those of how the work is done, and of how much, are from
        `present`.

        Raises:
            PluginsMissing: one of their plug-ins is not installed here.
            SettingsError: one of them cannot be loaded.
        """
        try:
            begun = parse_settings(self.settings)
        except SettingsError:
            refuse_missing(self.run, self.plugins)
            raise
        if present is None:
            return begun
        ours = {name: getattr(present, name) for name in ("execution", "budget", "tracking")}
        return begun.model_copy(update=ours).confirming(present.search.confirm)

    def settings_to_read(self) -> Settings:
        """The same, for those who only read trials: none of their plug-ins need be installed."""
        try:
            return self.settings_as_run()
        except SettingsError as error:
            return readable(self.run, self.settings, error)


def trial_spec(
    settings: Settings,
    dataset: DatasetRef,
    plugins: Mapping[str, str],
    net: str,
    recipe: Mapping[str, Any] = MappingProxyType({}),
    initial: WeightsRef | None = None,
) -> TrialSpec:
    """The specification of a trial, as RunRecord.spec returns it, for a run that need not exist; `plugins` are those of
    its record.
    """
    space = settings.state_space()
    return TrialSpec(
        space=PluginRef(name=settings.space.family, options=design_options(settings)),
        net=net,
        dataset=dataset,
        image_size=getattr(settings.space, "image_size", None),
        model=settings.model,
        recipe=space.recipe(net, settings.recipe.changed(recipe) if recipe else settings.recipe),
        task=PluginRef(name=settings.task.name, options=settings.task.model_extra or {}),
        plugins={
            **space.plugins(net),
            **of_every_trial(plugins),
        },
        initial=initial or dict(zip(settings.nets, settings.initial, strict=False)).get(net),
    )


def stand_in(settings: Settings, digest: str, source: str, table: str | None = None) -> Binding:
    """A stand-in for the dataset of a run whose accuracies come from a file and not from training.

    Its digest is the file's, so that a trial's id shows where its accuracy came from, and no such trial can be taken
    for a trained one. The numbers of images are the smallest valid ones.
    """
    space = settings.space
    info = DatasetInfo(
        name=settings.dataset.name,
        channels=space.channels,
        image_size=space.image_size,
        classes=space.classes,
        class_names=[str(number) for number in range(space.classes)],
        train=1,
        validation=1,
        test=0,
        source=one_line(source),
    )
    dataset = DatasetRef(name=settings.dataset.name, digest=digest)
    return Binding(dataset=dataset, info=info, table=table and one_line(table))


def load_record(store: Store, run: str) -> RunRecord:
    """The record of a run.

    Raises:
        NotFound: no run of this name.
        MessageError: run.json is damaged, or of another run.
    """
    keys.check_name("run", run)
    key = keys.run_record(run)
    try:
        record = read(RunRecord, store.get, key, f"{store.uri}: {key}")
    except ObjectMissing:
        refuse_partial(store, run)
        refuse_absent(store)
        raise no_run(store.uri, run, run_names(store)) from None
    if record.run != run:  # a copy would go on with the journal of the run that it was copied from
        raise MessageError(f"{store.uri}: {key} is of the run {record.run!r}")
    return _bound(store, record) if record.is_open else record


def run_names(store: Store) -> list[str]:
    """The names of the runs of a store, in their order; of what is left of one, none.

    Raises:
        StoreError: the store does not answer.
    """
    names = [name for name in store.names(keys.runs()) if fullmatch(NAME_PATTERN, name)]
    there = each(lambda name: exists(store, keys.run_record(name)), names)
    return [name for name, is_run in zip(names, there, strict=True) if is_run]


def check_same(record: RunRecord, settings: Settings) -> None:
    """Check that the settings fit the record.

    Raises:
        RunConflict: the settings differ from those that the run began with, one line for each.
    """
    wanted = settings.identity()
    if wanted["dataset"]["digest"] is None or record.is_open or record.table is not None:
        wanted["dataset"]["digest"] = record.dataset.digest
    wanted["space"] |= record.unsaid  # nobody could choose them then, and the run keeps what it began with
    # A setting that did not exist in the release that began the run has its default.
    begun = record.settings_as_run().identity()
    if wanted["recipe"]["precision"] == "bf16" and "deterministic" not in record.settings["recipe"]:
        wanted["recipe"]["precision"] = begun["recipe"]["precision"]  # presets said none then; the run keeps its own
    lines = differences(begun, wanted)
    others = other_plugins(record.plugins, present_plugins(record.run, record.plugins, settings))
    if lines or others:
        install = "" if lines else pip_install(of_trials(record.plugins))
        go_on = install or "go on with the settings of the run"
        raise RunConflict(
            f"run {record.run!r} exists, but with other settings:\n  " + "\n  ".join([*lines, *others]),
            hint=f"{go_on}, or give the new search another name",
        )


def check_plugins(record: RunRecord, settings: Settings) -> None:
    """
    Raises:
        PluginsMissing: one that the run began with is not installed here.
        RunConflict: other plug-ins are installed than the run began with, so that trials would be other ones.
    """
    listed = "metaqnn-orch config plugins lists what there is now"
    if lines := other_plugins(record.plugins, present_plugins(record.run, record.plugins, settings)):
        raise RunConflict(
            f"run {record.run!r} was trained with other plug-ins:\n  " + "\n  ".join(lines),
            hint=f"{install}; {listed}" if (install := pip_install(of_trials(record.plugins))) else listed,
        )


def check_answers(record: RunRecord, answered_by: Binding | None) -> None:
    """Check that the run goes on as it began: by training, or with this very table.

    Raises:
        RunConflict: it does not.
    """
    if record.is_open:
        return
    rename = "give the new search another name"
    if answered_by is None and record.table is not None:
        raise RunConflict(
            f"run {record.run!r} is a rehearsal: its results come from the table {record.table}, and nothing was "
            "trained",
            hint=f"to go on with it, use --launcher table --table FILE; to train, {rename}",
        )
    if answered_by is not None and record.table is None:
        raise RunConflict(
            f"run {record.run!r} trains on {record.dataset.name}-{record.dataset.digest} and uses no table",
            hint=f"to rehearse, {rename}",
        )
    if answered_by is not None and record.dataset.digest != answered_by.dataset.digest:
        raise RunConflict(
            f"run {record.run!r} uses the table {record.table} with digest {record.dataset.digest}, but "
            f"{answered_by.table} has {answered_by.dataset.digest}",
            hint=f"go on with the table that it began with, or {rename}",
        )


def create_record(store: Store, record: RunRecord) -> RunRecord:
    """Write run.json, or read the one that another process wrote first."""
    if store.put_if_absent(keys.run_record(record.run), encode(record)):
        return record
    return load_record(store, record.run)


def bind(store: Store, record: RunRecord, binding: Binding) -> RunRecord:
    """Decide the dataset of an open record, or read the decision that another process wrote first."""
    if store.put_if_absent(keys.run_dataset(record.run), encode(binding)):
        return record.bound_to(binding)
    return _bound(store, record)


def _bound(store: Store, record: RunRecord) -> RunRecord:
    key = keys.run_dataset(record.run)
    try:
        binding = read(Binding, store.get, key, f"{store.uri}: {key}")
    except ObjectMissing:
        return record
    return record.bound_to(binding)
