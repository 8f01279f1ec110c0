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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metaqnn_orch.application import exports, session
from metaqnn_orch.application.assembly import LauncherName, make_launcher
from metaqnn_orch.application.datasets import facts
from metaqnn_orch.application.job_template import read_template
from metaqnn_orch.application.logged import Logged
from metaqnn_orch.application.machine import lines_of
from metaqnn_orch.application.opening import open_store
from metaqnn_orch.application.rehearsal import read_rehearsal
from metaqnn_orch.application.signals import interruptible
from metaqnn_orch.control.holder import read_holder
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Outcome
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import BadInput
from metaqnn_orch.needs import need
from metaqnn_orch.reporting.explain import Explanation, explain
from metaqnn_orch.reporting.schemas import plain
from metaqnn_orch.reporting.summary import leaderboard, read_run, shown_reward, status_of, trial_table
from metaqnn_orch.reporting.verdict import Verdict, read_verdict
from metaqnn_orch.search.q_table import QValue
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract.keys import check_name


class Search:
    """A run as its store has it at one moment; `refresh` reads it again. No method but `start` and `export` writes
    anything.
    """

    def __init__(self, run: str, store: str | os.PathLike[str]) -> None:
        """An existing run of the store at a directory or s3://bucket/prefix.

        Raises:
            NotFound: no run of this name.
            JournalError: its journal is damaged.
        """
        self._store = open_store(os.fspath(store), Logged().say)
        self._view = read_run(self._store, run)

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
    ) -> Search:
        """Search, or go on with a search, until it is complete, as `metaqnn-orch start` does, and open the run.

        `settings` are dotted keys with their values, as {"recipe.epochs": 3, "execution.parallel": 4}.

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
        with interruptible():
            answered_by = rehearsal and rehearsal.binding(wanted)
            ended = session.run(opened, run, wanted, launching, Logged(), answered_by=answered_by)
        if ended.outcome is Outcome.INTERRUPTED:
            if ended.signal not in (0, signal.SIGINT):
                signal.raise_signal(ended.signal)  # the signal now has the effect that it has without this handler
            raise KeyboardInterrupt
        return cls(run, place)

    def refresh(self) -> Search:
        """The same run, in its present state."""
        return Search(self.run, self._store.uri)

    @property
    def run(self) -> str:
        return self._view.record.run

    @property
    def settings(self) -> Settings:
        """The settings that the run began with."""
        return self._view.record.settings_as_run()

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
        """The trials, in the order of their proposal."""
        return [*self.state.trials.values()]

    @property
    def best(self) -> Trial | None:
        """The best trial: among confirmed ones, that of the highest mean, and else that of the highest reward."""
        return self.state.best

    def leaderboard(self, top: int = 10) -> list[Trial]:
        """The best trials, smaller nets first among equals."""
        return leaderboard(self.state, top)

    def frame(self) -> Any:
        """The trials as a pandas DataFrame, by trial id: the columns of `metaqnn-orch trials -o csv`.

        Raises:
            BadInput: pandas is not installed.
        """
        need("notebook", "a data frame")
        import pandas

        columns, rows = trial_table(self.state)
        return pandas.DataFrame(rows, columns=columns).set_index("trial")

    @property
    def q_table(self) -> list[QValue]:
        """Every Q-value that was ever updated: state, move, value, number of updates.

        Raises:
            BadInput: the searcher keeps no Q-values.
        """
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

    def __repr__(self) -> str:
        best = f", best {shown_reward(self.best)}" if self.best is not None else ""
        return f"<Search {self.run}: {self.state.unique} nets{best}>"
