"""The tools that act: start a search, and cancel one. Each is previewed, and needs the token of its preview."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, Final, NamedTuple, TypedDict

import yaml
from pydantic import Field

from metaqnn_orch.application.assembly import LauncherName, make_launcher
from metaqnn_orch.application.detaching import Detached
from metaqnn_orch.application.job_template import read_template
from metaqnn_orch.application.jobs import cluster_of, end_submitted, stop
from metaqnn_orch.application.listener import Tone
from metaqnn_orch.application.preview import Estimate, estimate, preview
from metaqnn_orch.application.release import Release
from metaqnn_orch.control.holder import read_holder
from metaqnn_orch.control.record import load_record
from metaqnn_orch.errors import BadInput, LauncherError, NotFound
from metaqnn_orch.mcp.allowance import Allowance, BudgetLeft, Consumption, Grant
from metaqnn_orch.mcp.confirming import Confirmations
from metaqnn_orch.mcp.reading import Assignments, PresetOrFile, Reading, Run
from metaqnn_orch.mcp.tool import Tool, tool_of
from metaqnn_orch.reporting.summary import RunView, read_only, summary
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.keys import check_name
from metaqnn_trainer.store.base import Store

_THE_PERSONS: Final = ("execution", "budget", "tracking")
"""Sections of settings that are not an assistant's to set: programs, images, places to write to, and the budget."""

Token = Annotated[str, Field(description="The token of the preview.", max_length=100)]
Detach = Callable[[list[str], Store, str], Detached]
"""Starts the program with these arguments in the background, for a run of the store."""


class StartPreview(TypedDict):
    """What a start would cost and create. Nothing is created yet."""

    estimate: Estimate
    """What the run would still cost, and what would be created."""
    most_hours: float | None
    """Hours of training, times the devices of a trial, after which no further trial begins; None: no limit."""
    budget_left: BudgetLeft
    """What is left of the server's budget before this start."""
    token: str
    """Confirms this start, once, for a quarter of an hour."""


class Started(TypedDict):
    """A search that goes on in the background."""

    run: str
    """Name of the run."""
    pid: int
    """Number of its process, on the machine of the server."""
    log: str
    """Path of its log, on the machine of the server."""
    budget_left: BudgetLeft
    """What is left of the server's budget."""


class CancelPreview(TypedDict):
    """What a cancel would stop. Nothing is stopped yet."""

    run: str
    """Name of the run."""
    holder: str | None
    """The process that works on the run and would stop; None where none does."""
    in_flight: int
    """Number of trials in training: they end without a result, and begin again when the run goes on; 0 while nobody
    works on the run.
    """
    waiting: int
    """Number of trials that have begun and wait for somebody to work on the run: their Jobs, where a cluster still has
    some, end.
    """
    token: str
    """Confirms this cancel, once, for a quarter of an hour."""


class Cancelled(TypedDict):
    """What was stopped."""

    run: str
    """Name of the run."""
    was_running: bool
    """Whether somebody worked on the run."""
    lines: list[str]
    """What was done, in words."""


class _Wanted(NamedTuple):
    """A start that was previewed."""

    run: str
    settings: Settings
    most: Consumption
    before: Consumption


class Starting:
    """The tools preview_start and start. The searches outlive the server."""

    def __init__(
        self,
        opened: Callable[[], Store],
        reading: Reading,
        allowance: Allowance,
        launcher: LauncherName,
        detach: Detach,
        release: Release | None = None,
    ) -> None:
        self._opened = opened
        self._reading = reading
        self._allowance = allowance
        self._launcher = launcher
        self._detach = detach
        self._release = release
        self._shown: Confirmations[_Wanted] = Confirmations("preview_start")
        self._lock = Lock()

    def tools(self) -> list[Tool]:
        return [tool_of(self.preview_start), tool_of(self.start, reads_only=False)]

    def preview_start(
        self,
        run: Run,
        preset_or_file: PresetOrFile,
        trials: Annotated[int, Field(ge=1, le=1_000_000, description="Nets to train, beside those that the run has.")],
        hours: Annotated[
            float | None,
            Field(gt=0, le=1e9, description="Hours of training, times devices, after which no further trial begins."),
        ] = None,
        settings: Assignments = [],  # noqa: B006
    ) -> StartPreview:
        """Show what a search would cost, and get the token that `start` needs. A run of this name goes on."""
        for text in settings:
            if text.partition("=")[0].partition(".")[0].strip() in _THE_PERSONS:
                raise BadInput(
                    f"{text[:80]}: the sections {', '.join(_THE_PERSONS)} are the person's to set who runs the server",
                    hint="`trials` and `hours` limit a search",
                )
        store = self._opened()
        before = _used(store, check_name("run", run)) or Consumption(0, 0.0)
        with self._lock:
            left = self._allowance.left()
        hours = hours if hours is not None else left["hours"]
        flags: dict[str, Any] = {"execution.max_trials": before.trials + trials}
        wanted = self._reading.settings(preset_or_file, settings, flags)
        budget = wanted.budget
        if hours is not None:
            limits = [before.hours + max(hours, 0.0), *([budget.gpu_hours] if budget.gpu_hours is not None else [])]
            budget = budget.model_copy(update={"gpu_hours": min(limits)})
            wanted = wanted.model_copy(update={"budget": budget})
        template = read_template(wanted, self._release) if self._launcher is LauncherName.KUBERNETES else {}
        make_launcher(self._launcher, store, wanted, template=template)
        seen = preview(store, run, wanted, self._launcher, None, None)
        most = Consumption(seen.bill.whole.nets, hours or 0.0)
        with self._lock:
            left = self._allowance.check(most)
        return {
            "estimate": estimate(run, seen, wanted),
            "most_hours": hours,
            "budget_left": left,
            "token": self._shown.show(_Wanted(run, wanted, most, before)),
        }

    def start(self, token: Token) -> Started:
        """Start the search that was previewed. It trains nets on real machines, and goes on when the client leaves."""
        with self._lock:
            wanted = self._shown.confirmed(token)
            self._allowance.check(wanted.most)
            store = self._opened()
            with tempfile.TemporaryDirectory() as folder:
                # The settings that were shown are started, whatever became of the file since then.
                file = Path(folder) / "settings.yaml"
                file.write_text(yaml.safe_dump(wanted.settings.model_dump(mode="json")), encoding="utf-8")
                where = shlex.split(self._release.words) if self._release else ["--store", store.uri]
                arguments = ["start", str(file), "--run", wanted.run, "--launcher", self._launcher, *where]
                made = self._detach(arguments, store, wanted.run)
            if made.code == 0:
                raise BadInput(
                    f"run {wanted.run} has nothing left to do: it is complete, or its budget is used",
                    hint="`status` says how it stands",
                )
            if made.code is not None:
                raise LauncherError(
                    f"the search of run {wanted.run} ended with exit code {made.code} before it began",
                    hint="`doctor` says what is missing here",
                )

            def used() -> Consumption | None:
                if made.process.poll() is None:
                    return None
                now = _used(store, wanted.run) or wanted.before
                return Consumption(now.trials - wanted.before.trials, now.hours - wanted.before.hours)

            self._allowance.grant(Grant(wanted.most, used))
            left = self._allowance.left()
        return {"run": wanted.run, "pid": made.process.pid, "log": str(made.log), "budget_left": left}


class Cancelling:
    """The tools preview_cancel and cancel."""

    def __init__(self, opened: Callable[[], Store], launcher: LauncherName, release: Release | None = None) -> None:
        self._opened = opened
        self._launcher = launcher
        self._release = release
        self._shown: Confirmations[str] = Confirmations("preview_cancel")

    def tools(self) -> list[Tool]:
        return [tool_of(self.preview_cancel), tool_of(self.cancel, reads_only=False, destroys=True)]

    def preview_cancel(self, run: Run) -> CancelPreview:
        """Show what cancelling a run would stop, and get the token that `cancel` needs."""
        store = self._opened()
        view = read_only(store, check_name("run", run))
        found = summary(view, read_holder(store, run))
        return {
            "run": run,
            "holder": found["holder"],
            "in_flight": found["in_flight"],
            "waiting": found["waiting"],
            "token": self._shown.show(run),
        }

    def cancel(self, token: Token) -> Cancelled:
        """Stop the run that was previewed, and its trials in training. Results stay; `start` can go on with it."""
        run = self._shown.confirmed(token)
        store, lines = self._opened(), list[str]()

        def say(line: str, tone: Tone = Tone.PLAIN) -> None:
            lines.append(line)

        cluster = None
        if self._launcher is LauncherName.KUBERNETES:
            release = self._release
            cluster = cluster_of(release and release.namespace, release and release.context)
        idle = stop(store, load_record(store, run), cluster, say)
        if cluster is not None:
            end_submitted(cluster, run, store.uri, say)
        return {"run": run, "was_running": not idle, "lines": lines}


def _used(store: Store, run: str) -> Consumption | None:
    """What all sessions of the run have used; None where there is no such run."""
    try:
        view: RunView = read_only(store, run)
    except NotFound:
        return None
    trained = sum(trial.reward is not None for trial in view.state.trials.values())  # repetitions, too
    return Consumption(trained, view.state.device_seconds / 3600)
