"""The entry point of the command line: registers the commands, and turns errors into one line and an exit code."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from typing import Annotated, Any, Final, NoReturn, TextIO, cast

import typer
from typer.exceptions import TyperException

from metaqnn_orch.application.detaching import bounded_log
from metaqnn_orch.application.signals import Stopped
from metaqnn_orch.cli import config, dataset, runs, trainer
from metaqnn_orch.cli.attach import attach
from metaqnn_orch.cli.completion import whole_words
from metaqnn_orch.cli.dashboard import dashboard
from metaqnn_orch.cli.describe import describe_net
from metaqnn_orch.cli.doctor import doctor
from metaqnn_orch.cli.enqueue import enqueue
from metaqnn_orch.cli.explain import explain_run
from metaqnn_orch.cli.export import export
from metaqnn_orch.cli.finals import finals
from metaqnn_orch.cli.gc import gc
from metaqnn_orch.cli.init import init
from metaqnn_orch.cli.jobs import cancel, logs
from metaqnn_orch.cli.manifest import manifest
from metaqnn_orch.cli.mcp import mcp
from metaqnn_orch.cli.output import PROGRAM, complain, lost_stdout, print_lines, say
from metaqnn_orch.cli.placed import placed
from metaqnn_orch.cli.pull import pull
from metaqnn_orch.cli.replay import export_replay, import_replay
from metaqnn_orch.cli.report import report
from metaqnn_orch.cli.resume import resume
from metaqnn_orch.cli.retrain import retrain
from metaqnn_orch.cli.space import space
from metaqnn_orch.cli.start import start
from metaqnn_orch.cli.status import status
from metaqnn_orch.cli.streams import Guarded
from metaqnn_orch.cli.submit import submit
from metaqnn_orch.cli.track import track
from metaqnn_orch.cli.trial import trial
from metaqnn_orch.cli.trials import trials
from metaqnn_orch.errors import KNOWN, exit_code
from metaqnn_orch.settings.blame import failure
from metaqnn_trainer import __version__

# The commands in the order in which --help lists them, each with an example, which its own --help shows.
COMMANDS: Final[dict[str, tuple[Callable[..., None], str]]] = {
    "init": (init, "init ./flowers --to flowers.yaml"),
    "start": (start, "start digits --run first --store ./runs"),
    "resume": (resume, "resume first --store ./runs"),
    "submit": (submit, "submit cifar10 --run first"),
    "attach": (attach, "attach first"),
    "status": (status, "status first --store ./runs"),
    "trial": (trial, "trial first 0ee047 --store ./runs"),
    "runs list": (runs.list_runs, "runs list --store ./runs"),
    "runs show": (runs.show, "runs show first --store ./runs"),
    "runs copy": (runs.copy, "runs copy first --store ./runs --to-store s3://bucket/runs"),
    "runs rename": (runs.rename, "runs rename first mnist-wide --store ./runs"),
    "runs rm": (runs.rm, "runs rm first --store ./runs --delete"),
    "trials": (trials, "trials first --store ./runs -o csv > trials.csv"),
    "pull": (pull, "pull first --store ./runs --top 3 --to ./best"),
    "enqueue": (enqueue, "enqueue first '[C(32,3,1), P(2,2), SM(10)]' --store ./runs"),
    "finals": (finals, "finals first --store ./runs --top 10 --ensemble 5"),
    "retrain": (retrain, "retrain first 0ee047effa00 --store ./runs"),
    "report": (report, "report first --store ./runs --to ./report"),
    "dashboard": (dashboard, "dashboard --store ./runs --open"),
    "track": (track, "track first --store ./runs --mlflow http://localhost:5000"),
    "export": (export, "export first --store ./runs --to ./best.onnx"),
    "explain": (explain_run, "explain first --store ./runs --after '[C(32,3,1)]'"),
    "import-replay": (import_replay, "import-replay replay_database.csv --run theirs --space svhn --store ./runs"),
    "export-replay": (export_replay, "export-replay first --store ./runs --to replay_database.csv"),
    "describe": (describe_net, "describe '[C(32,3,1), P(2,2), SM(10)]' --space digits"),
    "manifest": (
        manifest,
        "manifest '[C(32,3,1), SM(10)]' --space cluster.yaml --run first --store s3://bucket/runs",
    ),
    "logs": (logs, "logs first 0ee047effa00 --store s3://bucket/runs --namespace trials"),
    "cancel": (cancel, "cancel first --store s3://bucket/runs --launcher kubernetes"),
    "gc": (gc, "gc first --store s3://bucket/runs --keep-weights 'best 10' --delete"),
    "mcp": (mcp, "mcp --store ./runs"),
    "doctor": (doctor, "doctor cluster.yaml --store s3://bucket/runs --launcher kubernetes"),
    "space": (space, "space digits --after '[C(32,3,1)]'"),
    "dataset push": (dataset.push, "dataset push digits --store ./runs"),
    "dataset list": (dataset.list_datasets, "dataset list --store ./runs"),
    "config show": (config.show, "config show digits --set recipe.epochs=3"),
    "config presets": (config.presets, "config presets"),
    "config plugins": (config.plugins, "config plugins"),
    "trainer check": (trainer.check, "trainer check python -m metaqnn_trainer"),
}

_GROUPS: Final = (runs, dataset, config, trainer)

# The library's messages about wrong arguments, and this program's.
_SHORTER: Final = {
    r"Value error, ": "",
    r"Input should be": "it must be",
    r"'([^']*)' is not a valid integer( range)?": r"it must be a whole number, got '\1'",
    r"'([^']*)' is not a valid float( range)?": r"it must be a number, got '\1'",
    r"a valid integer": "a whole number",
    r"a valid number": "a number",
    r", unable to parse string as an? \w+": "",
    r" \(Possible options: (.*)\)": r"; did you mean \1?",
    r"\. Did you mean": "; did you mean",
    r"\.$": "",
}


def build_app() -> typer.Typer:
    """The application with its commands."""
    plain: dict[str, Any] = {"rich_markup_mode": None, "no_args_is_help": True}
    app = typer.Typer(
        name=PROGRAM,
        help="Designs neural networks: a searcher proposes designs, trainers train them, and the searcher learns "
        "from the results.",
        epilog=_example(COMMANDS["start"][1]),
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **plain,
    )
    app.callback()(_global_options)
    groups = {module.__name__.rpartition(".")[2]: typer.Typer(help=module.HELP, **plain) for module in _GROUPS}
    for name, (function, example) in COMMANDS.items():
        group, _, leaf = name.rpartition(" ")
        kind = dataset.PushCommand if name == "dataset push" else None
        own = trainer.COMMAND_LINE if function is trainer.check else None
        command = groups.get(group, app).command(leaf, cls=kind, epilog=_example(example), context_settings=own)
        command(placed(function))
    for name, group_app in groups.items():
        app.add_typer(group_app, name=name)
    return app


@cache
def _command_line() -> Any:
    """The application as it is called: who calls it again in one process need not wait until it is made again."""
    return typer.main.get_command(build_app())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, by default with the process's arguments; leaves by SystemExit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an escaped letter is better than no answer
            stream.reconfigure(errors="backslashreplace")
    out, err = Guarded(sys.stdout, lost_stdout), Guarded(sys.stderr, lambda error: None)
    with redirect_stdout(cast(TextIO, out)), redirect_stderr(cast(TextIO, err)), whole_words():
        sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command line. Returns the exit code."""
    code: int
    given = [*(sys.argv[1:] if arguments is None else arguments)]
    try:
        with bounded_log():
            code = _command_line()(given, prog_name=PROGRAM, standalone_mode=False, obj=given) or 0
    except TyperException as error:
        code = _refuse(error)
    except Exception as error:
        known = error if isinstance(error, KNOWN) else failure(error)
        if known is None or "METAQNN_TRACEBACK" in os.environ:
            raise
        complain(str(known), getattr(known, "hint", ""))
        code = exit_code(known)
    except Stopped as stop:
        say(f"stopped by {stop.signal}")
        raise
    return code


def _refuse(error: TyperException) -> int:
    """Print what is wrong with the arguments, and how the command is used. Returns the exit code."""
    context, message = getattr(error, "ctx", None), error.format_message()
    if context is not None and message == context.get_help():  # a group without a command
        say(message)
        return error.exit_code
    for long, short in _SHORTER.items():
        message = re.sub(long, short, message)
    path, epilog = (context.command_path, context.command.epilog or "") if context is not None else (PROGRAM, "")
    example = epilog.rpartition("\n")[2].strip()
    complain(message[:1].lower() + message[1:], f"see {path} --help" + (f"; an example: {example}" if example else ""))
    return error.exit_code


def _example(arguments: str) -> str:
    return f"\b\nExample:\n  {PROGRAM} {arguments}"


def _print_version(wanted: bool) -> None:
    if wanted:
        print_lines([__version__])
        raise typer.Exit


def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass
