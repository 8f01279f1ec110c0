"""The front door for Python: the work of the commands, with the objects that they use.

    from metaqnn_orch import Search

    search = Search.start("digits", run="first", store="./runs")
    search.best.net
    search.frame().groupby("epsilon").val_accuracy.mean()

Errors are those of the commands (metaqnn_orch.errors), with a `hint`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any, Literal, overload

from metaqnn_orch import markup
from metaqnn_orch.application import exports, session
from metaqnn_orch.application.assembly import LauncherName, make_launcher
from metaqnn_orch.application.background import Running
from metaqnn_orch.application.datasets import facts
from metaqnn_orch.application.followed import Followed, OnTrial, notebook_display
from metaqnn_orch.application.job_template import read_template
from metaqnn_orch.application.logged import Logged
from metaqnn_orch.application.machine import lines_of
from metaqnn_orch.application.notebook import show_trials
from metaqnn_orch.application.opening import open_store
from metaqnn_orch.application.rehearsal import read_rehearsal
from metaqnn_orch.application.signals import interruptible
from metaqnn_orch.control.holder import read_holder
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Outcome, Stop
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.control.without_plugins import Readable
from metaqnn_orch.errors import BadInput, NotFound
from metaqnn_orch.needs import need
from metaqnn_orch.reporting.curves import Curves
from metaqnn_orch.reporting.explain import Explanation, explain
from metaqnn_orch.reporting.schemas import plain
from metaqnn_orch.reporting.summary import (
    goes_on,
    leaderboard,
    needs,
    read_known,
    reward_name,
    shown_reward,
    status_of,
    trial_table,
)
from metaqnn_orch.reporting.verdict import Verdict, read_verdict
from metaqnn_orch.search.q_table import QValue
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract.keys import check_name
from metaqnn_trainer.contract.text import amount

show_trials()


class Search:
    """A run as its store has it at one moment; `refresh` reads it again. No method but `start` and `export` writes
    anything.
    """

    def __init__(self, run: str, store: str | os.PathLike[str]) -> None:
        """An existing run of the store at a directory or s3://bucket/prefix. Where a plug-in of it is not installed
        here, its trials can be read all the same, and what needs the plug-in raises PluginsMissing.

        Raises:
            NotFound: no run of this name.
            JournalError: its journal is damaged.
        """
        self._store = open_store(os.fspath(store), Logged().say)
        self._view = read_known(self._store, run)
        self._curves = Curves(self._store)

    @overload
    @classmethod
    def start(
        cls,
        preset_or_file: str,
        *,
        run: str,
        store: str | os.PathLike[str],
        launcher: str = ...,
        table: str | os.PathLike[str] | None = ...,
        settings: Mapping[str, Any] | None = ...,
        on_trial: OnTrial | None = ...,
        progress: bool | None = ...,
        block: Literal[True] = ...,
    ) -> Search: ...

    @overload
    @classmethod
    def start(
        cls,
        preset_or_file: str,
        *,
        run: str,
        store: str | os.PathLike[str],
        launcher: str = ...,
        table: str | os.PathLike[str] | None = ...,
        settings: Mapping[str, Any] | None = ...,
        on_trial: OnTrial | None = ...,
        progress: bool | None = ...,
        block: Literal[False],
    ) -> Running[Search]: ...

    @classmethod
    def start(
        cls,
        preset_or_file: str,
        *,
        run: str,
        store: str | os.PathLike[str],
        launcher: str = "local",
        table: str | os.PathLike[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        on_trial: OnTrial | None = None,
        progress: bool | None = None,
        block: bool = True,
    ) -> Search | Running[Search]:
        """Search, or go on with a search, until it is complete, as `metaqnn-orch start` does, and open the run.

        `settings` are dotted keys with their values, as {"recipe.epochs": 3, "execution.parallel": 4}. None is null:
        {"objective": None} takes away what the preset says of this section.

        `on_trial` is called with each trial that ends, by the thread that searches, which waits for it. An error in it
        is logged, and the search goes on. With `progress` a notebook shows the run below the cell, and updates it;
        by default every notebook does.

        With block=False the search goes on in a thread, and its handle is returned: wait(), stop(), done, status. What
        is wrong with the arguments is raised here, and what ends the search by wait().

        Ctrl-C, or an interrupted kernel, ends the search as it ends the command: the first waits for the trials in
        training, the second leaves at once. Then KeyboardInterrupt is raised, and the same call goes on with the run.
        A search outside of the main thread hears no signal, and ends with the main thread.

        Its progress is written to the log `metaqnn_orch`: logging.basicConfig(level=logging.INFO) shows it.

        Raises:
            BadInput: the arguments do not fit each other, the store or an existing run; nothing was created.
            RunHeld: another orchestrator works on the run.
            RunFailed, StoreError, LauncherError: as the command says.
            KeyboardInterrupt: a signal stopped the search, and its state is saved.
        """
        check_name("run", run)
        where, place = LauncherName(launcher), os.fspath(store)
        opened = open_store(place, Logged().say)
        look = facts(lambda: opened, run)
        wanted = load_settings(preset_or_file, os.environ, [], dict(settings or {}), look=look).settings
        if table is not None and where is not LauncherName.TABLE:
            raise BadInput("a table needs the table launcher", hint="launcher='table'")
        rehearsal = read_rehearsal(Path(table), wanted, Logged().say) if table is not None else None
        template = read_template(wanted) if where is LauncherName.KUBERNETES else {}
        launching = make_launcher(where, opened, wanted, rehearsal, template, lines_of(opened.uri, run))
        answered_by = rehearsal and rehearsal.binding(wanted)
        listener = Followed(on_trial, None if progress is False else notebook_display())

        def search(asked: Callable[[], Stop]) -> session.SessionEnd:
            return session.run(opened, run, wanted, launching, listener, answered_by=answered_by, asked=asked)

        if not block:

            def ended(asked: Callable[[], Stop]) -> Search:
                search(asked)
                return cls(run, place)

            return Running(run, ended, lambda: _status(run, place), lambda: _shown(run, place))
        with interruptible():
            end = search(lambda: Stop.NO)
        if end.outcome is Outcome.INTERRUPTED:
            if end.signal not in (0, signal.SIGINT):
                signal.raise_signal(end.signal)  # the signal now has the effect that it has without this handler
            raise KeyboardInterrupt
        return cls(run, place)

    def refresh(self) -> Search:
        """The same run, in its present state."""
        fresh = Search(self.run, self._store.uri)
        fresh._curves = self._curves  # what was read of ended trials need not be read again
        return fresh

    @property
    def run(self) -> str:
        return self._view.record.run

    @property
    def settings(self) -> Settings:
        """The settings that the run began with. Of plug-ins that are not installed here they hold what was written."""
        return self.state.settings

    @property
    def state(self) -> RunState:
        """The searcher, the trials and the counters, folded from the journal."""
        return self._view.state

    @property
    def status(self) -> dict[str, Any]:
        """The fields of `metaqnn-orch status -o json`."""
        found: dict[str, Any] = plain(status_of(self._store, self._view, read_holder(self._store, self.run)))
        return found

    @property
    def trials(self) -> list[Trial]:
        """The trials, in the order of their proposal.

        Raises:
            StoreError: their curves are not in the journal, and the store does not answer.
        """
        return self._with_curves([*self.state.trials.values()])

    @property
    def best(self) -> Trial | None:
        """The best trial: among confirmed ones, that of the highest mean, and else that of the highest reward. Raises
        as `trials` does.
        """
        return self.state.best and self._with_curves([self.state.best])[0]

    def leaderboard(self, top: int = 10) -> list[Trial]:
        """The best trials, smaller nets first among equals. Raises as `trials` does."""
        return self._with_curves(leaderboard(self.state, top))

    def _with_curves(self, trials: list[Trial]) -> list[Trial]:
        self._curves.fill(self._view, trials)
        return trials

    def frame(self) -> Any:
        """The trials as a pandas DataFrame, by trial id: the columns of `metaqnn-orch trials -o csv`.

        Raises:
            BadInput: pandas is not installed.
        """
        need("notebook", "a data frame")
        import pandas

        columns, rows = trial_table(self.state, works=goes_on(self._store, self.run, self.state))
        return pandas.DataFrame(rows, columns=columns).set_index("trial")

    @property
    def q_table(self) -> list[QValue]:
        """Every Q-value that was ever updated: state, move, value, number of updates.

        Raises:
            BadInput: the searcher keeps no Q-values, or a plug-in that it needs is not installed here.
        """
        if isinstance(self.settings, Readable):
            raise self.settings.lack
        return [*self.state.agent.q_table]

    def explain(self, after: str = "") -> Explanation:
        """What the searcher believes after the beginning of a design, and what it would do there."""
        return explain(self.state, after)

    @property
    def verdict(self) -> Verdict | None:
        """The verdict of a run of finals: the accuracies on the test images, where they were measured."""
        return read_verdict(self._store, self.run)

    def export(
        self,
        to: str | os.PathLike[str],
        trial: Trial | None = None,
        *,
        fixed_size: bool = False,
        force: bool = False,
    ) -> exports.Exported:
        """Write a trained net, by default the best, as .onnx, .pt2 or .safetensors, as `metaqnn-orch export` does.

        Raises:
            BadInput: there is none, or it cannot be written so, or not there.
        """
        path = Path(to).absolute()
        form = next((form for form, suffix in exports.SUFFIXES.items() if path.suffix == suffix), None)
        chosen = exports.choose(self._store, self._view, trial.trial if trial is not None else None)
        if form is None:
            raise BadInput(f"{path.name} ends in none of {', '.join(exports.SUFFIXES.values())}")
        return exports.export(
            self._store, self.run, chosen, form, path, fixed_size=fixed_size, force=force, report=Logged().say
        )

    def _repr_html_(self) -> str:
        """The run for a notebook: its state, and the best nets with their curves."""
        status, state = self.status, self.state
        leaders = self.leaderboard(5)
        curves = [reward for trial in leaders for reward in trial.curve]
        low, high = min(curves, default=0.0), max(curves, default=1.0)
        done = state.unique / max(1, status["goal"])
        facts = [
            ("run", f"<b>{escape(self.run)}</b> on {escape(status['dataset'])}"),
            (
                "state",
                f"{escape(status['state'])} {markup.bar(done)} {state.unique:,} of {amount(status['goal'], 'net')}",
            ),
        ]
        if lack := needs(self._view):
            facts.append(("plug-ins", escape(lack)))
        name = reward_name(state.settings)
        table = markup.rows(
            ["#", name, "epochs", "params", "trial", "net"],
            [
                [
                    str(rank),
                    shown_reward(trial),
                    markup.curve(trial.curve, low, high),
                    "" if trial.params is None else f"{trial.params:,}",
                    f"<code>{trial.trial}</code>",
                    f"<code>{escape(trial.net)}</code>",
                ]
                for rank, trial in enumerate(leaders, 1)
            ],
        )
        return f"<div>{markup.facts(facts)}{table if leaders else ''}</div>"

    def __repr__(self) -> str:
        best = f", best {shown_reward(self.state.best)}" if self.state.best is not None else ""
        return f"<Search {self.run}: {amount(self.state.unique, 'net')}{best}>"


def _status(run: str, store: str) -> dict[str, Any]:
    try:
        return Search(run, store).status
    except NotFound:
        return {"run": run, "state": "beginning"}


def _shown(run: str, store: str) -> str:
    try:
        return Search(run, store)._repr_html_()
    except NotFound:
        return f"<div>run {escape(run)} is beginning</div>"
