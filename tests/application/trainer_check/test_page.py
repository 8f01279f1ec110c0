"""The page about trainers: its rules of cost are the contract's, its programs are whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import DatasetRef, ModelOptions, TrialSpec
from metaqnn_trainer.spaces.cnn.spec import spec_cost
from tests.application.trainer_check.example import blocks

KINDS = ("C(8,3,1)", "C(16,5,2)", "C(4,1,3)", "P(2,2)", "P(3,2)", "P(5,3)")
TAILS = ("SM(10)", "FC(32), SM(10)", "FC(64), FC(8), SM(10)", "GAP(10), SM(10)")


def net_cost() -> Callable[..., tuple[int, int, int]]:
    names: dict[str, Any] = {}
    exec(compile(blocks()["net_cost.py"], "net_cost.py", "exec"), names)
    found: Callable[..., tuple[int, int, int]] = names["net_cost"]
    return found


@given(
    body=st.lists(st.sampled_from(KINDS), max_size=6),
    tail=st.sampled_from(TAILS),
    channels=st.sampled_from([1, 3]),
    size=st.integers(4, 40),
    batch_norm=st.booleans(),
    head=st.sampled_from(["paper", "code"]),
)
def test_its_rules_of_cost_are_the_contracts(
    body: list[str], tail: str, channels: int, size: int, batch_norm: bool, head: Any
) -> None:
    model = ModelOptions(batch_norm=batch_norm, gap_head=head)
    net = f"[{', '.join([*body, tail])}]"
    spec = TrialSpec(net=net, dataset=DatasetRef(name="x", digest="0" * 16), image_size=size, model=model)
    count = net_cost()
    try:
        wanted = spec_cost(spec, channels)
    except MessageError:
        with pytest.raises(ValueError, match="does not fit"):
            count(spec.net, channels, size, model.model_dump())
    else:
        assert count(spec.net, channels, size, model.model_dump()) == (*wanted, 10)


@pytest.mark.parametrize("layer", ["BN()", "RES(8,3,1)", "AP(2,2)"])
def test_kinds_that_it_has_no_rule_for_are_refused(layer: str) -> None:
    with pytest.raises(NotImplementedError, match="not known here"):
        net_cost()(f"[{layer}, SM(3)]", 1, 8, ModelOptions().model_dump())
