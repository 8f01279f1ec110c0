"""A made landscape: accuracies for random nets of the SVHN space, where there is no record of trained ones.

It has what a search can learn from, in the shape that the paper describes and no more: nets of a middling size are
best, pooling at once is bad, wide receptive fields help, and a share of the nets, more of them the deeper they are and
most of those with global average pooling, never learn at all. It says nothing about any dataset.
"""

from __future__ import annotations

import csv
import hashlib
from math import exp, log10
from pathlib import Path
from random import Random

from metaqnn_orch.search.agent import Agent
from metaqnn_orch.search.q_table import QTable
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.spaces.cnn.layer import Shape, describe, total_cost
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.layers.gap import GAP
from metaqnn_trainer.spaces.cnn.layers.max_pool import Pool
from metaqnn_trainer.spaces.cnn.notation import parse_net

SVHN = Shape(3, 32)


def made_accuracy(text: str) -> float:
    """Between 0.1, which is chance, and 1. The same net has always the same."""
    net = parse_net(text)
    noise = Random(hashlib.sha256(text.encode()).digest())
    failing = 0.8 if any(isinstance(layer, GAP) for layer in net) else 1 / (1 + exp(9 - len(net)))
    if noise.random() < failing:
        return 0.1
    size = log10(1 + total_cost(describe(net, SVHN)).params)
    wide = sum(isinstance(layer, Conv) and layer.kernel > 1 for layer in net)
    early = sum(isinstance(layer, Pool) for layer in net[:2])
    accuracy = 0.85 - 0.05 * (size - 6.2) ** 2 + 0.03 * min(3, wide) - 0.05 * early + noise.gauss(0, 0.01)
    return min(1.0, max(0.1, accuracy))


def write_landscape(path: Path, nets: int = 1000) -> Path:
    """A table of random nets, for the table launcher."""
    settings = load_settings("svhn", {}, [], {}).settings
    agent, rng = Agent(settings.state_space(), QTable()), Random(0)
    found = dict.fromkeys(agent.propose(1.0, rng) for _ in range(nets))
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["net", "accuracy"])
        rows.writerows((net, f"{made_accuracy(net):.4f}") for net in found)
    return path
