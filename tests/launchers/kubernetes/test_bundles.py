"""Which trials share a Job, and what the state of the Job means for each: decided by pure functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.kubernetes.bundles import (
    LINGER,
    UNDER_WAY,
    KnownProgress,
    doubled,
    is_over,
    knows_no_bundles,
    observed,
    size_of_next,
)
from metaqnn_orch.launchers.kubernetes.names import Identity, RunRef
from metaqnn_orch.launchers.kubernetes.status import Status
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.work import OrderEnd

RUN = RunRef("run", "0" * 32)
TRIALS = tuple(Identity(RUN, f"{number:012x}", 1) for number in range(4))
ENDS = [phase for phase in Phase if phase not in UNDER_WAY]
STATUSES = st.sampled_from(list(Phase)).map(lambda phase: Status(phase, "as it is"))


def end(one: Identity, code: int = 0, seconds: float = 1.0) -> OrderEnd:
    return OrderEnd(trial=one.trial, attempt=one.attempt, exit_code=code, reason="why", seconds=seconds)


PROGRESSES = st.builds(
    lambda count, codes, is_read, heard, is_final: KnownProgress(
        {one: end(one, code) for one, code in zip(TRIALS[:count], codes, strict=False)},
        is_read=is_read or bool(count),
        heard=heard,
        is_final=is_final,
    ),
    st.integers(0, 4),
    st.lists(st.sampled_from([0, 11, 17, 200]), min_size=4, max_size=4),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@given(STATUSES, PROGRESSES, st.floats(0, 1e6))
def test_whatever_is_known_of_a_bundle(status: Status, progress: KnownProgress, seconds: float) -> None:
    seen = observed(TRIALS, status, progress, seconds)
    left = [one for one in TRIALS if one not in progress.ended]
    assert all(seen[one.trial].phase not in UNDER_WAY for one in progress.ended), "what has ended, has ended"
    assert sum(one.phase is Phase.RUNNING for one in seen.values()) <= 1
    assert all(one.attempt == 1 and one.seconds >= 0 for one in seen.values())
    if not (is_over(status) and progress.is_final and progress.is_read):
        assert len(seen) == 4, "while nothing is certain, nobody is given up"
        assert all(seen[one.trial].phase in UNDER_WAY for one in left)
    elif left:
        assert seen[left[0].trial].phase is status.phase, "every end of a Job is the end of one of its trials"
        assert not [one for one in left[1:] if one.trial in seen], "those behind it have not begun, and cost nothing"


def test_the_one_in_training_runs_and_the_others_say_what_they_wait_for() -> None:
    seen = observed(
        TRIALS, Status(Phase.RUNNING, "on node n"), KnownProgress({TRIALS[0]: end(TRIALS[0])}, is_read=True), 0
    )
    assert [seen[one.trial].phase for one in TRIALS] == [Phase.DELIVERED, Phase.RUNNING, Phase.PENDING, Phase.PENDING]
    assert seen[TRIALS[1].trial].detail == "on node n"
    assert seen[TRIALS[2].trial].detail == "waits for its turn in a Job of 4"


def test_a_lost_trial_ran_for_what_the_others_leave_of_the_time() -> None:
    progress = KnownProgress({one: end(one, seconds=30) for one in TRIALS[:2]}, is_read=True, heard=True, is_final=True)
    seen = observed(TRIALS, Status(Phase.DISRUPTED, "its node was lost"), progress, 100.0)
    assert seen[TRIALS[2].trial].seconds == 40
    assert TRIALS[3].trial not in seen


def test_how_an_order_ended_is_said_as_for_a_job_of_its_own() -> None:
    progress = KnownProgress({TRIALS[0]: end(TRIALS[0], ExitCode.BAD_REQUEST)}, is_read=True, heard=True)
    seen = observed(TRIALS, Status(Phase.RUNNING), progress, 0.0)[TRIALS[0].trial]
    assert (seen.phase, seen.detail) == (
        Phase.HOPELESS,
        "the trainer ended with exit code 11 (bad request): why",
    )


@given(st.integers(0, 300), st.floats(0, 10), st.integers(-3, 80), st.integers(2, 100))
def test_the_next_job_is_full_or_its_trials_have_waited(waiting: int, waited: float, room: int, together: int) -> None:
    size = size_of_next(waiting, waited, room, together)
    assert 0 <= size <= min(waiting, together)
    if room < 1 or not waiting:
        assert size == 0
    elif waiting >= together:
        assert size == together
    else:
        assert (size > 0) == (waited >= LINGER), "nobody waits for ever for others"


@given(st.integers(1, 300), st.integers(1, 80), st.integers(2, 100))
def test_what_is_left_is_spread_over_the_room_that_there_is(waiting: int, room: int, together: int) -> None:
    sizes = []
    while room and (size := size_of_next(waiting, LINGER, room, together)):
        sizes.append(size)
        waiting, room = waiting - size, room - 1
    last = [size for size in sizes if size < together]
    assert not last or max(last) - min(last) <= 1
    assert waiting == 0 or sizes == [together] * len(sizes)


@pytest.mark.parametrize(
    ("status", "progress", "code", "expected"),
    [
        (Phase.CRASHED, KnownProgress({}, is_read=True, is_final=True), 2, True),
        (Phase.DELIVERED, KnownProgress({}, is_read=True, is_final=True), 0, True),
        (Phase.HOPELESS, KnownProgress({}, is_read=True, is_final=True), 11, True),
        (Phase.CRASHED, KnownProgress({}, is_read=True, heard=True, is_final=True), 2, False),
        (Phase.CRASHED, KnownProgress({}, is_read=True), 2, False),
        (Phase.RUNNING, KnownProgress({}, is_read=True, is_final=True), None, False),
        (Phase.DISRUPTED, KnownProgress({}, is_read=True, is_final=True), None, False),
        (Phase.DISRUPTED, KnownProgress({}, is_read=True, is_final=True), 143, False),
        (Phase.CUT_OFF, KnownProgress({}, is_read=True, is_final=True), 15, False),
        (Phase.REFUSED, KnownProgress({}, is_read=True, is_final=True), 17, False),
        (Phase.CRASHED, KnownProgress({}, is_read=True, is_final=True), 137, False),
    ],
)
def test_which_end_shows_that_a_trainer_knows_no_bundles(
    status: Phase, progress: KnownProgress, code: int | None, expected: bool
) -> None:
    assert knows_no_bundles(Status(status), progress, code) is expected


def test_of_two_jobs_with_one_trial_the_younger_goes() -> None:
    a, b, c, d = TRIALS
    assert doubled({"x": ("t1", [a, b]), "y": ("t2", [c, d])}) == set()
    assert doubled({"x": ("t2", [a, b]), "y": ("t1", [b, c])}) == {"x"}
    assert doubled({"x": ("t1", [a, b]), "y": ("t1", [b, c])}) == {"y"}, "of the same second: by uid, as anyone sees it"
    assert doubled({"x": ("t1", [a]), "y": ("t2", [a, b]), "z": ("t3", [b])}) == {"y"}
    assert doubled({"x": ("t1", [a]), "y": ("t2", [a._replace(attempt=2)])}) == set(), "another attempt is another one"
