"""The places of the paper's dropout in a net, and the authors' notation of it.

The paper (section 5, training procedure) places dropout after every second layer, with probability i/(2n) for the i-th
of n. What counts as a layer, and what n is, follows the authors' code: this reproduces their recorded nets exactly.
"""

from __future__ import annotations

from typing import NamedTuple

from metaqnn_trainer.spaces.cnn.layer import Layer, Net


class DropoutPlace(NamedTuple):
    """The i-th of n dropouts: D(i,n), after the layer at index `after` of the net."""

    after: int
    i: int
    n: int

    @property
    def probability(self) -> float:
        return self.i / (2 * self.n)

    def __str__(self) -> str:
        return f"D({self.i},{self.n})"


def dropout_places(net: Net) -> list[DropoutPlace]:
    """The dropouts of a whole net, softmax included, in order.

    One follows every second layer, counting pools, and every fully connected layer; none follows global average
    pooling.
    n = floor((L - gap - fc) / 2) + fc, where L counts all layers, including the softmax. The softmax counts among the
    `fc` fully connected layers when it follows one, and among the `gap` ones when it follows global average pooling. So
    the last of the n is never placed after a fully connected layer: its place would be after the softmax. A layer that
    belongs to the one before it, such as batch normalisation, does not count, and stands before the dropout.
    """
    hidden = _joined(net[:-1])
    ways = [layer.dropout for _, layer in (*hidden, *hidden[-1:])]  # the softmax counts like the layer before it
    each, none = ways.count("each"), ways.count("none")
    n = (len(hidden) + 1 - none - each) // 2 + each
    after = [
        index
        for place, (index, layer) in enumerate(hidden)
        if layer.dropout == "each" or (place % 2 == 1 and layer.dropout == "every_second")
    ]
    return [DropoutPlace(index, i, n) for i, index in enumerate(after, start=1)]


def _joined(layers: Net) -> list[tuple[int, Layer]]:
    """The layers that count, each with the index of the last layer that belongs to it."""
    found: list[tuple[int, Layer]] = []
    for index, layer in enumerate(layers):
        if layer.joins and found:
            found[-1] = (index, found[-1][1])
        else:
            found.append((index, layer))
    return found


def format_with_dropout(net: Net) -> str:
    """A net in the authors' notation: `[C(128,1,1), C(256,5,1), D(1,2), P(5,3), SM(10)]`."""
    places = {dropout.after: dropout for dropout in dropout_places(net)}
    parts: list[str] = []
    for index, layer in enumerate(net):
        parts.append(str(layer))
        if index in places:
            parts.append(str(places[index]))
    return "[" + ", ".join(parts) + "]"
