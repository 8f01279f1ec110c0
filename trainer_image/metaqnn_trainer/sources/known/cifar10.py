"""CIFAR-10."""

from __future__ import annotations

from metaqnn_trainer.sources.torchvision_sets import TorchvisionSet

PLUGIN = TorchvisionSet("CIFAR-10", "CIFAR10", "cifar-10-batches-py/, from cifar-10-python.tar.gz")
