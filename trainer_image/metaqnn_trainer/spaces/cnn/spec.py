"""The net of a trial's specification."""

from __future__ import annotations

from metaqnn_trainer.contract.errors import MessageError, NotationError, ShapeError
from metaqnn_trainer.contract.messages import TrialSpec
from metaqnn_trainer.spaces.base import Cost
from metaqnn_trainer.spaces.cnn.layer import Shape, describe, total_cost
from metaqnn_trainer.spaces.cnn.notation import parse_net


def spec_cost(spec: TrialSpec, channels: int) -> Cost:
    """Parameters and multiply-accumulates of the net, for images of so many `channels`.

    Raises:
        MessageError: the net is none, or cannot be built for such images.
    """
    shape = Shape(channels, spec.images_of())
    try:
        reports = describe(parse_net(spec.net), shape, spec.model)
    except NotationError as error:
        raise MessageError(f"the net cannot be read: {error}") from error
    except ShapeError as error:
        raise MessageError(f"{spec.net} cannot be built for images of {shape}: {error}") from error
    return total_cost(reports)
