"""Goes on with a run without its settings being typed again: they are in its record and in its journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.release import Release
from metaqnn_orch.errors import BadInput, RunConflict
from metaqnn_orch.reporting.summary import RunView
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.sources import continue_settings


class Resumed(NamedTuple):
    """How a run goes on."""

    settings: Settings
    launcher: LauncherName
    table: Path | None
    """The table that answers, where one does."""


def as_recorded(
    view: RunView,
    environment: Mapping[str, str],
    assignments: Sequence[str],
    flags: Mapping[str, Any],
    release: Release | None,
    launcher: LauncherName | None,
    table: Path | None,
) -> Resumed:
    """How the run goes on: as its last session worked, with the present sources over that.

    Raises:
        SettingsError: a source says what cannot be.
        BadInput: the run does not record how it was searched; the message names what the user has to give.
    """
    record, opened = view.record, view.state.opened
    run = record.run
    begun = {**record.settings, **({} if opened is None else _of_session(view))}
    if record.is_open:
        begun["dataset"] = {**begun["dataset"], "digest": None}  # which is the imported file's
    layer = release.layer() if release is not None else None
    settings = continue_settings(begun, f"run {run}", environment, assignments, flags, layer)
    where = launcher or (LauncherName.TABLE if record.table is not None else _recorded_launcher(view))
    cluster, unrecorded = settings.execution.kubernetes, opened is not None and opened.settings is None
    if where is LauncherName.KUBERNETES and release is None and unrecorded and cluster == KubernetesSettings():
        raise BadInput(
            f"run {run} ran in a cluster, and does not record how: an earlier release began its last session",
            hint="name the release, --release NAMESPACE/NAME, or give --set execution.kubernetes.image=IMAGE",
        )
    return Resumed(settings, where, _table(record.table, table, where, run))


def _of_session(view: RunView) -> dict[str, Any]:
    """The sections of how the last session worked, as far as its journal says it."""
    opened, goal = view.state.opened, view.state.settings.goal
    assert opened is not None
    found: dict[str, Any] = dict(opened.settings or {})
    if opened.settings is None:
        found["execution"] = {"parallel": opened.places} if opened.places else {}
        found["execution"] |= {"max_trials": opened.goal} if 0 < opened.goal < goal else {}
    return {**found, "budget": opened.budget.model_dump(mode="json", exclude_defaults=True)}


def _recorded_launcher(view: RunView) -> LauncherName:
    opened, run = view.state.opened, view.record.run
    if opened is None or opened.launcher not in [*LauncherName]:
        raise BadInput(
            f"run {run} does not record where its trials ran",
            hint="say where they run now: --launcher local, or --launcher kubernetes",
        )
    return LauncherName(opened.launcher)


def _table(recorded: str | None, given: Path | None, launcher: LauncherName, run: str) -> Path | None:
    """The file of the table: the given one, or the recorded one, where it is in this folder."""
    if given is not None and launcher is not LauncherName.TABLE:
        raise BadInput("--table works only with the table launcher", hint="leave it out")
    if recorded is None and launcher is LauncherName.TABLE:
        raise RunConflict(f"run {run} trains its nets, and uses no table", hint="leave out --launcher table")
    if given is not None or recorded is None:
        return given
    if not Path(recorded).is_file():
        raise BadInput(
            f"run {run} is a rehearsal with the table {recorded}, which is not in this folder",
            hint="name it: --table FILE",
        )
    return Path(recorded)
