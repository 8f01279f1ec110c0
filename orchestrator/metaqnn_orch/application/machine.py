"""What this machine keeps of the runs that it works on: what their searches and trainers have said.

It is in the folder for the state of programs ($XDG_STATE_HOME, or ~/.local/state), and only for people: a run needs
nothing of it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from metaqnn_orch.application.detaching import Detached, detach, logs_in, read_log
from metaqnn_orch.control.holder import Holder, is_dead, living, read_holder
from metaqnn_orch.control.journal import last_writer
from metaqnn_orch.errors import JournalError, LauncherError, NotFound
from metaqnn_orch.launchers.kept_lines import lines_in
from metaqnn_orch.next_command import next_command
from metaqnn_trainer.store.base import Store

PATIENCE: Final = 30.0  # seconds in which a search that lost its run must have ended
_DIGEST: Final = 8  # characters
_LOOK: Final = 0.2  # seconds between two looks at a process


def folder_of(store: str, run: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of a run of the store at this address. It may not exist."""
    said = environment.get("XDG_STATE_HOME", "")
    base = Path(said) if said.startswith("/") else Path(environment.get("HOME") or "/") / ".local" / "state"
    digest = hashlib.sha256(store.rstrip("/").encode()).hexdigest()[:_DIGEST]
    return base / "metaqnn-orch" / f"{run}-{digest}"


def lines_of(store: str, run: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of what the run's trainers have said on this machine."""
    return folder_of(store, run, environment) / "trials"


def kept_of(store: str, run: str) -> list[int]:
    """The sizes, in bytes, of the files that are kept of the run."""
    return [path.stat().st_size for path in folder_of(store, run).rglob("*") if path.is_file()]


def forget(store: str, run: str) -> None:
    """Remove what is kept of a run that is no more."""
    shutil.rmtree(folder_of(store, run), ignore_errors=True)


def rename(store: str, run: str, name: str) -> None:
    """Keep as of `name` what is kept of a run that gets this name. What is left of an earlier run of that name goes."""
    if (folder := folder_of(store, run)).is_dir():
        forget(store, name)
        with suppress(OSError):  # the run itself needs nothing of it
            folder.rename(folder_of(store, name))


def search_in_background(
    arguments: Sequence[str],
    store: Store,
    run: str,
    relay: Callable[[str], None],
    environment: Mapping[str, str] = os.environ,
) -> Detached:
    """Start the program with these arguments in the background, and return when it works on the run, or has ended.
    Raises as `detach` does.
    """

    def works(pid: int) -> bool:
        holder = read_holder(store, run)
        if holder is None or holder.pid != pid or is_dead(holder) is not False:
            return False
        with suppress(JournalError):  # the process says so itself
            return last_writer(store, run) == holder.session  # one that has nothing left to do writes nothing
        return False

    return detach(arguments, folder_of(store.uri, run), works, relay, environment=environment)


def said_here(store: str, run: str, trial: str | None) -> list[str]:
    """What was said on this machine: by the trainer of the trial with this id, or, without a trial, by the last search
    of the run in the background.

    Raises:
        NotFound: nothing of it was kept here.
    """
    folder = folder_of(store, run)
    if trial is None:
        logs = logs_in(folder)
        if not logs:
            raise NotFound(
                f"this machine has no log of run {run}: no search of it was started with --detach here",
                hint=f"{next_command(f'status {run}', store)} says how it stands",
            )
        return read_log(logs[-1])
    lines = lines_in(folder / "trials", trial)
    if not lines:
        raise NotFound(
            f"this machine has kept no lines of trial {trial} of run {run}",
            hint=f"{next_command(f'trials {run}', store)} says how it ended",
        )
    return lines


def has_lines(store: str, run: str, trial: str | None) -> bool:
    """Whether something was kept here that `said_here` would return."""
    folder = folder_of(store, run)
    return bool(logs_in(folder) if trial is None else lines_in(folder / "trials", trial))


class LocalVigil:
    """Sleeps between a watcher's looks at a run, and ends the watching when the process that worked on it is gone."""

    def __init__(self, store: Store, run: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._store = store
        self._run = run
        self._sleep = sleep
        self._was_left = False

    def sleep(self, seconds: float) -> None:
        """
        Raises:
            LauncherError: nobody works on the run; the watcher has had time to see how it ended.
        """
        self._sleep(seconds)
        left = living(read_holder(self._store, self._run)) is None
        if left and self._was_left:
            raise LauncherError(
                f"nobody works on run {self._run}",
                hint="the same start command goes on with it; "
                f"{next_command(f'logs {self._run}', self._store.uri)} shows what a search in the background has said",
            )
        self._was_left = left


def until_gone(holder: Holder, patience: float = PATIENCE, sleep: Callable[[float], None] = time.sleep) -> bool | None:
    """Wait until the holder's process has ended, with its workers. False if it has not after `patience` seconds, None
    where it cannot be seen from this machine.
    """
    process = holder.model_copy(update={"released": False})
    for _ in range(round(patience / _LOOK)):
        if (dead := is_dead(process)) is not False:
            return dead
        sleep(_LOOK)
    return False
