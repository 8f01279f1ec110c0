"""Whether this trainer can train the nets of a run: found out before there is a run, by loading what they need."""

from __future__ import annotations

from collections.abc import Sequence

from metaqnn_trainer.contract.messages import TrialSpec
from metaqnn_trainer.errors import RequestError, RunFault
from metaqnn_trainer.modules.base import builder_of
from metaqnn_trainer.plugins import TASKS
from metaqnn_trainer.spaces.cnn.registry import kinds
from metaqnn_trainer.tasks.base import measures_of, task_of


def check_equipment(spec: TrialSpec, layers: Sequence[str] = ()) -> tuple[str, ...]:
    """Check that the task of a run can be used here, with its options and for designs like that of `spec`, and so can
    the builders of these kinds of layers, by their names in the text of a net. Returns the measures that the task
    declares.

    Raises:
        PluginError: one of them cannot be loaded, or is none: perhaps it can in another place.
        RequestError: an option is wrong, and named, or the task trains no such designs, wherever that is tried.
    """
    try:
        task_of(spec)
    except RunFault as error:
        raise RequestError(str(error)) from error
    for name in layers:
        builder_of(kinds()[name])
    return measures_of(TASKS.load(spec.task.name))
