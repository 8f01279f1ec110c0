"""Lower precision on a CPU, and what is made of the rewards."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from benchmarks.rounded import in_tf32, products_in
from torch import nn

from benchmarks import precision


def test_ten_bits_of_mantissa() -> None:
    ulp = 2.0**-10
    given = torch.tensor([1, 1 + ulp, 1 + ulp / 2, 1 + ulp / 4, -1 - ulp / 2, 0, -torch.inf, torch.nan])
    expected = torch.tensor([1, 1 + ulp, 1 + ulp, 1, -1 - ulp, 0, -torch.inf, torch.nan])
    assert torch.equal(in_tf32(given).nan_to_num(7), expected.nan_to_num(7))


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(4, 4, 3, groups=4), nn.Linear(6, 5)])
def test_tf32_rounds_every_factor_and_nothing_else(layer: nn.Conv2d | nn.Linear) -> None:
    torch.manual_seed(0)
    x = torch.randn((4, 6) if isinstance(layer, nn.Linear) else (4, layer.in_channels, 8, 8), requires_grad=True)
    with products_in("tf32"):
        found = layer(x)
    gradient = torch.randn_like(found)
    found.backward(gradient)

    exact = copy.deepcopy(layer).double()
    exact.weight.data = in_tf32(layer.weight.detach()).double()
    rounded = in_tf32(x.detach()).double().requires_grad_()
    expected = exact(rounded)
    expected.backward(in_tf32(gradient).double())
    torch.testing.assert_close(found, expected.float())
    assert (found - layer(x)).abs().max() > 1e-4
    for ours, theirs in ((x.grad, rounded.grad), (layer.weight.grad, exact.weight.grad)):
        assert ours is not None
        assert theirs is not None
        torch.testing.assert_close(ours, theirs.float(), rtol=1e-5, atol=1e-5)
    assert layer.bias is not None
    torch.testing.assert_close(layer.bias.grad, gradient.transpose(0, 1).reshape(len(layer.weight), -1).sum(1))


def test_the_other_contexts() -> None:
    layer, x = nn.Linear(3, 3), torch.randn(2, 3)
    with products_in("fp32"):
        assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
    with products_in("bf16"):
        assert layer(x).dtype == torch.bfloat16


def test_spearmans_correlation_with_ties() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(1)
    rewards = rng.integers(0, 6, (30, 3)).astype(float)
    correlation, apart, shared = precision.agreement(rewards)
    np.testing.assert_allclose(correlation, spearmanr(rewards).statistic)
    assert apart[0, 1] == np.abs(rewards[:, 0] - rewards[:, 1]).mean()
    np.testing.assert_array_equal(np.diag(shared), 1)
    assert precision.agreement(np.ones((5, 2)))[0].tolist() == [[0, 0], [0, 0]]


def test_a_study_that_is_cut_off_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--nets", "4", "--set", "recipe.epochs=1", "--set", "space.max_layers=2"]
    where = ["--kept", str(tmp_path / "kept"), "--to", str(tmp_path)]
    with pytest.raises(SystemExit):
        precision.main([*words, *where, "--at-most", "0"])
    assert "too few" in capsys.readouterr().err
    precision.main([*words, *where])
    assert "15/15" in capsys.readouterr().err
    written = json.loads((tmp_path / "precision-digits.json").read_text())
    found = written["found"]["all"]
    assert found["nets"] == 4
    assert found["alike"].keys() == {f"fp32 and {name}" for name in ("fp32", "tf32", "bf16")} | {"tf32 and bf16"}
    assert found["alike"]["fp32 and fp32"]["gain"] == [0, 0, 0]
    for of in found["alike"].values():
        for value, low, high in of.values():
            assert low <= value <= high
    rewards = {one["precision"]: one["reward"] for one in written["trained"]}
    assert len({one["trial"] for one in written["trained"]}) == 16
    assert rewards.keys() == {"fp32", "tf32", "bf16"}
