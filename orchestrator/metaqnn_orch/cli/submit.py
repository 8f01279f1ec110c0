"""metaqnn-orch submit PRESET_OR_FILE"""

from __future__ import annotations

import os

from metaqnn_orch.application import submission
from metaqnn_orch.application.release import Release
from metaqnn_orch.cli import options
from metaqnn_orch.cli.flags import NO_FLAGS, SEARCH, Flags, taking
from metaqnn_orch.cli.output import say, tell, typeable
from metaqnn_orch.errors import BadInput
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
    """Search inside the cluster.

    As start does, in a Pod of the release instead of on this machine, which may be switched off. `attach` shows it.

    A run moves by submitting or starting it elsewhere: whoever holds it is told first, by `cancel RUN --keep-jobs`
    or by Ctrl-C, and two at once exclude each other. Its trials go on meanwhile.
    """
    check_name("run", run)
    if release is None:
        raise BadInput("submit needs a release of the chart", hint="name it: --release NAMESPACE/NAME")
    given = (preset_or_file, os.environ, assignments or [], flags)
    settings = load_settings(*given, release.layer()).settings
    values, _ = gather(*given)
    made = submission.submit(run, store, settings, values, release, tell, unsafe_single_writer=unsafe_single_writer)
    if made.is_new:
        say(f"run {run} is searched for in namespace {made.namespace}, by job {made.job}")
    else:
        say(f"run {run} is being searched for already, by job {made.job}: nothing was changed")
    say(typeable(f"next: metaqnn-orch attach {run} {release.words}"))
