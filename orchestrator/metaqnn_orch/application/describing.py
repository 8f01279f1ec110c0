"""Describes a design, and what may follow the beginning of one, in the space of some settings."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from metaqnn_orch.control.objective import in_words
from metaqnn_orch.errors import BadInput
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.errors import ShapeError
from metaqnn_trainer.spaces.base import DEFAULT_FAMILY, Cost, IllegalDesign, Part, Space
from metaqnn_trainer.spaces.cnn.dropout import format_with_dropout
from metaqnn_trainer.spaces.cnn.notation import parse_net


class LayerRow(TypedDict):
    """A part of a design: of a net, a layer."""

    layer: str
    """Text of the layer."""
    output_shape: list[int]
    """Shape of its output: channels, height, width."""
    params: int
    """Number of trainable parameters."""
    macs: int
    """Number of multiply-accumulates for one image."""


class Described(TypedDict):
    """A design: a net layer by layer."""

    net: str
    """The design, as the space writes it."""
    legal: bool
    """Whether the space holds it."""
    reason: str | None
    """Why the space does not hold it; None where it does."""
    layers: list[LayerRow]
    """Its layers; none where they do not fit each other."""
    params: int
    """Number of trainable parameters."""
    macs: int
    """Number of multiply-accumulates for one image."""
    dropout: NotRequired[str]
    """The net in the authors' notation, with its dropouts; only where this is asked for."""
    objective: NotRequired[str]
    """What the reward is made of, in words; only where an objective is set."""


class Following(TypedDict):
    """What may follow the beginning of a design."""

    actions: list[str]
    """The choices: of a net, the layers that may follow. There are none where the design is complete."""


def parts_of(designs: Space, design: str) -> tuple[list[Part], str]:
    """Each part with its cost, no part where they do not fit each other; and why the space does not hold the design."""
    reason = ""
    try:
        designs.walk(design)
    except IllegalDesign as error:
        reason = str(error)
    try:
        return designs.describe(design), reason
    except ShapeError as error:
        return [], reason or str(error)


def describe(settings: Settings, source: str, text: str, *, dropout: bool = False) -> Described:
    """The fields of `metaqnn-orch describe -o json`. `source` is the preset or file of the settings.

    Raises:
        NotationError: the text is no design.
        BadInput: dropout is asked for, and the settings have none that the authors' notation could write.
    """
    designs = settings.state_space()
    parts, reason = parts_of(designs, text)
    design = designs.canonical(text)
    if dropout:
        _refuse_other_dropout(settings, source)
    total = sum((part.cost for part in parts), Cost(0, 0))
    found: Described = {
        "net": design,
        "legal": not reason,
        "reason": reason or None,
        "layers": [
            {
                "layer": part.name,
                "output_shape": list(part.shape),
                "params": part.cost.params,
                "macs": part.cost.macs,
            }
            for part in parts
        ],
        "params": total.params,
        "macs": total.macs,
    }
    if dropout:
        found["dropout"] = format_with_dropout(parse_net(design))
    if settings.objective.changes_reward:
        found["objective"] = in_words(settings.objective)
    return found


def following(settings: Settings, source: str, after: str) -> Following:
    """The fields of `metaqnn-orch space --after -o json`. `source` is the preset or file of the settings.

    Raises:
        NotationError: the text is no beginning of a design.
        BadInput: the space does not hold it.
    """
    designs = settings.state_space()
    try:
        return {"actions": designs.following(after)}
    except IllegalDesign as error:
        shown = designs.text(designs.parse(after))
        raise BadInput(f"{shown} is not in the space of {source}: {error}") from None


def _refuse_other_dropout(settings: Settings, source: str) -> None:
    if settings.space.family != DEFAULT_FAMILY:
        raise BadInput(
            f"--dropout writes nets of the cnn family, and space.family of {source} is {settings.space.family}"
        )
    if settings.recipe.dropout != "every_second":
        raise BadInput(
            f"D(i,n) stands for dropout after every second layer, but the recipe of {source} has "
            f"recipe.dropout={settings.recipe.dropout}",
            hint="leave out --dropout, or use --set recipe.dropout=every_second",
        )
