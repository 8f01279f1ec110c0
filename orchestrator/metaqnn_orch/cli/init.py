"""metaqnn-orch init DIR_OR_DATASET"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, TypedDict

import typer

from metaqnn_orch.application import datasets, draft
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_json, say, tell, typeable
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.errors import BadInput
from metaqnn_orch.next_command import next_command
from metaqnn_trainer.catalogue import SOURCES
from metaqnn_trainer.contract.keys import check_name
from metaqnn_trainer.contract.text import amount


class DraftMade(TypedDict):
    """The settings file that was written."""

    file: str
    """Path of the file."""
    dataset: str
    """Name of the dataset."""
    settings: dict[str, draft.Choice]
    """The settings that were chosen for its data, by their dotted keys."""


def init(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DIR_OR_DATASET",
            help="A folder of images, or a dataset in the store: NAME, or NAME-DIGEST.",
            show_default=False,
        ),
    ],
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The settings file to write (default: NAME.yaml).")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the dataset (default: that of the folder).")
    ] = None,
    dataset_store: options.DatasetStore = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    output: options.Output = Format.TABLE,
) -> None:
    """Write a settings file for your own images.

    It says what follows from the images (size, channels, classes), and a batch size and number of epochs that fit their
    number, each with the reason. Of a folder, all images are read, as `dataset push` reads them, and nothing is kept.
    If the store has a dataset of this name, it is described, and not the folder.
    """
    folder = Path(source) if Path(source).is_dir() else None
    asked = name or (_name_of(folder) if folder else source)
    check_name("dataset", datasets.name_in(asked))
    if folder is None and not dataset_store:
        raise BadInput(f"{source} is no folder here", hint="--store URI names the store of a dataset")
    store = open_store(dataset_store) if dataset_store else None
    known = store is not None and (folder is None or datasets.named(store, asked) is not None)
    named = datasets.name_in(asked) if known else check_name("dataset", asked)
    file = to or Path(f"{named}.yaml")
    instead = "--force replaces it, --to FILE writes another"
    if file.exists() and not force:
        raise BadInput(f"{file} exists already", hint=instead)
    push: list[str] = []
    if known:
        assert store is not None
        info = draft.look_up(store, asked)
    else:
        assert folder is not None
        info, push = draft.look_at(folder, named, tell)
    chosen = draft.choose(info)
    try:
        with file.open("w" if force else "x", encoding="utf-8") as made_now:
            made_now.write(draft.draft(info, chosen, asked.removeprefix(named).removeprefix("-")))
    except FileExistsError:  # by now
        raise BadInput(f"{file} exists already", hint=instead) from None
    except OSError as error:
        raise BadInput(f"{file} cannot be written: {error.strerror or error}") from None
    if output is Format.JSON:
        made: DraftMade = {"file": str(file), "dataset": info.name, "settings": dict(chosen)}
        print_json(made)
        return
    where = dataset_store or "./runs"
    say(f"{file} is written: {amount(info.train, 'image')} to train on, {info.classes} classes")
    say("next:")
    if push:
        say(typeable(f"  {next_command(f'dataset push {named} {shlex.join(push)}', where)}"))
    say(typeable(f"  {next_command(f'start {shlex.quote(str(file))} --run {named}', where)}"))


def _name_of(folder: Path) -> str:
    """A name for the dataset in a folder: its own name, in the letters that a name may have, and not that of a known
    dataset.
    """
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:40].strip("-") or "images"
    return f"my-{name}" if name in SOURCES.members() else name
