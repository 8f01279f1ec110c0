"""The benchmark of the trainer, made small, and the loop that it is compared with."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from metaqnn_trainer.contract.messages import ModelOptions, Recipe
from metaqnn_trainer.modules.model import build_model
from metaqnn_trainer.spaces.cnn.layer import Shape
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.training.recipe import dropout_probabilities

# Every process that collects tests imports what stands above; torchvision alone takes two seconds.


def test_what_training_takes(tmp_path: Path) -> None:
    from benchmarks.plain_loop import made, write_files

    from benchmarks import trainer

    case = trainer.CASES["small"]
    images, labels = made(500)
    spec = trainer.ask(tmp_path / "store", case, images, labels)
    ours = trainer.measured(partial(trainer.ours, tmp_path / "store", spec, 1), 1)
    write_files(tmp_path / "files", images, labels)
    plain = trainer.measured(partial(trainer.plain, tmp_path, case.net, 100, 0), 1)
    assert min(*ours, *plain) > 0
    assert (tmp_path / "1.pt").exists()
    found = {"small": {"net": case.net, "contenders": {trainer.OURS: trainer.summary([ours], [ours])}}}
    assert "| 1.00 (1.00 to 1.00) | 1.00 (1.00 to 1.00) |" in trainer.tables(found, 1)


def test_the_plain_loop_trains_the_same_net() -> None:
    from benchmarks.plain_loop import plain_model

    from benchmarks import trainer

    for case in trainer.CASES.values():
        net, recipe = parse_net(case.net), Recipe()
        ours = build_model(net, Shape(3, 32), ModelOptions(), dropout_probabilities(net, recipe), torch.Generator())
        plain = plain_model(net, recipe)
        assert [tuple(p.shape) for p in plain.parameters()] == [tuple(p.shape) for p in ours.parameters()]
        dropped, expected = ([m.p for m in model.modules() if "ropout" in type(m).__name__] for model in (plain, ours))
        assert dropped == expected
