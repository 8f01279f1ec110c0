"""What journals of earlier releases say, in the words of today."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.control.events import Opened, Recalled, Told, decode_entry, encode_entry
from metaqnn_orch.errors import JournalError

OLD = {
    "type": "told",
    "at": "now",
    "trial": "0" * 12,
    "attempt": 1,
    "status": "completed",
    "val_accuracy": 0.75,
    "params": 1,
    "macs": 2,
    "seconds": 3.0,
    "curve": [0.5, 0.75],
}
HEAD = {"type": "entry", "schema_version": 1, "session": "s", "events": 1}


def read(event: dict[str, object]) -> Told | Opened:
    lines = [json.dumps(HEAD), json.dumps(event)]
    (found,) = decode_entry("\n".join(lines).encode(), "entry")
    assert isinstance(found, Told | Opened)
    return found


def test_an_accuracy_was_the_reward_and_a_measure() -> None:
    found = read(OLD)
    assert isinstance(found, Told)
    assert (found.reward, found.measures, found.val_accuracy) == (0.75, {"accuracy": 0.75}, 0.75)
    assert found.curve == (0.5, 0.75)


def test_of_a_net_that_was_stopped_early_the_reward_was_foretold() -> None:
    prediction = {"accuracy": 0.75, "spread": 0.1, "best": 0.9}
    found = read({**OLD, "status": "stopped_early", "measured": 0.5, "prediction": prediction})
    assert isinstance(found, Told)
    assert (found.reward, found.measures, found.val_accuracy) == (0.75, {"accuracy": 0.5}, 0.75)


def test_a_budget_had_a_target_accuracy() -> None:
    old = {"type": "opened", "at": "", "session": "", "owner": "", "version": "", "goal": 1, "places": 3}
    found = read({**old, "budget": {"target_accuracy": 0.9, "gpu_hours": None}})
    assert isinstance(found, Opened)
    assert (found.budget.target, found.places) == (0.9, 3)
    again = read(json.loads(found.model_dump_json()))
    assert again == found
    assert read({**old, "budget": {"target_accuracy": None}}).budget.target is None  # type: ignore[union-attr]


@pytest.mark.parametrize("reward", [1e13, -1e13, "0.5", None, True])
def test_a_reward_is_a_number_within_bounds(reward: object) -> None:
    new = {name: value for name, value in OLD.items() if name != "val_accuracy"}
    with pytest.raises(JournalError, match="reward"):
        read({**new, "reward": reward})


@given(
    st.floats(-1e12, 1e12),
    st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True), st.floats(-1e39, 1e39), max_size=50),
    st.lists(st.floats(-1e12, 1e12), max_size=5),
)
def test_what_is_written_is_read_back(reward: float, measures: dict[str, float], curve: list[float]) -> None:
    told = Told(
        at="now",
        trial="0" * 12,
        attempt=1,
        status="completed",
        reward=reward,
        measures=measures,
        params=1,
        macs=1,
        seconds=1.0,
        curve=tuple(curve),
    )
    recalled = Recalled(run="other", rows=(("[SM(10)]", reward),))
    assert decode_entry(encode_entry("s", [told, recalled]), "entry") == [told, recalled]
