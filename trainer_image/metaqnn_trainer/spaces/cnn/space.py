"""The state space: states, the layers that may follow, and the states to which they lead (paper, section 4.1 and Table
1).

Two sizes are tracked. The true size of the representation determines the transitions; its bucket is part of the key
under which Q-values are kept, so that similar states learn together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import log1p, log2
from random import Random
from typing import Any, ClassVar, Final, NamedTuple

from metaqnn_trainer.contract.errors import ShapeError
from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Cost, Follows, Part, Space
from metaqnn_trainer.spaces.cnn.layer import Layer, LayerReport, Place, Shape, StateKey, describe, total_cost
from metaqnn_trainer.spaces.cnn.notation import format_net, parse_net, parse_prefix
from metaqnn_trainer.spaces.cnn.registry import kinds, offered, registry
from metaqnn_trainer.spaces.cnn.rules import SpaceRules

_FREE: Final = Cost(0, 0)
_FLOAT: Final = 4  # bytes
_TRIES: Final = 100  # of a mutation


class State(NamedTuple):
    """A state of a walk: its key, and what the key leaves out."""

    key: StateKey
    shape: Shape
    spent: Cost  # costs of the layers so far; zero where the space has no limit


Front = tuple[Cost, ...]  # the pairs of parameters and MACs that no other pair beats in both


class Moves(NamedTuple):
    """The layers that the rules offer in a state, before any limit."""

    offers: tuple[tuple[Layer, Front], ...]  # each layer with the least cost of it and the rest of a net
    cheapest: Front  # the least cost of all offers


class Cnn(Space):
    """The legal moves and transitions of one space. It is immutable, and caches its answers. A move is a layer."""

    Options: ClassVar[type[SpaceRules]] = SpaceRules
    noun = part = "layer"
    follows: ClassVar[Follows] = {
        "image_size": lambda info, said: said or info.image_size,  # images of another size are resized
        "channels": lambda info, said: info.channels,
        "classes": lambda info, said: info.classes,
    }

    def __init__(self, options: SpaceRules, model: ModelOptions | None = None) -> None:
        super().__init__(options, model or ModelOptions())
        self.rules = options
        limits = {"max_params": options.max_params, "max_macs": options.max_macs}
        self._limits = ", ".join(f"{name}={limit}" for name, limit in limits.items() if limit is not None)
        self._legal = lru_cache(maxsize=16_384)(self._find_legal)
        self._moves = lru_cache(maxsize=None)(self._find_moves)
        self._offered = lru_cache(maxsize=None)(self._candidates)
        self._next = lru_cache(maxsize=32_768)(self._find_next)
        self._led = lru_cache(maxsize=32_768)(self._find_led)
        self._walked = lru_cache(maxsize=1024)(super().walk)  # searches mutate the same few nets again and again
        self.image = Shape(options.channels, options.image_size)
        self._start = State(StateKey("start", 0, 0, 0, 0, options.bucket(options.image_size), 0, 0), self.image, _FREE)
        if not self.legal(self._start):
            cheapest = " or ".join(map(self._words, self._moves(_forgetful(self._start)).cheapest))
            raise ValueError(f"no net stays within {self._limits}: the smallest one has {cheapest}")

    @property
    def start(self) -> State:
        return self._start

    def legal(self, state: State) -> tuple[Layer, ...]:
        """The layers that may follow `state`, in the order of the rules, terminations last. Never empty on a walk."""
        return self._legal(state)

    def step(self, state: State, layer: Layer) -> State | None:
        """The state to which a legal `layer` leads; None where it is a termination."""
        return None if layer.ends else self._next(state, layer)

    def walk(self, text: str) -> list[tuple[State, Layer]]:
        return [*self._walked(text)]

    def key(self, state: State) -> StateKey:
        return state.key

    def objection(self, state: State, layer: Layer) -> str | None:
        """Why `layer` may not follow `state`, or None where it may."""
        if layer in self.legal(state):
            return None
        reason = self._structural_objection(state, layer)
        if reason is None and layer not in self._offered(state.shape.size):
            reason = "this layer is not in the space"
        return reason or f"no net that begins like this stays within {self._limits}"

    def text(self, moves: Sequence[Layer]) -> str:
        return format_net((*moves, *moves[-1].tail) if moves else ())

    def parse(self, text: str) -> list[Layer]:
        layers = list(parse_prefix(text))
        # The softmax after GAP is no choice: GAP completes the walk.
        ended = next((number for number, layer in enumerate(layers, 1) if layer.tail), len(layers))
        return layers[:ended]

    def following(self, text: str) -> list[str]:
        layers = parse_prefix(text)
        if self.after(text) is None:
            return [str(layer) for layer in layers[-1].tail]
        return super().following(text)

    def describe(self, design: str) -> list[Part]:
        return [
            Part(str(layer), str(shape), cost, (shape.channels, shape.size, shape.size))
            for layer, shape, cost in self.reports(design)
        ]

    def reports(self, design: str) -> list[LayerReport]:
        """Each layer of a whole net, with its output shape as a Shape.

        Raises:
            NotationError, ShapeError: as `describe` does.
        """
        return describe(parse_net(design), self.image, self.model)

    def check(self, design: str) -> None:
        try:
            ends_in = self.reports(design)[-1].output.channels
        except ShapeError as error:
            raise ShapeError(f"does not fit images of {self.image}: {error}") from None
        if ends_in != self.rules.classes:
            raise ShapeError(f"does not end in {self.rules.classes} classes")

    def canonical(self, text: str) -> str:
        return format_net(parse_net(text))

    def adapted(self, design: str) -> str:
        return format_net(layer.for_classes(self.rules.classes) for layer in parse_net(design))

    def measures(self, design: str) -> dict[str, float]:
        """The measures of a net. `bytes` are the bytes that one image moves: the input and output of each layer, and
        the weights, in single precision. `macs_per_byte` is the number of operations for each byte that memory has
        to deliver.
        """
        reports = self.reports(design)
        params, macs = total_cost(reports)
        shapes = [self.image, *(report.output for report in reports)]
        moved = _FLOAT * (params + sum(shape.features for shape in (*shapes[:-1], *shapes[1:])))
        return {"params": params, "macs": macs, "bytes": moved, "macs_per_byte": macs / moved}

    def neighbours(self, design: str) -> Iterator[str]:
        """The legal nets with one layer more, one less, or another one, from the first place to the last. At each
        place, nets with another layer come first, then those with one more before it, then the one with one less.
        """
        decisions = self.walk(design)
        moves = [layer for _, layer in decisions]
        seen = {self.text(moves)}
        for place, (state, chosen) in enumerate(decisions):
            ahead = moves[place + 1 :]
            legal = self.legal(state)
            changes = [(layer, *ahead) for layer in legal if layer != chosen and layer.ends == chosen.ends]
            changes += [(layer, chosen, *ahead) for layer in legal if not layer.ends]
            changes += [] if chosen.ends else [tuple(ahead)]
            for rest in changes:
                text = self.text((*moves[:place], *rest))
                if text not in seen and self._leads(state, rest):
                    seen.add(text)
                    yield text

    def mutated(self, design: str, rng: Random) -> str:
        """The net with one layer more, one less, or another one, at a random place; the net itself where no such net
        is found in some tries.
        """
        decisions = self.walk(design)
        for _ in range(_TRIES):
            place = int(rng.random() * len(decisions))
            state, chosen = decisions[place]
            ahead = [layer for _, layer in decisions[place + 1 :]]
            legal = self.legal(state)
            other = legal[int(rng.random() * len(legal))]
            change = int(rng.random() * 3)
            rest = [[other, *ahead], [other, chosen, *ahead], ahead][change]
            if other != chosen and self._leads(state, rest):
                return self.text([*(layer for _, layer in decisions[:place]), *rest])
        return design

    def features(self, design: str) -> dict[str, float]:
        """The numbers of layers of each kind, the numbers of the layer at each place from the front and from the back,
        and facts about the whole net.
        """
        reports = self.reports(design)
        net = [report.layer for report in reports]
        total = total_cost(reports)
        convolutions = [each for layer in net for each in layer.convolutions]
        logs = [log2(filters) for filters, _ in convolutions]
        pixels = [report.output.size for report in reports if report.layer.pixels]
        found: dict[str, float] = {
            "length": len(net),
            "log params": log1p(total.params),
            "log macs": log1p(total.macs),
            "last size": pixels[-1] if pixels else self.image.size,
            "receptive field": sum(kernel - 1 for _, kernel in convolutions),
            "largest kernel": max((kernel for _, kernel in convolutions), default=0),
            "mean log filters": sum(logs) / max(1, len(logs)),
        }
        for layer in net:
            name = f"number of {layer.name}"
            found[name] = found.get(name, 0.0) + 1.0
        for end, layers in (("", net), ("-", net[::-1])):
            for place, layer in enumerate(layers, 1):
                if not layer.scores and not layer.ends:
                    found |= _numbers(layer, f"{end}{place}")
        return found

    def plugins(self, design: str) -> dict[str, str]:
        sources = {layer.name: registry().sources[layer.name] for layer in parse_net(design)}
        return {f"{plugin.group}:{plugin.name}": plugin.identity for plugin in sources.values() if plugin.distribution}

    def words(self) -> list[tuple[str, str]]:
        rules = self.rules
        sections = [(kind, kind.in_words(rules.of(kind))) for kind in kinds().values() if kind.section]
        limit = "smaller than the size's bucket" if rules.kernel_limit == "below_bucket" else "at most the size"
        limits = {"parameters": rules.max_params, "multiply-accumulates": rules.max_macs}
        kept = [f"{name} up to {value:,}" for name, value in limits.items() if value is not None]
        return [
            ("images", f"{rules.channels} x {rules.image_size} x {rules.image_size}, {rules.classes} classes"),
            ("depth", f"at most {rules.max_layers} layers before the termination"),
            *((kind.words, words) for kind, words in sections if words),
            ("receptive fields", limit),
            ("termination", self._ends_in_words()),
            ("size buckets", ", ".join(map(str, rules.size_buckets)) or "none: every size has its own Q-values"),
            ("limits", ", ".join(kept) or "none"),
        ]

    def _ends_in_words(self) -> str:
        rules = self.rules
        places = [
            *(["after a fully connected layer"] if not rules.gap_after_fc else []),
            *(["on a single pixel"] if not rules.gap_after_fc and self.model.gap_head == "paper" else []),
            *([f"after {rules.max_layers} layers"] if not rules.gap_at_depth_limit else []),
        ]
        but = f"; GAP not {' or '.join(places)}" if places and {"GAP", "SM"} <= {*rules.terminations} else ""
        return " or ".join(rules.terminations) + ", from any state" + but

    def _leads(self, state: State | None, moves: Iterable[Layer]) -> bool:
        """Whether the moves are legal one after another, and complete a net."""
        for layer in moves:
            if state is None or not (led := self._led(state, layer)):
                return False
            state = led[0]
        return state is None

    def _find_led(self, state: State, layer: Layer) -> tuple[State | None, ...]:
        return (self.step(state, layer),) if layer in self.legal(state) else ()  # what `step` says, if it is legal

    def _find_legal(self, state: State) -> tuple[Layer, ...]:
        offers = self._moves(_forgetful(state)).offers
        return tuple(layer for layer, least in offers if any(self._fits(state.spent + cost) for cost in least))

    def _find_next(self, state: State, layer: Layer) -> State:
        key, shape = state.key, layer.output(state.shape)
        numbers = layer.keyed(key, self.rules.of(type(layer)))
        named: dict[str, Any] = {name: numbers[name] for name in numbers if name in _KEYED}
        further = ",".join(f"{name}={number}" for name, number in numbers.items() if name not in _KEYED)
        after = StateKey(layer.name, key.depth + 1, 0, 0, 0, self.rules.bucket(shape.size), 0, 0, further)
        return State(after._replace(**named), shape, state.spent + self._cost(layer, state.shape))

    def _candidates(self, size: int) -> tuple[Layer, ...]:
        """The layers that the rules name for a representation's size, whether or not they may stand there."""
        rules = self.rules
        open_ended = [kind for kind in kinds().values() if not kind.ends]
        ordered = [*open_ended, *(kinds()[name] for name in rules.terminations)]
        return tuple(layer for kind in ordered for layer in offered(kind, rules.of(kind), size, rules.classes))

    def _structural_objection(self, state: State, layer: Layer) -> str | None:
        rules, key = self.rules, state.key
        before = kinds().get(key.kind)
        if layer.ends:
            if layer.name not in rules.terminations:
                return f"nets of this space do not end in {layer.name}"
            if layer != layer.for_classes(rules.classes):
                return f"the space has {rules.classes} classes"
        elif key.depth >= rules.max_layers:
            return f"a net has at most {rules.max_layers} layers: only a termination may follow"
        elif layer.pixels and before is not None and not before.pixels:
            return "only fully connected layers and terminations may follow a fully connected layer"
        return layer.objection(Place(before, key, state.shape, rules, self.model))

    def _find_moves(self, state: State) -> Moves:
        offers: list[tuple[Layer, Front]] = []
        for layer in self._offered(state.shape.size):
            if self._structural_objection(state, layer) is not None:
                continue
            cost = self._cost(layer, state.shape)
            rests: Front = (_FREE,)
            if self._limits and not layer.ends:
                rests = self._moves(_forgetful(self._next(state, layer))).cheapest
            offers.append((layer, tuple(cost + rest for rest in rests)))
        return Moves(tuple(offers), _front(cost for _, least in offers for cost in least))

    def _cost(self, layer: Layer, shape: Shape) -> Cost:
        """The cost of a layer, or of all layers that a termination implies. It is zero where there is no limit."""
        if not self._limits:
            return _FREE
        params, macs = total_cost(describe((layer, *layer.tail), shape, self.model))
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


_KEYED: Final = ("filters", "kernel", "stride", "units", "fc_layers")  # the numbers for which a key has a field


@lru_cache(maxsize=4096)
def _numbers(layer: Layer, at: str) -> dict[str, float]:
    """The numbers of a layer as features of a net that has it at a place."""
    numbers = {f"{layer.name} {field} at {at}": float(getattr(layer, field)) for field in layer.__match_args__}
    return {f"{layer.name} at {at}": 1.0} | numbers


def _front(costs: Iterable[Cost]) -> Front:
    front: list[Cost] = []
    for cost in sorted(set(costs)):
        if not front or cost.macs < front[-1].macs:
            front.append(cost)
    return tuple(front)


def _forgetful(state: State) -> State:
    """The state without the parts on which moves depend only through the limits, so that fewer states are
    distinguished.
    """
    return State(state.key._replace(filters=0, kernel=0, stride=0, further=""), state.shape, _FREE)
