"""metaqnn-orch attach RUN"""

from __future__ import annotations

import time

import typer

from metaqnn_orch.application import machine
from metaqnn_orch.application.assembly import open_cluster
from metaqnn_orch.application.release import Release
from metaqnn_orch.application.vigil import Vigil, is_left, wait_for_start
from metaqnn_orch.application.watching import watch
from metaqnn_orch.cli import options
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.cli.view import Terminal
from metaqnn_orch.reporting.summary import read_only
from metaqnn_orch.settings.kubernetes import KubernetesSettings


def attach(run: options.Run, store: options.Store, release: Release | None = None) -> None:
    """Show a run live that goes on elsewhere.

    It goes on in the background, or in the cluster.

    It shows the same as status --watch, but ends when nobody works on the run any more. With a release, it waits until
    the Pod of a submitted search starts, and says what the Pod waits for. Ctrl-C ends only the view; the run goes on.
    """
    opened = open_store(store)
    if release is None:
        try:
            watch(opened, run, Terminal(), machine.LocalVigil(opened, run).sleep)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        return
    settings = KubernetesSettings(namespace=release.namespace, context=release.context)
    try:
        cluster = open_cluster(settings)
        terminal = Terminal()

        def is_over() -> bool:
            return read_only(opened, run).state.finished is not None

        def nobody_works() -> bool:
            return is_left(opened, run, cluster)

        wait_for_start(is_over, cluster, run, time.sleep, terminal.say, nobody_works)
        watch(opened, run, terminal, Vigil(nobody_works, cluster, run, terminal.say).sleep)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
