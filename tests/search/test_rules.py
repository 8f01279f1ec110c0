from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_trainer.spaces.cnn.choices import LogSpaced
from metaqnn_trainer.spaces.cnn.layers.conv import ConvolutionRules
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FullyConnectedRules
from metaqnn_trainer.spaces.cnn.layers.max_pool import PoolingRules
from metaqnn_trainer.spaces.cnn.rules import SpaceRules


def space(**changes: object) -> Callable[[], SpaceRules]:
    values = {"image_size": 32, "channels": 3, "classes": 10} | changes
    return lambda: SpaceRules(**values)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (space(image_size=0), "image_size must be between 1 and 4096"),
        (space(image_size=4097), "image_size must be between 1 and 4096"),
        (space(channels=0), "channels must be between 1 and 64"),
        (space(classes=1), "classes must be between 2 and 65536"),
        (space(max_layers=0), "max_layers must be between 1 and 100"),
        (space(max_layers=101), "max_layers must be between 1 and 100"),
        (space(size_buckets=(8, 4)), "size_buckets must be falling numbers, the last of them 1"),
        (space(size_buckets=(4, 8, 1)), "size_buckets must be falling numbers, the last of them 1"),
        (space(size_buckets=(8, 8, 1)), "size_buckets must be falling numbers, the last of them 1"),
        (space(terminations=()), "terminations must be GAP, SM or both"),
        (space(terminations=("SM", "SM")), "terminations has a layer twice"),
        (space(max_params=0), "a limit must be at least 1"),
        (space(max_macs=-1), "a limit must be at least 1"),
        (lambda: ConvolutionRules(filters=()), "filters must have at least one value"),
        (lambda: ConvolutionRules(filters=(64, 64)), "filters has a value twice"),
        (lambda: ConvolutionRules(kernels=(0,)), "kernels must be between 1 and 65536"),
        (lambda: ConvolutionRules(strides=(65_537,)), "strides must be between 1 and 65536"),
        (lambda: PoolingRules(), "give either shapes, or both kernels and strides"),
        (lambda: PoolingRules(kernels=(2,)), "give either shapes, or both kernels and strides"),
        (lambda: PoolingRules(shapes=((2, 2),), strides=(2,)), "give either shapes, or both kernels and strides"),
        (
            lambda: PoolingRules(shapes=((2, 2),), kernels=(2,), strides=(2,)),
            "give either shapes, or both kernels and strides",
        ),
        (lambda: PoolingRules(shapes=((2, 0),)), "shapes must be between 1 and 65536"),
        (lambda: PoolingRules(shapes=((2, 2), (2, 2))), "shapes has a pair twice"),
        (lambda: PoolingRules(kernels=(2, 2), strides=(1,)), "kernels has a value twice"),
        (lambda: FullyConnectedRules(units=(0,)), "units must be between 1 and 65536"),
        (lambda: FullyConnectedRules(max_layers=-1), "max_layers must not be negative"),
        (lambda: FullyConnectedRules(max_size=0), "max_size must be at least 1"),
        (lambda: LogSpaced(log_spaced=0), "log_spaced must be between 1 and 16"),
        (lambda: LogSpaced(log_spaced=17), "log_spaced must be between 1 and 16"),
    ],
)
def test_rules_that_cannot_be(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


def test_the_defaults_are_table_1() -> None:
    rules = SpaceRules(image_size=32, channels=3, classes=10)
    assert rules.convolution == ConvolutionRules(filters=(64, 128, 256, 512), kernels=(1, 3, 5), strides=(1,))
    assert rules.pooling == PoolingRules(shapes=((5, 3), (3, 2), (2, 2)))
    assert rules.fully_connected == FullyConnectedRules(units=(512, 256, 128), max_layers=2, max_size=7)
    assert (rules.max_layers, rules.size_buckets, rules.terminations) == (12, (8, 4, 1), ("GAP", "SM"))
    assert (rules.max_params, rules.max_macs) == (None, None)


@pytest.mark.parametrize(
    ("count", "low", "high", "values"),
    [
        (3, 2, 28, (2, 7, 28)),
        (3, 1, 7, (1, 3, 7)),
        (3, 1, 2, (1, 2)),
        (3, 2, 2, (2,)),
        (3, 2, 1, ()),
        (1, 2, 28, (2,)),
        (2, 2, 28, (2, 28)),
        (4, 1, 27, (1, 3, 9, 27)),
    ],
)
def test_log_spaced_values(count: int, low: int, high: int, values: tuple[int, ...]) -> None:
    assert LogSpaced(log_spaced=count).between(low, high) == values


@given(st.integers(1, 16), st.integers(1, 4096), st.integers(1, 4096))
def test_log_spaced_values_rise_within_their_bounds(count: int, low: int, high: int) -> None:
    values = LogSpaced(log_spaced=count).between(low, high)
    assert list(values) == sorted(set(values))
    assert len(values) <= count
    if high >= low:
        assert values[0] == low
        assert values[-1] == (high if count > 1 else low)
    else:
        assert values == ()
