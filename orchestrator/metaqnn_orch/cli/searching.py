"""What `start` and `resume` share: how a session is prepared, and how it is worked through."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from metaqnn_orch.application import session
from metaqnn_orch.application.assembly import LauncherName, Launching, make_launcher, refuse_unsafe_store
from metaqnn_orch.application.cluster_dataset import push_in_cluster
from metaqnn_orch.application.health import Pulse
from metaqnn_orch.application.job_template import overruled, read_template
from metaqnn_orch.application.listener import Tone
from metaqnn_orch.application.machine import lines_of
from metaqnn_orch.application.rehearsal import Rehearsal, read_rehearsal
from metaqnn_orch.application.release import Release
from metaqnn_orch.cli.output import tell
from metaqnn_orch.cli.view import Terminal
from metaqnn_orch.errors import BadInput
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.store.base import Store


class Prepared(NamedTuple):
    """A session that has not begun: nothing was created yet."""

    store: Store
    run: str
    settings: Settings
    launcher: LauncherName
    rehearsal: Rehearsal | None
    template: Mapping[str, Any]
    launching: Launching


def prepare(
    store: Store,
    run: str,
    settings: Settings,
    launcher: LauncherName,
    release: Release | None,
    table: Path | None,
    table_delay: float | None,
) -> Prepared:
    """Read what the session needs beside its settings, and say which of them the Jobs' template overrules.

    Raises:
        BadInput: the table or the template cannot be used.
    """
    rehearsal = _rehearsal(launcher, table, table_delay, settings)
    template = read_template(settings, release) if launcher is LauncherName.KUBERNETES else {}
    launching = make_launcher(launcher, store, settings, rehearsal, template, lines_of(store.uri, run))
    for line in overruled(settings, store.uri, template) if template else ():
        tell(line, Tone.CAUTION)
    return Prepared(store, run, settings, launcher, rehearsal, template, launching)


def work(
    prepared: Prepared, *, unsafe_single_writer: bool, metrics_port: int | None, health_port: int | None
) -> session.SessionEnd:
    """Search until the session ends. Raises as application/session.py's `run` does."""
    terminal, settings, make = Terminal(), prepared.settings, None
    if prepared.launcher is LauncherName.KUBERNETES and find_spec("torch") is None:
        make = partial(
            push_in_cluster,
            prepared.store,
            options=[],
            settings=settings.execution.kubernetes,
            template=prepared.template,
            say=terminal.say,
        )
    pulse = Pulse()
    with pulse.served(health_port) if health_port is not None else nullcontext():
        return session.run(
            prepared.store,
            prepared.run,
            settings,
            prepared.launching,
            terminal,
            check_store=(lambda store: None) if unsafe_single_writer else refuse_unsafe_store,
            answered_by=prepared.rehearsal and prepared.rehearsal.binding(settings),
            make_dataset=make,
            metrics_port=metrics_port,
            pulse=pulse,
        )


def _rehearsal(launcher: LauncherName, table: Path | None, delay: float | None, settings: Settings) -> Rehearsal | None:
    """The table and its delay, where the launcher is the table launcher; None otherwise.

    Raises:
        BadInput: a table was given for another launcher, or cannot be read.
    """
    if launcher is not LauncherName.TABLE:
        if table is not None or delay is not None:
            raise BadInput("--table and --table-delay work only with the table launcher", hint="add --launcher table")
        return None
    return read_rehearsal(table, settings, tell, delay or 0.0) if table is not None else None
