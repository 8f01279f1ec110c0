"""The loop that an expert writes by hand for one net on one GPU: images on the device, bf16, channels last, and the
whole step in one CUDA graph, from the choice of images to the optimiser. Nothing of the trainer's is used beside the
net."""

from __future__ import annotations

import time
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.plain_loop import plain_model
from metaqnn_trainer.contract.messages import Recipe
from metaqnn_trainer.spaces.cnn.layer import Net

_WARM_UP: Final = 11  # steps before recording


def train_by_hand(net: Net, recipe: Recipe, images: Tensor, labels: Tensor, epochs: int) -> list[float]:
    """Train on images (n, 3, 32, 32) uint8 and labels (n), which are on the GPU. Images a second of each epoch: whole
    batches, without an evaluation."""
    device, batch = images.device, recipe.batch_size
    steps = len(images) // batch
    model = plain_model(net, recipe).to(device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True, capturable=True
    )
    images = images.contiguous(memory_format=torch.channels_last)
    order = torch.randperm(len(images), device=device)
    places, counter = torch.arange(batch, device=device), torch.zeros((), dtype=torch.int64, device=device)
    total = torch.zeros((), device=device)

    def step() -> None:
        chosen = order[counter + places]
        inputs = images[chosen].float().sub_(127.5).div_(63.75)
        if recipe.mirror:
            inputs = torch.where(torch.rand(batch, 1, 1, 1, device=device) < 0.5, inputs.flip(3), inputs)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16):
            loss = F.cross_entropy(model(inputs.contiguous(memory_format=torch.channels_last)), labels[chosen])
        loss.backward()
        optimizer.step()
        total.add_(loss.detach())
        counter.add_(batch)

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        step()
    speeds = []
    for _ in range(epochs):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        order.copy_(torch.randperm(len(images), device=device))
        counter.zero_()
        for _ in range(steps):
            graph.replay()
        total.item()
        speeds.append(steps * batch / (time.perf_counter() - begun))
    return speeds
