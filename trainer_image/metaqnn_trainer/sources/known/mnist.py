"""MNIST."""

from __future__ import annotations

from functools import partial

from metaqnn_trainer.sources.idx import FILES, IdxSet, read_idx_set
from metaqnn_trainer.sources.torchvision_sets import TorchvisionSet

SET = IdxSet("MNIST", "MNIST", [str(digit) for digit in range(10)])
PLUGIN = TorchvisionSet("MNIST", "MNIST", FILES, from_files=partial(read_idx_set, SET))
