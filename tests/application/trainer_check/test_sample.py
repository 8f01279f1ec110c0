"""The made dataset is one that trainers can read, and its bytes are the same every time."""

from __future__ import annotations

import pytest

from metaqnn_orch.application.trainer_check.sample import CLASSES, SIZE, TRAIN, sample
from metaqnn_trainer.contract.dataset import object_digest, read_info


def test_its_header_tells_what_it_is() -> None:
    made = sample()
    assert made.ref.digest == object_digest(made.data)
    assert read_info(made.data, "it") == made.info
    sample.cache_clear()
    assert sample() == made


def test_the_trainer_reads_it() -> None:
    pytest.importorskip("torch")
    from metaqnn_trainer.images.dataset import parse_dataset

    dataset = parse_dataset(sample().data, "it")
    assert dataset.train.images.shape == (TRAIN, 1, SIZE, SIZE)
    assert dataset.chance() == 1 / CLASSES
    values = dataset.train.images.float() / 255
    assert values.mean().item() == pytest.approx(dataset.mean.item(), abs=1e-4)
    assert values.std(correction=0).item() == pytest.approx(dataset.std.item(), abs=1e-4)
