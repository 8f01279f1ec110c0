"""Fashion-MNIST."""

from __future__ import annotations

from functools import partial

from metaqnn_trainer.sources.idx import FILES, IdxSet, read_idx_set
from metaqnn_trainer.sources.torchvision_sets import TorchvisionSet

SET = IdxSet(
    "Fashion-MNIST",
    "FashionMNIST",
    ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"],
)
PLUGIN = TorchvisionSet("Fashion-MNIST", "FashionMNIST", FILES, from_files=partial(read_idx_set, SET))
