"""The options by which a command finds the store, and perhaps a release in a cluster; they are the same for all
commands.

No cluster is asked where --store is given and trials run on this machine.
"""

from __future__ import annotations

import inspect
import os
import shlex
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter
from typing import Annotated, Any, Final, get_args

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.release import Release, borrow_keys, find_release
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import tell
from metaqnn_orch.errors import BadInput, StoreError
from metaqnn_orch.next_command import forget_stores, name_store
from metaqnn_trainer.store.errors import NO_CREDENTIALS

_OPTIONS: Final[dict[str, Any]] = {
    "release": Annotated[
        str | None,
        typer.Option(
            "--release",
            metavar="[NAMESPACE/]NAME",
            envvar="METAQNN_RELEASE",
            help="Release of the Helm chart, which says where the store is and how trials run. Without --store, the"
            " only release in the namespace is used.",
        ),
    ],
    "namespace": options.Namespace,
    "context": options.Context,
    "use_cluster_secret": Annotated[
        bool, typer.Option("--use-cluster-secret", help="Open the store with the keys from the release's secret.")
    ],
}
_STORE: Final = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URI",
        envvar="METAQNN_STORE",
        help="The store: a directory, or s3://bucket/prefix (default: the store of the chart's release).",
        show_default=False,
    ),
]


def placed(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with --store optional and the options above. It always gets a store's URI, and the release that was
    found, if it has a parameter `release`. A command with neither parameter stays as it is.
    """
    own = inspect.signature(command, eval_str=True).parameters
    if "store" not in own and "release" not in own:
        return command

    @wraps(command)
    def run(**arguments: Any) -> None:
        given = {name: arguments.pop(name) for name in _OPTIONS}
        forget_stores()
        release = _find(given, arguments, needs_store="store" in own)
        if release is not None:
            release = release._replace(words=_words(release, given, arguments.get("store")))
        if "store" in own:
            arguments["store"] = arguments["store"] or (release.store if release else "")
        if release is not None and arguments.get("store"):
            name_store(arguments["store"], release.words)
        if "launcher" in own and arguments["launcher"] is None:
            arguments["launcher"] = LauncherName.KUBERNETES if release else LauncherName.LOCAL
        if release is not None:
            release.show_store(os.environ)
            given["namespace"] = release.namespace
            if given["use_cluster_secret"]:
                borrow_keys(release, os.environ)
        else:
            _refuse_idle(given, own)
        try:
            command(
                **arguments,
                **{name: given[name] for name in ("namespace", "context") if name in own},
                **({"release": release} if "release" in own else {}),
            )
        except StoreError as error:
            if release is not None and not given["use_cluster_secret"]:
                _name_the_secret(error, release)
            raise

    looser = {"store": _STORE, "launcher": Annotated[LauncherName | None, *get_args(options.Launcher)[1:]]}
    kept = [
        parameter.replace(default=None, annotation=looser[name]) if name in looser else parameter
        for name, parameter in own.items()
        if name not in _OPTIONS
    ]
    unset = dict.fromkeys(_OPTIONS) | {"use_cluster_secret": False}
    more = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=unset[name], annotation=kind) for name, kind in _OPTIONS.items()
    ]
    keyword_only = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in kept]
    run.__signature__ = inspect.Signature([*keyword_only, *more])  # type: ignore[attr-defined]
    return run


def _name_the_secret(error: StoreError, release: Release) -> None:
    """Add to the hint that the release has keys for the store, where this machine has none, or wrong ones."""
    secret = release.data.get("execution.kubernetes.store_secret")
    if secret and (error.code == NO_CREDENTIALS or error.denied):
        also = f"; {error.hint}" if error.hint else ""
        error.hint = f"--use-cluster-secret takes the keys from secret {secret} of {release.source}{also}"


def _words(release: Release, given: Mapping[str, Any], store: str | None) -> str:
    more = [f"--context {shlex.quote(given['context'])}"] if given["context"] else []
    more += [f"--store {shlex.quote(store)}"] if store and store != release.data.get("store") else []
    more += ["--use-cluster-secret"] if given["use_cluster_secret"] else []
    return " ".join([release.words, *more])


def _refuse_idle(given: Mapping[str, Any], own: Mapping[str, Parameter]) -> None:
    """Refuse options that would have no effect, because no release was looked for."""
    hint = "name it: --release NAMESPACE/NAME"
    if given["use_cluster_secret"]:
        raise BadInput("--use-cluster-secret needs a release", hint)
    idle = [name for name in ("namespace", "context") if given[name] and name not in own]
    if idle:
        # The launcher is a setting; these options only say which release provides it.
        settings = [f"--set execution.kubernetes.{name}={shlex.quote(given[name])}" for name in idle]
        raise BadInput(
            f"{' and '.join(f'--{name}' for name in idle)}: only for finding a release, and with --store no release "
            "is used",
            hint=f"to say where trials run, use {' '.join(settings)}" if "assignments" in own else "leave it out",
        )


def _find(given: dict[str, Any], arguments: dict[str, Any], *, needs_store: bool) -> Release | None:
    wanted, store, launcher = given["release"], arguments.get("store"), arguments.get("launcher")
    if launcher in (LauncherName.LOCAL, LauncherName.TABLE):
        if needs_store and not store:
            raise BadInput(f"--launcher {launcher} needs --store", hint="for example --store ./runs")
        return None
    if wanted is None and (store or not needs_store):
        return None
    return find_release(wanted, given["namespace"], given["context"], tell)
