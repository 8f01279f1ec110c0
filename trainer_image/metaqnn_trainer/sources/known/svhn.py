"""SVHN."""

from __future__ import annotations

from metaqnn_trainer.sources.torchvision_sets import TorchvisionSet

PLUGIN = TorchvisionSet("SVHN", "SVHN", "train_32x32.mat and test_32x32.mat", ({"split": "train"}, {"split": "test"}))
