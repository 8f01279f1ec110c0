"""Arguments and options that several commands share, so that they read and behave alike."""

from __future__ import annotations

from typing import Annotated

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.cli.output import Format, RowFormat

Run = Annotated[str, typer.Argument(metavar="RUN", help="Name of the run.", show_default=False)]
Store = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="URI",
        envvar="METAQNN_STORE",
        help="Where results are kept: a directory, or s3://bucket/prefix.",
        show_default=False,
    ),
]
Launcher = Annotated[
    LauncherName,
    typer.Option(help="Where trials run: worker processes here, Jobs in a cluster, or nowhere (see Rehearsals)."),
]
PresetOrFile = Annotated[
    str,
    typer.Argument(
        metavar="PRESET_OR_FILE",
        help="A preset (`metaqnn-orch config presets` lists them) or a YAML file.",
        show_default=False,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, e.g. recipe.epochs=3. May be repeated."),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="How to print.")]
RowOutput = Annotated[RowFormat, typer.Option("--output", "-o", help="How to print.")]

RunName = Annotated[
    str, typer.Option("--run", metavar="NAME", help="Name of the run: a-z, 0-9 and '-'.", show_default=False)
]
Parallel = Annotated[
    int | None, typer.Option(metavar="N", help="Trials in training at the same time: 2 unless the settings differ.")
]
MaxTrials = Annotated[
    int | None, typer.Option(metavar="N", help="Stop after so many unique trained nets, before the schedule ends.")
]
Seed = Annotated[int | None, typer.Option(metavar="S", help="Of the agent: 0 unless the settings differ.")]
Mlflow = Annotated[
    str | None, typer.Option(metavar="URI", help="Show trials in MLflow, too: pip install 'metaqnn-orch[mlflow]'.")
]
Tensorboard = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Show trials in TensorBoard, too: pip install 'metaqnn-orch[tensorboard]'."),
]
WarmStartFrom = Annotated[
    str | None,
    typer.Option(metavar="RUN", help="Begin with what the agent of another run was told (warm_start.weight)."),
]
GpuHours = Annotated[
    float | None, typer.Option(metavar="H", help="Budget: hours of training, times the GPUs of a trial.")
]
Money = Annotated[float | None, typer.Option(metavar="M", help="Budget: at --price-per-gpu-hour.")]
WallClockHours = Annotated[
    float | None, typer.Option(metavar="H", help="Budget: hours of searching, over all sessions of the run.")
]
Target = Annotated[
    float | None, typer.Option(metavar="R", help="Stop when a net has this reward: this validation accuracy, mostly.")
]
TargetAccuracy = Annotated[float | None, typer.Option(metavar="A", help="Older name of --target.")]
PricePerGpuHour = Annotated[
    float | None, typer.Option(metavar="P", help="What an hour of a GPU costs, in any currency.")
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        metavar="PORT",
        min=0,
        max=65_535,
        envvar="METAQNN_METRICS_PORT",
        help="Serve Prometheus metrics there, while the search runs.",
    ),
]
UnsafeSingleWriter = Annotated[
    bool,
    typer.Option(
        "--unsafe-single-writer",
        help="Use a store without conditional writes. Two orchestrators on one run would then destroy it.",
    ),
]

Context = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="Of the kubeconfig; the current one by default.")
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", metavar="NAME", help="Of the cluster; the context's by default.")
]
