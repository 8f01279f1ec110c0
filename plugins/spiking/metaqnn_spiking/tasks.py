"""Classification by ordinary and by spiking nets, with a score that is measured before training."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from metaqnn_spiking.kernel import kernel_score
from metaqnn_spiking.neurons import Neurons, SpikingNet
from metaqnn_trainer.images.dataset import Dataset, normalised
from metaqnn_trainer.modules.model import build_model
from metaqnn_trainer.tasks.base import Part, Pause
from metaqnn_trainer.tasks.classification import Classification
from metaqnn_trainer.training.recipe import dropout_probabilities

SCORE = "kernel_score"


class ScoreOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    score_images: int = Field(64, ge=2, le=1024, description="Training images on which an untrained net is scored.")


class SpikingOptions(ScoreOptions):
    steps: int = Field(4, ge=1, le=64, description="How often a net sees an image.")
    leak: float = Field(0.9, ge=0, le=1, description="Share of its potential that a neuron keeps until the next step.")
    threshold: float = Field(1.0, gt=0, le=100, description="Potential above which a neuron spikes.")


class Scored(Classification):
    """Classification whose measures also hold the score of the untrained net."""

    Options = ScoreOptions
    measures = (*Classification.measures, SCORE)

    def build(self, data: Dataset, generator: torch.Generator) -> nn.Module:
        net = self.fresh(data, generator)
        images = data.train.images
        some = images[:: max(1, len(images) // self.options.score_images)][: self.options.score_images]
        score = kernel_score(net, normalised(some, data.mean, data.std).cpu())
        # Weights that a child inherits bring no score with them: it is not persistent.
        net.register_buffer(SCORE, torch.tensor(score, dtype=torch.float64), persistent=False)
        return net

    def fresh(self, data: Dataset, generator: torch.Generator) -> nn.Module:
        """The untrained net."""
        return super().build(data, generator)

    def evaluate(self, model: nn.Module, data: Dataset, part: Part, batch: int, pause: Pause) -> dict[str, float]:
        return {**super().evaluate(model, data, part, batch, pause), SCORE: model.get_buffer(SCORE).item()}


class Spiking(Scored):
    """Classification by spiking nets. `spikes` counts those of all neurons in all steps, an image."""

    Options = SpikingOptions
    measures = (*Scored.measures, "spikes")

    def fresh(self, data: Dataset, generator: torch.Generator) -> nn.Module:
        # A ReLU is computed behind the max pooling that follows it, for that gives the same numbers; spikes would not.
        options = self.spec.model.model_copy(update={"activation": "elu"})
        net = build_model(self._net, data.shape, options, dropout_probabilities(self._net, self.spec.recipe), generator)
        steps = self.options.steps
        return SpikingNet(net, steps, partial(Neurons, steps, self.options.leak, self.options.threshold))

    def evaluate(self, model: nn.Module, data: Dataset, part: Part, batch: int, pause: Pause) -> dict[str, float]:
        spikes = torch.zeros((), dtype=torch.int64, device=data.mean.device)

        def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
            spikes.add_(output.count_nonzero())

        hooks = [each.register_forward_hook(count) for each in model.modules() if isinstance(each, Neurons)]
        try:
            measures = super().evaluate(model, data, part, batch, pause)
        finally:
            for hook in hooks:
                hook.remove()
        return {**measures, "spikes": spikes.item() / self.examples(data, part)}

    def learned(self, measures: dict[str, float], data: Dataset) -> bool:
        """Whether the net beats chance by spikes: one without neurons, or whose neurons are silent, does not."""
        return measures["spikes"] > 0 and super().learned(measures, data)

    def memory(self, data: Dataset, batch: int) -> int | None:
        return super().memory(data, batch * self.options.steps)
