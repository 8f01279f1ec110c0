"""Memory foreseen from shapes, against what torch allocates."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from metaqnn_trainer.contract.messages import DatasetRef, ModelOptions, Recipe, TrialSpec
from metaqnn_trainer.modules.model import build_model
from metaqnn_trainer.spaces.cnn.layer import Shape
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.training.memory_estimate import evaluation_batch, training_memory
from metaqnn_trainer.training.recipe import dropout_probabilities

SHAPE = Shape(3, 32)
DEEP = "[C(64,1,1), C(64,1,1), C(64,1,1), C(64,1,1), C(64,1,1), C(64,1,1), SM(10)]"


def spec_of(net: str, recipe: Recipe | None = None, **model: Any) -> TrialSpec:
    ref = DatasetRef(name="x", digest="0" * 16)
    return TrialSpec(net=net, dataset=ref, image_size=32, model=ModelOptions(**model), recipe=recipe or Recipe())


def allocated(spec: TrialSpec, batch: int) -> int:
    """The most bytes that torch's allocator had given out at once, over two steps."""
    net = parse_net(spec.net)
    dropout = dropout_probabilities(net, spec.recipe)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        model = build_model(net, SHAPE, spec.model, dropout, torch.Generator())
        optimizer = torch.optim.Adam(model.parameters(), fused=True)
        images = torch.rand(batch, *SHAPE[:1], 32, 32).contiguous(memory_format=torch.channels_last)
        for _ in range(2):
            optimizer.zero_grad()
            F.cross_entropy(model(images), torch.zeros(batch, dtype=torch.int64)).backward()
            optimizer.step()
    assert profiler.profiler is not None
    assert profiler.profiler.kineto_results is not None
    moments = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for moment in sorted(moments, key=lambda moment: moment.start_ns()):
        now += moment.nbytes()
        most = max(most, now)
    return most


@pytest.mark.parametrize("model", [{}, {"batch_norm": True}, {"activation": "elu"}])
@pytest.mark.parametrize("dropout", ["every_second", "none"])
@pytest.mark.parametrize(
    "net",
    [
        "[C(64,3,1), P(2,2), SM(10)]",
        "[C(64,3,1), C(64,3,1), P(3,2), C(128,3,1), FC(128), SM(10)]",
        "[C(128,5,1), C(64,1,1), P(2,2), C(64,3,1), GAP(10), SM(10)]",
        "[C(128,3,1), P(5,3), C(64,3,1), P(2,2), FC(128), SM(10)]",
        "[C(256,1,1), C(64,1,1), SM(10)]",
        "[C(64,5,2), P(3,2), C(512,1,1), SM(10)]",
        "[FC(512), FC(512), SM(10)]",
        "[P(2,2), C(64,3,1), P(3,2), SM(10)]",
        "[P(3,2), FC(64), SM(10)]",
        "[AP(2,2), P(2,2), C(64,3,1), C(64,1,1), SM(10)]",
        DEEP,
        "[C(64,3,1), BN(), C(64,3,1), BN(), SM(10)]",
        "[C(64,3,1), AP(2,2), C(64,3,1), AP(3,2), SM(10)]",
        "[DSC(64,3,1), DSC(64,3,1), DSC(128,3,2), GAP(10), SM(10)]",
        "[RES(64,3,1), RES(64,3,1), RES(128,3,2), SM(10)]",
    ],
)
def test_training_takes_at_least_the_estimate_and_at_most_a_half_more(net: str, dropout: Any, model: Any) -> None:
    spec = spec_of(net, Recipe(dropout=dropout), **model)
    taken = allocated(spec, 16)
    assert taken / 1.5 <= training_memory(spec, SHAPE, 16).total <= taken


def test_the_parts() -> None:
    memory = training_memory(spec_of("[FC(64), SM(10)]", Recipe(dropout="none")), Shape(1, 4), 8)
    parameters = 4 * (16 * 64 + 64 + 64 * 10 + 10)
    assert memory[:2] == (parameters, 2 * parameters)
    # At the first activation function: the image, its flat copy, 64 units and their gradients on both sides; and the
    # gradients of the last layer's parameters.
    assert memory.backward == 8 * 4 * (16 + 16 + 64 + 2 * 64) + 4 * (64 * 10 + 10)
    assert memory.total == sum(memory)
    for momentum, slots in ((0.9, 1), (0.0, 0)):
        recipe = Recipe(optimizer="sgd", momentum=momentum)
        memory = training_memory(spec_of("[FC(64), SM(10)]", recipe), Shape(1, 4), 8)
        assert memory.optimizer == slots * parameters


def test_bfloat16_takes_half_of_what_a_layer_keeps() -> None:
    spec = spec_of(DEEP)
    memory, low = training_memory(spec, SHAPE, 128), training_memory(spec, SHAPE, 128, 2)
    assert low[:2] == memory[:2]
    assert low.backward == pytest.approx(memory.backward / 2, rel=0.01)


def test_evaluation_takes_no_more_than_training() -> None:
    spec = spec_of(DEEP)
    batch = evaluation_batch(spec, SHAPE, 128, 10_000)
    # Two layers' numbers an image, of the seven and more that training keeps.
    assert batch * 2 * 64 * 32**2 * 4 <= training_memory(spec, SHAPE, 128).backward
    assert 128 < batch < 1000
    assert evaluation_batch(spec, SHAPE, 128, 200) == 200
    assert evaluation_batch(spec_of("[SM(10)]"), SHAPE, 1, 1) == 1
