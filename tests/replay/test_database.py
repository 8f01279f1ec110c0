"""The authors' replay database: each row that cannot be is refused by itself."""

from __future__ import annotations

import pytest

from metaqnn_orch.errors import BadInput
from tests.control.test_replay_import import FIRST, GOOD, THIRD, file_of, line, replay_of


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (line(THIRD, 86.0, 9), "accuracy_best_val is 86, which is not between 0 and 1"),
        (line(THIRD, "nan", 9), "accuracy_best_val is 'nan', which is not a number"),
        (line(THIRD, 0.5, "soon"), "ix_q_value_update is 'soon'"),
        (line(THIRD, 0.5, ""), "ix_q_value_update is ''"),
        (line(THIRD, -1.0, 9), "accuracy_best_val is -1, which is not between 0 and 1"),
        (line(THIRD, "", 9), "accuracy_best_val is '', which is not a number"),
        (line(THIRD, 0.5, 9, 1.5), "epsilon is 1.5"),
        (line(THIRD, 0.5, 9, time_finished="05/03/2019"), "time_finished is 05/03/2019, which is not a valid time"),
        (line(THIRD, 0.5, 9, time_finished=1e30), "time_finished is 1e+30, which is not a valid time"),
        (line("[SM(11)]", 0.5, 9), "the net is not in the space: layer 1, SM(11): the space has 10 classes"),
        (line("[P(2,2), SM(10)]", 0.5, 9), "the net is not in the space: layer 1, P(2,2)"),
        (line("[C(64,3,1)]", 0.5, 9), "the net is not valid"),
        (line("import os", 0.5, 9), "the net is not valid"),
        (line(FIRST, 0.7, 9), "its accuracy is 0.7, but an earlier row has 0.5 for this net"),
    ],
)
def test_a_row_that_cannot_be_is_refused_by_itself(bad: dict[str, object], reason: str) -> None:
    replay = replay_of(GOOD + file_of([bad]).split(b"\n", 1)[1])
    assert len(replay.presentations) == 4
    assert replay.refusals.count == 1
    assert replay.refusals.reasons[0].startswith(f"line 6: {reason}")


def test_a_file_without_a_usable_row_is_refused() -> None:
    with pytest.raises(BadInput, match="has no row that can be used") as caught:
        replay_of(file_of([line(FIRST, 86.0, 1), line(FIRST, 87.0, 2)]))
    assert "86" in caught.value.hint
    with pytest.raises(BadInput, match="has no row that can be used"):
        replay_of(GOOD.splitlines()[0])
