"""Arguments and options that several commands share, so that they read and behave alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.cli import completion
from metaqnn_orch.cli.output import Format, RowFormat
from metaqnn_orch.errors import BadInput


def refuse_other_sections(assignments: Sequence[str], sections: Sequence[str], hint: str = "") -> None:
    """Refuse an option --set of another section than these.

    Raises:
        BadInput: an assignment belongs to another section of the settings.
    """
    for text in assignments:
        if text.partition("=")[0].partition(".")[0].strip() not in sections:
            *first, last = sections
            allowed = f"{', '.join(first)} and {last}" if first else last
            raise BadInput(
                f"--set {text[:80]}: only {allowed} may be changed here; everything else belongs to the run", hint
            )


Run = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Name of the run.", show_default=False, autocompletion=completion.run),
]
Store = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="URI",
        envvar="METAQNN_STORE",
        help="The store: a directory, or s3://bucket/prefix.",
        show_default=False,
    ),
]
DatasetStore = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URI",
        envvar="METAQNN_STORE",
        help="The store that has the dataset, for settings that say neither image size nor channels nor classes.",
        show_default=False,
    ),
]
Launcher = Annotated[
    LauncherName,
    typer.Option(
        help="Where trials run: local (worker processes here), kubernetes (Jobs in a cluster), or table "
        "(results from a file, see Rehearsals)."
    ),
]
PresetOrFile = Annotated[
    str,
    typer.Argument(
        metavar="PRESET_OR_FILE",
        help="A preset (`metaqnn-orch config presets` lists them) or a YAML file.",
        show_default=False,
        autocompletion=completion.preset_or_file,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a setting, e.g. recipe.epochs=3. May be repeated.",
        autocompletion=completion.setting,
    ),
]
_AFTER: Final = typer.Option(
    "--after", metavar="BEGINNING", help="The beginning of a design: of a net, its first layers.", show_default=False
)
After = Annotated[str, _AFTER]
PerhapsAfter = Annotated[str | None, _AFTER]
Output = Annotated[Format, typer.Option("--output", "-o", help="Output format.")]
RowOutput = Annotated[RowFormat, typer.Option("--output", "-o", help="Output format.")]

RunName = Annotated[
    str,
    typer.Option(
        "--run",
        metavar="NAME",
        help="Name of the run: a-z, 0-9 and '-'.",
        show_default=False,
        autocompletion=completion.run,
    ),
]
Parallel = Annotated[int | None, typer.Option(metavar="N", help="Trials in parallel (default 2).")]
Mlflow = Annotated[
    str | None,
    typer.Option(metavar="URI", help="Copy trials to MLflow at this URI. Needs pip install 'metaqnn-orch[mlflow]'."),
]
Tensorboard = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Write trials into this folder for TensorBoard. Needs pip install 'metaqnn-orch[tensorboard]'.",
    ),
]


def _port(variable: str, text: str) -> Any:
    return typer.Option(metavar="PORT", min=0, max=65_535, envvar=variable, help=text)


MetricsPort = Annotated[int | None, _port("METAQNN_METRICS_PORT", "Port for Prometheus metrics while the search runs.")]
HealthPort = Annotated[
    int | None,
    _port("METAQNN_HEALTH_PORT", "Port at which /healthz says whether the search still moves, for a liveness probe."),
]
UnsafeSingleWriter = Annotated[
    bool,
    typer.Option(
        "--unsafe-single-writer",
        help="Allow a store without conditional writes. With such a store, two orchestrators at the same time would"
        " damage the run.",
    ),
]

Context = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="Context of the kubeconfig (default: the current one).")
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", metavar="NAME", help="Namespace in the cluster (default: that of the context)."),
]
