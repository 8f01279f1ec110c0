"""metaqnn-orch export RUN"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypedDict

import typer

from metaqnn_orch.application import exports
from metaqnn_orch.cli import completion, options
from metaqnn_orch.cli.output import Format, print_json, say, tell
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.errors import BadInput
from metaqnn_orch.reporting.summary import read_only


class NetFormat(StrEnum):
    """The formats in which a net can be written."""

    ONNX = "onnx"
    TORCH = "torch"
    SAFETENSORS = "safetensors"


class ExportedTrial(TypedDict):
    """The files that were written, and how well they do."""

    trial: str
    """Id of the trial."""
    format: str
    """Format of the file: onnx, torch or safetensors."""
    files: list[str]
    """Paths of the files."""
    images: int
    """Number of validation images."""
    accuracy: float
    """Accuracy of the file on them, from 0 to 1."""
    recorded: float
    """Validation accuracy in the trial's result."""
    difference: float
    """Largest difference between two logits, the file's and the trainer's."""


def export(
    run: options.Run,
    store: options.Store,
    to: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="FILE",
            help="File to write, ending in .onnx, .pt2 or .safetensors. With --format, the ending may be left out.",
            show_default=False,
        ),
    ],
    trial: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="Id of the trial, or the first characters of it (default: the best one).",
            show_default=False,
            autocompletion=completion.trial,
        ),
    ] = None,
    net_format: Annotated[
        NetFormat | None,
        typer.Option("--format", help="Format of the file (default: from its ending).", show_default=False),
    ] = None,
    fixed_size: Annotated[
        bool,
        typer.Option("--fixed-size", help="Leave out the resizing: the file takes images of the net's own size only."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files of these names even if no export wrote them.")
    ] = False,
    output: options.Output = Format.TABLE,
) -> None:
    """Write a trained net as a file for deployment.

    The file takes images of any size, as bytes. Inside, they are resized exactly as for training, and normalised.
    --fixed-size leaves the resizing out, for runtimes that know no dynamic shapes or no double precision.

    Before the file gets its name, its own runtime runs it on all validation images, and the outputs are compared with
    the trainer's. A model card is written beside it, FILE.md: data, recipe, accuracy, accuracy of each class, limits.
    An earlier export is replaced; any other file is not.

    \b
    Formats
      onnx         for onnxruntime and others: pip install 'metaqnn-orch[export]'
      torch        a programme of torch.export
      safetensors  weights, and a Python file with the network written out
                   layer by layer, which needs only torch

    It is written on this machine, by the trainer: pip install 'metaqnn-orch[train]'.
    """
    form, to = _target(to, net_format)
    opened = open_store(store)
    chosen = exports.choose(opened, read_only(opened, run), trial)
    made = exports.export(opened, run, chosen, form, to.absolute(), fixed_size=fixed_size, force=force, report=tell)
    if output is Format.JSON:
        found: ExportedTrial = {
            "trial": chosen,
            "format": form,
            "files": made.files,
            "images": made.images,
            "accuracy": made.accuracy,
            "recorded": made.recorded,
            "difference": made.difference,
        }
        print_json(found)
        return
    say(f"trial {chosen} in {', '.join(Path(file).name for file in made.files)}, in {to.absolute().parent}")
    say(
        f"the file classifies {made.accuracy:.4f} of {made.images:,} validation images rightly ({made.recorded:.4f} "
        f"recorded); its logits differ from the trainer's by at most {made.difference:.1e}"
    )


def _target(to: Path, given: NetFormat | None) -> tuple[str, Path]:
    """The format, and the file with its ending."""
    ending = next((form for form, suffix in exports.SUFFIXES.items() if to.suffix == suffix), None)
    if ending is None and given is not None and to.name:
        return given.value, to.with_name(to.name + exports.SUFFIXES[given.value])
    if ending is None:
        raise BadInput(
            f"the ending of --to {str(to)!r} is no known format",
            hint="a file ends in " + " or ".join(f"{suffix} ({form})" for form, suffix in exports.SUFFIXES.items()),
        )
    if given is not None and given.value != ending:
        raise BadInput(
            f"--format {given.value} and --to {str(to)!r} contradict each other",
            hint=f"a file of this format ends in {exports.SUFFIXES[given.value]}",
        )
    return ending, to
