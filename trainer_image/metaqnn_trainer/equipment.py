"""Whether this trainer has what the nets of a run need: found out before there is a run, by loading it."""

from __future__ import annotations

from collections.abc import Sequence

from metaqnn_trainer.contract.errors import PluginError
from metaqnn_trainer.contract.messages import PluginRef
from metaqnn_trainer.contract.options import parse_options
from metaqnn_trainer.errors import KNOWN
from metaqnn_trainer.faults import cause, named
from metaqnn_trainer.modules.base import builder_of
from metaqnn_trainer.plugins import TASKS
from metaqnn_trainer.spaces.cnn.registry import kinds


def check_equipment(task: PluginRef, layers: Sequence[str] = ()) -> None:
    """Check that the task, its options, and the builders of these kinds of layers, by their names in the text of a
    net, can be used here.

    Raises:
        PluginError: one of them cannot be loaded, or is none.
        MessageError: an option of the task is wrong, and named.
    """
    try:
        parse_options(TASKS.load(task.name).Options, task, "task")
    except KNOWN:
        raise
    except Exception as error:  # Options may be anything
        raise PluginError(f"{named(TASKS, task.name)} cannot be used: {cause(error)}") from error
    for name in layers:
        builder_of(kinds()[name])
