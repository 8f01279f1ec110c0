"""TEMPORARY."""

from __future__ import annotations

from metaqnn_trainer.contract.errors import ShapeError
from metaqnn_trainer.contract.layers import GAP, SM, Shape, describe
from metaqnn_trainer.contract.notation import format_net, parse_net, parse_prefix
from metaqnn_trainer.spaces.base import Part, Space


class Cnn(Space):
    def __init__(self, options, model):
        from metaqnn_orch.search.state_space import StateSpace

        super().__init__(options, model)
        self.inner = StateSpace(options, gap_head=model.gap_head, batch_norm=model.batch_norm)
        self.legal = self.inner.legal
        self.rules = options

    @property
    def start(self):
        return self.inner.start

    def legal(self, state): ...

    def key(self, state):
        return state.key

    def step(self, state, move):
        return None if isinstance(move, GAP | SM) else self.inner.step(state, move)

    def text(self, moves):
        if moves and isinstance(moves[-1], GAP):
            moves = [*moves, SM(moves[-1].classes)]
        return format_net(moves)

    def canonical(self, text):
        return format_net(parse_net(text))

    def parse(self, text):
        layers = list(parse_prefix(text))
        return layers[:-1] if len(layers) > 1 and isinstance(layers[-2], GAP) else layers

    def objection(self, state, move):
        return self.inner.objection(state, move)

    def describe(self, design):
        return [Part(str(r.layer), str(r.output), r.cost) for r in self.reports(design)]

    def reports(self, design):
        return describe(
            parse_net(design),
            Shape(self.rules.channels, self.rules.image_size),
            gap_head=self.model.gap_head,
            batch_norm=self.model.batch_norm,
        )

    def check(self, design):
        try:
            reports = self.reports(design)
        except ShapeError as error:
            raise ShapeError(
                f"does not fit images of {Shape(self.rules.channels, self.rules.image_size)}: {error}"
            ) from None
        if reports[-1].output.channels != self.rules.classes:
            raise ShapeError(f"does not end in the {self.rules.classes} classes")

    def adapted(self, design):
        def ended(layer):
            return type(layer)(self.rules.classes) if isinstance(layer, GAP | SM) else layer

        return format_net(tuple(ended(layer) for layer in parse_net(design)))


PLUGIN = Cnn
