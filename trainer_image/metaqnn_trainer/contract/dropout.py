"""Where the paper's dropout stands in a net, and how the authors write it.

The paper (section 5, training procedure) places dropout after every second layer, with probability i/(2n) for the i-th
of n. What counts as a layer, and what n is, follows the authors' code: their recorded nets come out letter for letter.
"""

from __future__ import annotations

from typing import NamedTuple

from metaqnn_trainer.contract.layers import FC, GAP, Net


class Dropout(NamedTuple):
    """The i-th of n dropouts: D(i,n), after the layer at index `after` of the net."""

    after: int
    i: int
    n: int

    @property
    def probability(self) -> float:
        return self.i / (2 * self.n)

    def __str__(self) -> str:
        return f"D({self.i},{self.n})"


def dropout_places(net: Net) -> list[Dropout]:
    """The dropouts of a whole net, softmax included, in order.

    One follows every second layer, pools counted, and every fully connected layer; none follows global average pooling.
    n = floor((L - gap - fc) / 2) + fc, where L counts all layers, the softmax too, and the softmax counts among the
    `fc` fully connected layers when it follows one, among the `gap` ones when it follows that. So the last of the n
    is never placed behind a fully connected layer: its turn would be after the softmax.
    """
    *hidden, _ = net
    kinds = [type(layer) for layer in (*hidden, *hidden[-1:])]  # the softmax takes the kind of the layer before it
    fc, gap = kinds.count(FC), kinds.count(GAP)
    n = (len(net) - gap - fc) // 2 + fc
    after = [
        index
        for index, layer in enumerate(hidden)
        if isinstance(layer, FC) or (index % 2 == 1 and not isinstance(layer, GAP))
    ]
    return [Dropout(index, i, n) for i, index in enumerate(after, start=1)]


def format_with_dropout(net: Net) -> str:
    """A net as the authors write it: `[C(128,1,1), C(256,5,1), D(1,2), P(5,3), SM(10)]`."""
    places = {dropout.after: dropout for dropout in dropout_places(net)}
    parts: list[str] = []
    for index, layer in enumerate(net):
        parts.append(str(layer))
        if index in places:
            parts.append(str(places[index]))
    return "[" + ", ".join(parts) + "]"
