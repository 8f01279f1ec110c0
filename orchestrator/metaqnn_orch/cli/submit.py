"""metaqnn-orch submit PRESET_OR_FILE"""

from __future__ import annotations

import os
from functools import partial

from metaqnn_orch.application import submission
from metaqnn_orch.application.datasets import facts
from metaqnn_orch.application.release import Release
from metaqnn_orch.cli import options
from metaqnn_orch.cli.flags import NO_FLAGS, SEARCH, Flags, taking
from metaqnn_orch.cli.output import say, tell, typeable
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.errors import BadInput
from metaqnn_orch.next_command import next_command
from metaqnn_orch.settings.sources import gather, load_settings
from metaqnn_trainer.contract.keys import check_name


@taking(SEARCH)
def submit(
    preset_or_file: options.PresetOrFile,
    run: options.RunName,
    store: options.Store,
    flags: Flags = NO_FLAGS,
    assignments: options.Set = None,
    unsafe_single_writer: options.UnsafeSingleWriter = False,
    release: Release | None = None,
) -> None:
    """Run a search inside the cluster.

    This does what start does, but in a Pod of the release instead of on this machine, which you may switch off.
    `attach` shows the search.

    To move a run, first stop whoever holds it with `cancel RUN --keep-jobs` or Ctrl-C, then submit or start it
    elsewhere. Its trials go on meanwhile. Two orchestrators cannot work on a run at the same time.
    """
    check_name("run", run)
    if release is None:
        raise BadInput("submit needs a release of the chart", hint="name it: --release NAMESPACE/NAME")
    given, look = (preset_or_file, os.environ, assignments or [], flags), facts(partial(open_store, store), run)
    settings = load_settings(*given, release.layer(), look).settings
    values, _ = gather(*given, look=look)
    made = submission.submit(run, store, settings, values, release, tell, unsafe_single_writer=unsafe_single_writer)
    if made.is_new:
        say(f"job {made.job} in namespace {made.namespace} now searches for run {run}")
    else:
        say(f"job {made.job} already searches for run {run}; nothing was changed")
    say(typeable(f"next: {next_command(f'attach {run}', store)}"))
