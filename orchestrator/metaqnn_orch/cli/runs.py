"""metaqnn-orch runs list | show | copy | rename | rm"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, TypedDict

import typer

from metaqnn_orch.application import run_copy, run_list, run_removal, run_rename
from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.jobs import cluster_of
from metaqnn_orch.application.run_shown import shown
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_fields, print_json, print_rows, say, size_in_words, tell, typeable
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.control.absence import refuse_absent
from metaqnn_orch.errors import BadInput
from metaqnn_orch.next_command import next_command
from metaqnn_orch.reporting.schemas import plain
from metaqnn_orch.reporting.summary import needs, read_only
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import Store

HELP: Final = "List, show, copy, rename and remove runs."

_COLUMNS: Final = {
    "run": "",
    "state": "",
    "dataset": "",
    "nets": "",
    "best": ".4f",
    "size": ">",
    "last change, UTC": "",
}
_IgnoreJobs = Annotated[
    bool, typer.Option("--ignore-jobs", help="Do not look for Jobs of the run: there is no cluster any more.")
]


class CopiedRun(TypedDict):
    """A copy of a run, or a run with its new name."""

    run: str
    """Name of the copy."""
    store: str
    """Address of its store."""
    source: str
    """Name of the run that was copied."""
    objects: int
    """Number of objects."""
    bytes: int
    """Size of all of them together."""
    there: int
    """Number of objects that an earlier attempt had copied."""


class RemovedRun(TypedDict):
    """What was removed, or would be."""

    run: str
    """Name of the run."""
    store: str
    """Address of the store."""
    deleted: bool
    """Whether it was removed, or only listed."""
    is_run: bool
    """Whether it is a run; false for what is left of one."""
    objects: int
    """Number of objects."""
    bytes: int
    """Size of all of them together."""
    kinds: dict[str, run_list.Size]
    """The same, by kinds of objects."""
    kept_here: run_list.Size
    """Files that this machine keeps of it, logs of searches and trainers."""


def list_runs(store: options.Store, output: options.Output = Format.TABLE) -> None:
    """List the runs of a store.

    \b
    State
      new, running, complete, exhausted, out_of_budget, interrupted
                       as in `status`
      damaged          its record or its journal cannot be read
      copied in part   a copy that was cut short: the same copy goes on
      removed in part  a removal that was cut short: the same one goes on
      remains          objects without a run

    `runs rm` removes what is left of runs in one of the last three states.

    Below the table stands what a run waits for, and which plug-ins it needs that are not installed here.
    """
    opened = open_store(store)
    refuse_absent(opened)
    rows = run_list.list_runs(opened)
    if output is Format.JSON:
        print_json(rows)
        return
    print_rows(_COLUMNS, [_cells(row) for row in rows])
    for row in rows:
        if row.trouble:
            tell(f"{row.run}: {row.trouble}")
        if row.state in (*run_list.IN_PART.values(), run_list.REMAINS):
            removes = next_command(f"runs rm {row.run}", opened.uri, "--delete")
            say(typeable(f"{row.run}: {removes} removes it"))
    if not rows:
        say(f"there are no runs in {opened.uri} yet")


def _cells(row: run_list.ListedRun) -> tuple[object, ...]:
    nets = "-" if row.goal is None else f"{row.nets:,}/{row.goal:,}"
    changed = None if row.changed_at is None else row.changed_at[:16].replace("T", " ")
    best = None if row.best is None else row.best["reward"]
    return row.run, row.state, row.dataset, nets, best, size_in_words(row.bytes), changed


def show(run: options.Run, store: options.Store, output: options.Output = Format.TABLE) -> None:
    """Show what a run is: data, versions, size, and the settings that differ from the preset.

    It compares the run's own settings with the preset that they resemble most. Settings of how the work is done
    (execution, budget, tracking) are no part of a run; those of its last session are shown as far as they are recorded.
    """
    opened = open_store(store)
    view = read_only(opened, run)
    entries = list(opened.list(keys.run(run)))
    found_run = shown(opened, view, run_list.kinds_of(entries, run))
    if output is Format.JSON:
        print_json(found_run)
        return
    fields: dict[str, Any] = plain(found_run)
    differing = fields.pop("settings")
    kinds = fields.pop("size")
    fields["copied from"] = (found := fields.pop("copied")) and f"{found['run']} in {found['store']}"
    fields["best"] = (best := fields["best"]) and f"{best['reward']:.4f}  {best['trial']}  {best['net']}"
    fields["plugins"] = ", ".join(sorted({*fields["plugins"].values()}))
    fields["trouble"] = needs(view)
    fields["last session"] = (last := fields.pop("session")) and ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in last.items() if value not in ("", None, {})
    )
    print_fields((name.replace("_", " "), value) for name, value in fields.items() if value not in (None, "", {}))
    print_fields(
        [
            (
                "size",
                f"{size_in_words(sum(kind['bytes'] for kind in kinds.values()))} in {amount(len(entries), 'object')}",
            )
        ]
        + [(f"  {name}", f"{size_in_words(kind['bytes'])} in {kind['objects']:,}") for name, kind in kinds.items()]
    )
    if differing:
        print_rows(
            {"setting": "", "run": "", f"preset {fields['preset']}": ""},
            [(key, json.dumps(value["run"]), json.dumps(value["preset"])) for key, value in differing.items()],
        )
    else:
        say(f"its settings are those of preset {fields['preset']}")


def copy(
    run: options.Run,
    store: options.Store,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the copy (default: the run's, in --to-store).")
    ] = None,
    to_store: Annotated[
        str | None,
        typer.Option(
            "--to-store", metavar="URI", help="The store to copy to (default: the run's own).", show_default=False
        ),
    ] = None,
    output: options.Output = Format.TABLE,
) -> None:
    """Copy a run, within its store or to another one.

    Everything is copied: journal, results, weights, checkpoints; to another store also the dataset. A copy that was cut
    short is no run; the same command goes on with it. You may copy a run while its search goes on: the copy is the run
    as it was then.
    """
    if name is None and to_store is None:
        raise BadInput("a copy in the same store needs a name", hint="--name NAME, or --to-store URI for another store")
    opened = open_store(store)
    target, name = open_store(to_store) if to_store is not None else opened, name or run
    made = run_copy.copy(opened, run, target, name, tell)
    _report_copy(run, name, target, made, output)


def _report_copy(run: str, name: str, target: Store, made: run_copy.CopyMade, output: Format) -> None:
    if output is Format.JSON:
        told: CopiedRun = {
            "run": name,
            "store": target.uri,
            "source": run,
            "objects": made.objects,
            "bytes": made.bytes,
            "there": made.there,
        }
        print_json(told)
        return
    before = f", {made.there:,} of them before" if made.there else ""
    say(
        f"run {run} is copied to {name} in {target.uri}: {amount(made.objects, 'object')}{before}, "
        f"{size_in_words(made.bytes)}"
    )


def rename(
    run: options.Run,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name.", show_default=False)],
    store: options.Store,
    ignore_jobs: _IgnoreJobs = False,
    launcher: options.Launcher = LauncherName.LOCAL,
    namespace: options.Namespace = None,
    context: options.Context = None,
    output: options.Output = Format.TABLE,
) -> None:
    """Rename a run that nobody works on.

    The run is copied, and removed when the copy is whole, so its bytes are needed twice for a while. If that is cut
    short, the same command goes on. Runs that were made from it, such as NAME-finals, keep their names.
    """
    opened = open_store(store)
    made = run_rename.rename(opened, run, name, _cluster(launcher, namespace, context), tell, ignore_jobs=ignore_jobs)
    if output is Format.TABLE:
        say(f"run {run} is now {name}: {amount(made.objects, 'object')}, {size_in_words(made.bytes)}")
    else:
        _report_copy(run, name, opened, made, output)


def rm(
    run: options.Run,
    store: options.Store,
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove it. Without this option nothing is removed.")
    ] = False,
    ignore_jobs: _IgnoreJobs = False,
    launcher: options.Launcher = LauncherName.LOCAL,
    namespace: options.Namespace = None,
    context: options.Context = None,
    output: options.Output = Format.TABLE,
) -> None:
    """Remove a run with everything that belongs to it, or say what that would remove.

    A run on which somebody works is not removed: `cancel` stops it first. If the run has Jobs in a cluster, say where
    (--launcher kubernetes, or a release). What this machine keeps of it, the logs of its searches and trainers, goes,
    too; logs on other machines stay. Datasets stay. A removal that was cut short is named by `runs list`, and the
    same command goes on with it.
    """
    opened = open_store(store)
    found = run_removal.doomed(opened, run)
    kinds, here = run_list.kinds_of(found.entries, run), run_list.Size(len(found.here), sum(found.here))
    if found.is_run:
        run_removal.refuse_busy(opened, run, _cluster(launcher, namespace, context), ignore_jobs=ignore_jobs)
    if delete:
        hold = run_removal.taken(opened, run, tell) if found.is_run else None
        try:
            run_removal.remove(opened, run, tell)
        finally:
            if hold is not None:
                hold.release()
    if output is Format.JSON:
        told: RemovedRun = {
            "run": run,
            "store": opened.uri,
            "deleted": delete,
            "is_run": found.is_run,
            "objects": len(found.entries),
            "bytes": found.bytes,
            "kinds": kinds,
            "kept_here": here,
        }
        print_json(told)
        return
    print_rows(
        {"what": "", "objects": ",d", "size": ">"},
        [
            (kind, size.objects, size_in_words(size.bytes))
            for kind, size in {**kinds, "logs on this machine": here}.items()
            if size.objects
        ],
    )
    what = f"run {run}" if found.is_run else f"what is left of run {run}"
    many = f"{amount(len(found.entries), 'object')} with {size_in_words(found.bytes)}"
    if here.objects:
        many += f", and {amount(here.objects, 'log')} on this machine with {size_in_words(here.bytes)}"
    say(f"{what} is removed: {many}" if delete else f"{what} has {many}; to remove them, add --delete")


def _cluster(launcher: LauncherName, namespace: str | None, context: str | None) -> Any:
    """The cluster in which Jobs are looked for; None where none was named."""
    named = launcher is LauncherName.KUBERNETES or namespace is not None or context is not None
    return cluster_of(namespace, context) if named else None
