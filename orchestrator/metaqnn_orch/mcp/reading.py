"""The tools that only read: runs of one store, settings, and designs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypedDict, cast

from pydantic import Field

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.datasets import facts
from metaqnn_orch.application.describing import Described, Following, describe, following
from metaqnn_orch.application.doctor.cluster import examine_cluster
from metaqnn_orch.application.doctor.diagnosis import Diagnosis
from metaqnn_orch.application.doctor.store import examine_store
from metaqnn_orch.application.jobs import cluster_of, said_by, said_by_search
from metaqnn_orch.application.machine import said_here
from metaqnn_orch.application.naming import find_trial
from metaqnn_orch.application.release import Release
from metaqnn_orch.application.run_list import ListedRun, list_runs
from metaqnn_orch.application.trial_view import TrialView, trial_view
from metaqnn_orch.control.holder import read_holder
from metaqnn_orch.control.record import load_record
from metaqnn_orch.errors import BadInput, NotFound, one_line
from metaqnn_orch.mcp.tool import Tool, tool_of
from metaqnn_orch.reporting.answers import RunStatus, TrialRow
from metaqnn_orch.reporting.content import content
from metaqnn_orch.reporting.explain import Explanation, explain
from metaqnn_orch.reporting.history import read_best, read_history
from metaqnn_orch.reporting.summary import goes_on, read_known, read_only, status_of, trial_rows
from metaqnn_orch.reporting.verdict import Verdict, read_verdict
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.presets import presets
from metaqnn_orch.settings.sources import InForce, Layered, in_force, load_settings
from metaqnn_trainer.contract.keys import check_name
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import Store

PAGE: Final = 100
"""Trials of one answer, at most."""
_LONGEST: Final = 1000  # characters of a line

Run = Annotated[str, Field(description="Name of the run.", max_length=100)]
PresetOrFile = Annotated[
    str,
    Field(description="A preset, or a YAML settings file in the folder in which the server runs.", max_length=400),
]
# As an argument it defaults to an empty list, which no tool changes, and which the tool's schema shows.
Assignments = Annotated[
    list[Annotated[str, Field(max_length=2000)]],
    Field(description="Settings that differ, each as KEY=VALUE, for example recipe.epochs=3.", max_length=50),
]


_ID: Final = "^[0-9a-f]{1,12}$"
Trial = Annotated[str, Field(description="Id of a trial, or the first characters of it.", pattern=_ID)]


class TrialPage(TypedDict):
    """Some trials of a run."""

    trials: list[TrialRow]
    """The trials from `offset` on, in the order that was asked for."""
    total: int
    """Number of all trials of the run."""
    next_offset: int | None
    """Offset of the next page; None after the last."""


class RunPage(TypedDict):
    """Some runs of the store."""

    runs: list[ListedRun]
    """The runs from `offset` on, by their names."""
    total: int
    """Number of all runs."""
    next_offset: int | None
    """Offset of the next page; None after the last."""


class Diagnoses(TypedDict):
    """What was examined."""

    diagnoses: list[Diagnosis]
    """One for each thing, as `metaqnn-orch doctor -o json` lists them."""


class Text(TypedDict):
    """A text for people."""

    text: str
    """The text."""


class SettingsInForce(TypedDict):
    """The settings in force."""

    settings: dict[str, InForce]
    """Every setting, by its dotted key."""
    presets: list[str]
    """The presets that there are."""


class Reading:
    """The tools over one store. `opened` opens it for each call: a store that is away fails the call, and no more."""

    def __init__(
        self,
        opened: Callable[[], Store],
        launcher: LauncherName = LauncherName.LOCAL,
        release: Release | None = None,
        folder: Path | None = None,
    ) -> None:
        """`folder` is where settings files may be: by default the working folder."""
        self._opened = opened
        self._launcher = launcher
        self._release = release
        self._folder = (folder or Path.cwd()).resolve()

    def tools(self) -> list[Tool]:
        reading = (
            self.runs,
            self.status,
            self.trials,
            self.trial,
            self.logs,
            self.report,
            self.explain,
            self.verdict,
            self.space,
            self.describe,
            self.config,
        )
        # A probe of the store writes objects, and deletes them.
        return [*(tool_of(function) for function in reading), tool_of(self.doctor, reads_only=False)]

    def runs(
        self,
        offset: Annotated[int, Field(ge=0, description="How many runs to pass over.")] = 0,
        limit: Annotated[int, Field(ge=1, le=50, description="How many runs to list.")] = 20,
    ) -> RunPage:
        """List the runs of the store, a page at a time."""
        found, end = list_runs(self._opened()), offset + limit
        return {
            "runs": found[offset:end],
            "total": len(found),
            "next_offset": end if end < len(found) else None,
        }

    def status(self, run: Run) -> RunStatus:
        """Tell how a run stands: its state, counters, best net, cost so far, and what it waits for."""
        store = self._opened()
        return status_of(store, read_known(store, check_name("run", run)), read_holder(store, run))

    def trials(
        self,
        run: Run,
        offset: Annotated[int, Field(ge=0, description="How many trials to pass over.")] = 0,
        limit: Annotated[int, Field(ge=1, le=PAGE, description="How many trials to list.")] = 20,
        best_first: Annotated[
            bool,
            Field(description="List the trained nets by reward, the best first, instead of all by their proposal."),
        ] = False,
    ) -> TrialPage:
        """List trials of a run, a page at a time."""
        store = self._opened()
        state = read_only(store, check_name("run", run)).state
        works = goes_on(store, run, state)
        found = state.ranking() if best_first else [*state.trials.values()]
        end = offset + limit
        return {
            "trials": trial_rows(state, found[offset:end], works=works),
            "total": len(found),
            "next_offset": end if end < len(found) else None,
        }

    def trial(self, run: Run, trial: Trial) -> TrialView:
        """Show one trial of a run: its net, curve, attempts, device and files."""
        store = self._opened()
        view = read_only(store, check_name("run", run))
        works = goes_on(store, run, view.state)
        return cast(TrialView, trial_view(store, view, find_trial(view, trial, store.uri), works=works))

    def logs(
        self,
        run: Run,
        trial: Annotated[
            str | None,
            Field(description="Id of a trial, or the first characters of it; null: the search.", pattern=_ID),
        ] = None,
        tail: Annotated[int, Field(ge=1, le=500, description="How many of the last lines.")] = 50,
    ) -> Text:
        """Show the log of the last search of a run that went on in the background, or of one of its trials."""
        store = self._opened()
        record = load_record(store, check_name("run", run))
        if trial is not None:
            trial = find_trial(read_only(store, run), trial, store.uri).trial
        if self._launcher is not LauncherName.KUBERNETES:
            lines = said_here(store.uri, run, trial)
        else:
            cluster = cluster_of(self._release and self._release.namespace, self._release and self._release.context)
            lines = said_by(cluster, store, record, trial, tail) if trial else said_by_search(cluster, store, run, tail)
        return {"text": "\n".join(line[:_LONGEST] for line in lines[-tail:])}

    def doctor(self, preset_or_file: PresetOrFile, settings: Assignments = []) -> Diagnoses:  # noqa: B006
        """Check everything that a search needs: the store, and the cluster where trials run in one."""
        wanted, store = self.settings(preset_or_file, settings), self._opened()
        in_cluster = self._launcher is LauncherName.KUBERNETES
        return {
            "diagnoses": [*examine_store(store), *(examine_cluster(store, wanted, self._release) if in_cluster else [])]
        }

    def report(self, run: Run) -> Text:
        """Tell in words what a run found: the best net, how trials ended, cost, versions."""
        store = self._opened()
        view = read_known(store, check_name("run", run))
        if view.state.best is None:
            raise BadInput(f"run {run} has no trained net yet", hint="`status` tells how it stands")
        price = view.state.opened.budget.price_per_gpu_hour if view.state.opened is not None else None
        works = goes_on(store, run, view.state)
        words = content(view, read_history(store, view), read_best(store, view), price, works=works)
        facts = [("best net", view.state.best.net), *words.numbers, *words.cost, *words.versions]
        lines = [
            words.lead,
            *words.notes,
            *(f"{name}: {one_line(value, 400)}" for name, value in facts),
            *(f"{end.name}: {end.number:,} ({end.meaning})" for end in words.outcomes),
            *(f"{amount(count, 'attempt')} lost: {reason}" for reason, count in words.reasons),
        ]
        return {"text": "\n".join(lines)}

    def explain(
        self,
        run: Run,
        after: Annotated[
            str, Field(description="The beginning of a design, for example [C(32,3,1)].", max_length=2000)
        ] = "",
    ) -> Explanation:
        """Tell what the searcher of a run believes after the beginning of a design, and what it would choose next."""
        return explain(read_known(self._opened(), check_name("run", run)).state, after)

    def verdict(self, run: Run) -> Verdict:
        """Tell the verdict of a run of finals: accuracies on the test images, which are measured once."""
        found = read_verdict(self._opened(), check_name("run", run))
        if found is None:
            raise NotFound(f"run {run} has no verdict: its best nets were not trained again and tested")
        return found

    def space(
        self,
        preset_or_file: PresetOrFile,
        after: Annotated[
            str, Field(description="The beginning of a design; empty for the first choices.", max_length=2000)
        ] = "",
        settings: Assignments = [],  # noqa: B006
    ) -> Following:
        """List which layers may follow the beginning of a net in the space of some settings."""
        return following(self.settings(preset_or_file, settings), preset_or_file, after)

    def describe(
        self,
        net: Annotated[str, Field(description="A net, for example [C(64,3,1), P(2,2), SM(10)].", max_length=2000)],
        preset_or_file: PresetOrFile,
        settings: Assignments = [],  # noqa: B006
    ) -> Described:
        """Describe a net layer by layer: shapes, parameters, multiply-accumulates, and whether the space holds it."""
        return describe(self.settings(preset_or_file, settings), preset_or_file, net)

    def config(self, preset_or_file: PresetOrFile, settings: Assignments = []) -> SettingsInForce:  # noqa: B006
        """List all settings in force, where each came from, and the presets."""
        return {"settings": in_force(self._layered(preset_or_file, settings)), "presets": [*presets()]}

    def settings(self, preset_or_file: str, assignments: list[str], flags: dict[str, Any] | None = None) -> Settings:
        """The settings of a preset, or of a file in the server's folder, with what differs.

        Raises:
            BadInput: the file is elsewhere, or a setting is wrong.
        """
        return self._layered(preset_or_file, assignments, flags).settings

    def _layered(self, preset_or_file: str, assignments: list[str], flags: dict[str, Any] | None = None) -> Layered:
        if preset_or_file not in presets():
            path = (self._folder / preset_or_file).resolve()
            if not path.is_relative_to(self._folder):
                raise BadInput(
                    f"{preset_or_file!r} is neither a preset nor a file in the folder in which the server runs",
                    hint=f"the presets are {', '.join(presets())}",
                )
            preset_or_file = str(path)
        return load_settings(
            preset_or_file,
            os.environ,
            assignments,
            flags or {},
            self._release and self._release.layer(),
            facts(self._opened),
        )
