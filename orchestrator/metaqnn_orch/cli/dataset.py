"""metaqnn-orch dataset push | list"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

from metaqnn_orch.application import datasets
from metaqnn_orch.application.cluster_dataset import push_in_cluster
from metaqnn_orch.application.release import TEMPLATE, Release
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_json, print_rows, say, tell, typeable
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.control.absence import refuse_absent
from metaqnn_orch.errors import BadInput
from metaqnn_orch.next_command import next_command
from metaqnn_trainer.catalogue import SOURCES
from metaqnn_trainer.contract.messages import DatasetRef
from metaqnn_trainer.store.base import Store

HELP: Final = "Make and list datasets."

_OF_IMAGES: Final = ("classes", "channels", "image_size")

_COLUMNS: Final = {
    "name": "",
    "digest": "",
    **dict.fromkeys(_OF_IMAGES, "d"),
    **dict.fromkeys(("train", "validation", "test", "bytes"), ",d"),
}


class PushCommand(TyperCommand):
    """A command whose help also names the sources that installed distributions add; it looks for them only to show its
    help.
    """

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        super().format_help_text(ctx, formatter)
        added = [plugin for plugin in SOURCES.members().values() if plugin.distribution]
        for plugin in added:
            formatter.write_text(f"\n  Installed: {plugin.name}, of {plugin.identity}")


def push(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the dataset, see above.", show_default=False)],
    store: options.Store,
    source: Annotated[Path | None, typer.Option(metavar="PATH", help="Folder or file with the dataset's data.")] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=4096,
            help="Width and height to which your own images are resized (default: their own, if all are squares of one "
            "size up to 64, else 32).",
        ),
    ] = None,
    validation: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Number of images for validation (default 5,000, but at most a fifth of the training images).",
        ),
    ] = None,
    grayscale: Annotated[bool, typer.Option("--grayscale", help="Turn your own images into grayscale.")] = False,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Leave out what cannot be used of your own images, and say how many."),
    ] = False,
    in_cluster: Annotated[
        bool, typer.Option("--in-cluster", help="Make it with a Job in the cluster, for machines without torch.")
    ] = False,
    assignments: options.Set = None,
    output: options.Output = Format.TABLE,
    release: Release | None = None,
) -> None:
    """Make a dataset object in a store.

    A dataset is one immutable object, named by its digest. The trainer makes it on this machine (pip install
    'metaqnn-orch[train]'), or with --in-cluster in the cluster, where your files are not available. --set changes what
    that Job gets, for example its memory.

    NAME is digits, mnist, fashion-mnist, cifar10, cifar100 or svhn, a source that an installed distribution adds, or
    any other name for images of your own.

    \b
    --source holds
      mnist, fashion-mnist     the four IDX files, gzipped or not
      cifar10, cifar100, svhn  what torchvision keeps
      images of your own       DIR/train/CLASS/*.png, perhaps with DIR/val and
                               DIR/test beside it, or DIR/CLASS/*.png,
                               or IDX files as MNIST's

    Without --source a known dataset is downloaded; digits comes with scikit-learn.
    """
    opened = open_store(store)
    if source is not None and re.match(r"[a-z][a-z0-9+.-]+:/", str(source)):  # a Path keeps only one slash of ://
        raise BadInput(
            "--source is an address, but must be a folder on this machine",
            hint="download the files first; a run comes with metaqnn-orch runs copy RUN --store URI --to-store DIR",
        )
    flags = {"--source": source, "--image-size": image_size, "--validation": validation}
    given = [text for flag, value in flags.items() if value is not None for text in (flag, str(value))]
    given += [flag for flag, wanted in (("--grayscale", grayscale), ("--skip-bad", skip_bad)) if wanted]
    if assignments and not in_cluster:
        raise BadInput("--set says what the Job gets that makes the dataset", hint="add --in-cluster, or leave it out")
    options.refuse_other_sections(
        assignments or [], ("execution",), "for example --set execution.kubernetes.memory=4Gi"
    )
    if in_cluster:
        made = _in_cluster(opened, name, source, given, release, assignments or [])
    else:
        made = datasets.push(opened, name, given, report=tell)
    rows = [datasets.described(opened, ref, size) for ref, size in datasets.all_refs(opened, name) if ref == made]
    if output is Format.JSON:
        print_json(rows[0])
    else:
        _print(rows)
        say(typeable(f"next: {next_command('start PRESET_OR_FILE --run NAME', opened.uri)}"))


def _in_cluster(
    store: Store,
    name: str,
    source: Path | None,
    given: Sequence[str],
    release: Release | None,
    assignments: Sequence[str],
) -> DatasetRef:
    if release is None:
        raise BadInput("--in-cluster needs a release of the chart", hint="name it: --release NAMESPACE/NAME")
    if source is not None:
        raise BadInput(
            f"--in-cluster cannot use {str(source)!r}, which is a folder on this machine",
            hint="leave out --in-cluster to make the dataset on this machine: pip install 'metaqnn-orch[train]'",
        )
    return push_in_cluster(store, name, given, release.kubernetes(assignments), release.document(TEMPLATE), tell)


def list_datasets(store: options.Store, output: options.Output = Format.TABLE) -> None:
    """List the datasets of a store."""
    opened = open_store(store)
    refuse_absent(opened)
    rows = [datasets.described(opened, ref, size) for ref, size in datasets.all_refs(opened)]
    if output is Format.JSON:
        print_json(rows)
    else:
        _print(rows)


def _print(rows: Sequence[datasets.DatasetRow]) -> None:
    images = any(row["image_size"] is not None for row in rows) or not rows
    columns = {name: form for name, form in _COLUMNS.items() if images or name not in _OF_IMAGES}
    facts = {"facts": ""} if any("facts" in row for row in rows) else {}
    shown = [
        [*({**row}[name] for name in columns), *([_in_words(row.get("facts", {}))] if facts else [])] for row in rows
    ]
    print_rows({name.replace("_", " "): form for name, form in (columns | facts).items()}, shown)


def _in_words(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in facts.items())
