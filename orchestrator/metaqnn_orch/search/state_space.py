"""The state space: states, the layers that may follow, and where they lead (paper, section 4.1 and Table 1).

Two sizes walk together. The true representation size drives the transitions; its bucket is part of the key under
which Q-values are kept, so that states that look alike learn together.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from metaqnn_orch.search.rules import LogSpaced, SpaceRules
from metaqnn_trainer.contract.layers import (
    FC,
    GAP,
    SM,
    Conv,
    Cost,
    GapHead,
    Layer,
    Net,
    Pool,
    Shape,
    describe,
    output_shape,
    total_cost,
)
from metaqnn_trainer.contract.notation import format_net

_FREE = Cost(0, 0)


class StateKey(NamedTuple):
    """What the Q-table tells apart: the paper's state tuple. Zero where a field has no meaning."""

    kind: str  # start, C, P or FC: the layer just chosen
    depth: int  # layers so far
    filters: int
    kernel: int
    stride: int
    size: int  # the bucket of the representation size
    units: int
    fc_layers: int  # fully connected layers so far, where their number is limited

    def __str__(self) -> str:
        return f"{self.kind}({','.join(map(str, self[1:]))})"


class State(NamedTuple):
    """A state as it is walked: the key, and what the key leaves out."""

    key: StateKey
    shape: Shape
    spent: Cost  # of the layers so far; zero wherever the space has no limit


Front = tuple[Cost, ...]  # each pair of parameters and MACs that no other beats in both


class Moves(NamedTuple):
    """What the rules offer in a state, limits aside."""

    offers: tuple[tuple[Layer, Front], ...]  # each layer with the least that it and the rest of a net cost
    cheapest: Front  # the least of all offers


class IllegalNet(ValueError):
    """A net that the space does not hold; the text names the layer and the rule."""


class StateSpace:
    """Legal moves and transitions of one space. Immutable; answers are remembered."""

    def __init__(self, rules: SpaceRules, *, gap_head: GapHead = "paper", batch_norm: bool = False) -> None:
        self.rules = rules
        self._gap_head: GapHead = gap_head
        self._batch_norm = batch_norm
        limits = {"max_params": rules.max_params, "max_macs": rules.max_macs}
        self._limits = ", ".join(f"{name}={limit}" for name, limit in limits.items() if limit is not None)
        self.legal = lru_cache(maxsize=16_384)(self._legal)
        self._moves = lru_cache(maxsize=None)(self._find_moves)
        shape = Shape(rules.channels, rules.image_size)
        self.start = State(StateKey("start", 0, 0, 0, 0, rules.bucket(rules.image_size), 0, 0), shape, _FREE)
        if not self.legal(self.start):
            cheapest = " or ".join(map(self._words, self._moves(_forgetful(self.start)).cheapest))
            raise ValueError(f"no net stays within {self._limits}: the cheapest has {cheapest}")

    def _legal(self, state: State) -> tuple[Layer, ...]:
        """The layers that may follow `state`, in the order of the rules, terminations last. Never empty on a walk."""
        offers = self._moves(_forgetful(state)).offers
        return tuple(layer for layer, least in offers if any(self._fits(state.spent + cost) for cost in least))

    def step(self, state: State, layer: Layer) -> State:
        """Where a legal `layer` leads. Terminations lead nowhere: they are not stepped."""
        key, shape = state.key, output_shape(layer, state.shape)
        size = self.rules.bucket(shape.size)
        depth = key.depth + 1
        match layer:
            case Conv(filters, kernel, stride):
                after = StateKey("C", depth, filters, kernel, stride, size, 0, 0)
            case Pool(kernel, stride):
                after = StateKey("P", depth, 0, kernel, stride, size, 0, 0)
            case FC(units):
                counted = key.fc_layers + 1 if self.rules.fully_connected.max_layers is not None else 0
                after = StateKey("FC", depth, 0, 0, 0, size, units, counted)
            case _:
                raise ValueError(f"{layer} ends the walk")
        return State(after, shape, state.spent + self._cost(layer, state.shape))

    def objection(self, state: State, layer: Layer) -> str | None:
        """Why `layer` may not follow `state`, or None where it may."""
        if layer in self.legal(state):
            return None
        reason = self._structural_objection(state, layer)
        if reason is None and layer not in self._candidates(state):
            reason = "the space does not offer this layer"
        return reason or f"no net from here stays within {self._limits}"

    def walk(self, layers: Net) -> list[tuple[State, Layer]]:
        """Each decision of a net, or of its first layers: the state and the layer chosen there.

        The softmax after GAP is no decision: choosing GAP ends the walk.

        Raises:
            IllegalNet: a layer is not legal where it stands.
        """
        decisions: list[tuple[State, Layer]] = []
        state = self.start
        for number, layer in enumerate(layers, 1):
            if decisions and isinstance(decisions[-1][1], GAP):
                break
            reason = self.objection(state, layer)
            if reason:
                raise IllegalNet(f"layer {number}, {layer}: {reason}")
            decisions.append((state, layer))
            if not isinstance(layer, GAP | SM):
                state = self.step(state, layer)
        return decisions

    def after(self, prefix: Net) -> tuple[Layer, ...]:
        """The layers that may follow the first layers of a net; none after a softmax.

        Raises:
            IllegalNet: the prefix itself is not legal.
        """
        decisions = self.walk(prefix)
        if not decisions:
            return self.legal(self.start)
        state, last = decisions[-1]
        if isinstance(last, GAP) and len(prefix) == len(decisions):
            return (SM(self.rules.classes),)
        if isinstance(last, GAP | SM):
            return ()
        return self.legal(self.step(state, last))

    def complete(self, chosen: Layer) -> Net:
        """The layers that a termination stands for: GAP is followed by a softmax."""
        return (chosen, SM(chosen.classes)) if isinstance(chosen, GAP) else (chosen,)

    def _candidates(self, state: State) -> list[Layer]:
        rules, size = self.rules, state.shape.size
        convolution, pooling = rules.convolution, rules.pooling
        layers: list[Layer] = []
        kernels = _options(convolution.kernels, 2, size)
        for filters, kernel in product(convolution.filters, kernels):
            layers += [Conv(filters, kernel, stride) for stride in _options(convolution.strides, 1, kernel)]
        if pooling.shapes is not None:
            layers += [Pool(kernel, stride) for kernel, stride in pooling.shapes]
        elif pooling.kernels is not None and pooling.strides is not None:
            for kernel in _options(pooling.kernels, 2, size):
                layers += [Pool(kernel, stride) for stride in _options(pooling.strides, 1, kernel)]
        layers += [FC(units) for units in rules.fully_connected.units]
        layers += [(GAP if name == "GAP" else SM)(rules.classes) for name in rules.terminations]
        return layers

    def _structural_objection(self, state: State, layer: Layer) -> str | None:
        rules, key, size = self.rules, state.key, state.shape.size
        if isinstance(layer, GAP | SM):
            if type(layer).__name__ not in rules.terminations:
                return f"the space does not end in {type(layer).__name__}"
            return None if layer.classes == rules.classes else f"the space has {rules.classes} classes"
        if key.depth >= rules.max_layers:
            return f"the space ends at {rules.max_layers} layers: only a termination may follow"
        if isinstance(layer, FC):
            return self._fc_objection(state, layer)
        if key.kind == "FC":
            return "only fully connected layers and terminations may follow a fully connected layer"
        if isinstance(layer, Pool) and key.kind == "start":
            return "a net does not begin with pooling"
        if isinstance(layer, Pool) and key.kind == "P":
            return "pooling may not follow pooling"
        if rules.kernel_limit == "below_bucket" and layer.kernel >= key.size:
            return f"the receptive field must be smaller than {key.size}, the bucket of size {size}"
        if layer.kernel > size:
            return f"the receptive field must not be larger than the representation, {size}"
        return None

    def _fc_objection(self, state: State, layer: FC) -> str | None:
        rules, key = self.rules.fully_connected, state.key
        if key.kind == "start":
            return "a net does not begin with a fully connected layer"
        if rules.max_layers is not None and key.fc_layers >= rules.max_layers:
            return f"a net has at most {rules.max_layers} fully connected layers"
        if key.kind == "FC":
            wider = rules.never_wider and layer.units > key.units
            return f"a fully connected layer may not be wider than the one before, {key.units}" if wider else None
        if rules.max_size is not None and state.shape.size > rules.max_size:
            return f"fully connected layers stand on sizes up to {rules.max_size}, here it is {state.shape.size}"
        return None

    def _find_moves(self, state: State) -> Moves:
        offers: list[tuple[Layer, Front]] = []
        for layer in self._candidates(state):
            if self._structural_objection(state, layer) is not None:
                continue
            cost = self._cost(layer, state.shape)
            rests: Front = (_FREE,)
            if self._limits and not isinstance(layer, GAP | SM):
                rests = self._moves(_forgetful(self.step(state, layer))).cheapest
            offers.append((layer, tuple(cost + rest for rest in rests)))
        return Moves(tuple(offers), _front(cost for _, least in offers for cost in least))

    def _cost(self, layer: Layer, shape: Shape) -> Cost:
        """Of a layer, or of all that a termination stands for. Zero wherever there is no limit to keep."""
        if not self._limits:
            return _FREE
        net = self.complete(layer)
        params, macs = total_cost(describe(net, shape, gap_head=self._gap_head, batch_norm=self._batch_norm))
        return Cost(params if self.rules.max_params is not None else 0, macs if self.rules.max_macs is not None else 0)

    def _fits(self, cost: Cost) -> bool:
        rules = self.rules
        return (rules.max_params is None or cost.params <= rules.max_params) and (
            rules.max_macs is None or cost.macs <= rules.max_macs
        )

    def _words(self, cost: Cost) -> str:
        parameters = [f"{cost.params} parameters"] if self.rules.max_params is not None else []
        macs = [f"{cost.macs} multiply-accumulates"] if self.rules.max_macs is not None else []
        return " and ".join(parameters + macs)


def _front(costs: Iterable[Cost]) -> Front:
    front: list[Cost] = []
    for cost in sorted(set(costs)):
        if not front or cost.macs < front[-1].macs:
            front.append(cost)
    return tuple(front)


def _forgetful(state: State) -> State:
    """The state without what no move depends on but through the limits, so that few are told apart."""
    return State(state.key._replace(filters=0, kernel=0, stride=0), state.shape, _FREE)


def _options(choices: tuple[int, ...] | LogSpaced, low: int, high: int) -> tuple[int, ...]:
    return choices.between(low, high) if isinstance(choices, LogSpaced) else choices


def net_text(decisions: list[Layer], space: StateSpace) -> str:
    """The canonical text of the net that a list of decisions, the last a termination, stands for."""
    return format_net((*decisions[:-1], *space.complete(decisions[-1])))
