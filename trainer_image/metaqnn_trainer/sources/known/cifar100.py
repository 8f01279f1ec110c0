"""CIFAR-100."""

from __future__ import annotations

from metaqnn_trainer.sources.torchvision_sets import TorchvisionSet

PLUGIN = TorchvisionSet("CIFAR-100", "CIFAR100", "cifar-100-python/, from cifar-100-python.tar.gz")
