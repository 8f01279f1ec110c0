"""Times as programs write them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.replay.moments import UNKNOWN, read_moment

WHOLE = datetime(2019, 5, 3, 11, 22, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "1556882530",
        "1556882530.0",
        " 1.55688253e9 ",
        "1556882530000",  # milliseconds
        "1556882530000000",
        "1556882530000000000",  # as pandas keeps times
        "2019-05-03 11:22:10",
        "2019-05-03T11:22:10",
        "2019-05-03T11:22:10Z",
        "2019-05-03T11:22:10.000000000Z",  # as numpy writes times
        "2019-05-03 11:22:10 UTC",
        "2019-05-03 11:22:10+00:00",
        "2019-05-03 13:22:10+0200",
        "2019-05-03 13:22:10 +02:00",
        "2019-05-03 11:22:10,000",  # as logs have them
        "2019-5-3 11:22:10",
        "2019/05/03 11:22:10",
        "20190503T112210Z",
        "Fri May  3 11:22:10 2019",  # C's
        "Fri May  3 11:22:10 UTC 2019",  # date's
        "Fri, 03 May 2019 11:22:10 GMT",
        "Fri, 03 May 2019 13:22:10 +0200",
    ],
)
def test_the_same_moment_in_every_usual_way(text: str) -> None:
    assert read_moment(text) == WHOLE


def test_parts_of_a_second_and_days() -> None:
    assert read_moment("1480000000.1") == datetime(2016, 11, 24, 15, 6, 40, 100_000, tzinfo=UTC)
    assert read_moment("2019-05-03 11:22:10.25") == WHOLE.replace(microsecond=250_000)
    assert read_moment("2019-05-03") == WHOLE.replace(hour=0, minute=0, second=0)
    assert read_moment("2019-05-03 11:22") == WHOLE.replace(second=0)


@pytest.mark.parametrize("text", ["", "  ", "-1", "-1.0", "0", "0.0", "NaN", "NaT", "None", "unknown", "n/a"])
def test_no_time_is_unknown(text: str) -> None:
    assert read_moment(text) == UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        *("soon", "inf", "1e30", "-1e300", "1e999", "2019-13-01", "2019-05-32 11:22:10", "2019-05-03 25:00:00"),
        *("05/03/2019 11:22", "03.05.2019 11:22:10", "11:22:10", "0001-01-01T00:00:00+14:00", "\0", "½", "Fri"),
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        read_moment(text)


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{1,4}[-/.:T ][-0-9:T+Z ,.]{0,30}", fullmatch=True))
def test_any_text_is_a_moment_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert read_moment(text).tzinfo is UTC


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2999, 1, 1)))
def test_what_python_writes_is_read(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    assert read_moment(moment.isoformat()) == read_moment(str(moment)) == moment
    assert abs((read_moment(repr(moment.timestamp())) - moment).total_seconds()) < 1e-5
