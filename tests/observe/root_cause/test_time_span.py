"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.core.errors import BadRequest
from roadworthy.observe.root_cause.time_span import span

# A Thursday, at two in the afternoon.
NOW = datetime(2026, 11, 5, 14, 0, tzinfo=UTC).timestamp()


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("begin", "end", "since", "until"),
    [
        ("03:00", "03:20", "2026-11-05T03:00+00:00", "2026-11-05T03:20+00:00"),
        ("03:00:30", "03:20", "2026-11-05T03:00:30+00:00", "2026-11-05T03:20+00:00"),
        ("23:50", "00:10", "2026-11-04T23:50+00:00", "2026-11-05T00:10+00:00"),
        ("15:00", "15:30", "2026-11-04T15:00+00:00", "2026-11-04T15:30+00:00"),
        ("yesterday 03:00", "03:20", "2026-11-04T03:00+00:00", "2026-11-04T03:20+00:00"),
        ("yesterday", "today", "2026-11-04T00:00+00:00", "2026-11-05T00:00+00:00"),
        ("Monday 03:00", "04:00", "2026-11-02T03:00+00:00", "2026-11-02T04:00+00:00"),
        ("2026-10-31 03:00", "03:20", "2026-10-31T03:00+00:00", "2026-10-31T03:20+00:00"),
        ("2026-10-31T03:00+02:00", "2026-10-31T03:20+02:00", "2026-10-31T03:00+02:00", "2026-10-31T03:20+02:00"),
        ("2026-10-31", "2026-11-01", "2026-10-31T00:00+00:00", "2026-11-01T00:00+00:00"),
        ("2h ago", "1h ago", "2026-11-05T12:00+00:00", "2026-11-05T13:00+00:00"),
        ("90m", "now", "2026-11-05T12:30+00:00", "2026-11-05T14:00+00:00"),
        ("03:00", "", "2026-11-05T03:00+00:00", "2026-11-05T14:00+00:00"),
        ("03:00 Europe/Zurich", "03:20 Europe/Zurich", "2026-11-05T03:00+01:00", "2026-11-05T03:20+01:00"),
        ("13:50", "14:30", "2026-11-05T13:50+00:00", "2026-11-05T14:00+00:00"),
    ],
)
def test_a_typed_stretch_is(begin, end, since, until):
    assert span(begin, end, NOW) == (at(since), at(until))


def test_a_time_is_in_the_zone_that_is_given():
    zone = ZoneInfo("America/New_York")
    assert span("03:00", "03:20", NOW, zone).since == at("2026-11-05T03:00-05:00")
    # The clocks of New York went back on the first: three o'clock the day before was four hours from Greenwich.
    assert span("2026-10-31 03:00", "03:20", NOW, zone).since == at("2026-10-31T03:00-04:00")


@pytest.mark.parametrize(
    ("begin", "end", "said"),
    [
        ("noon", "", "'noon' is no time; allowed: `03:00`"),
        ("25:00", "", "'25:00' is no time"),
        ("03:00 Mars/Olympus", "", "no time zone named 'Mars/Olympus'"),
        ("2027-01-01", "", "'2027-01-01' is in the future"),
        ("2026-10-31 04:00", "2026-10-31 03:00", "the end '2026-10-31 03:00' is not after the beginning"),
        ("", "", "'' is no time"),
        ("2026-13-45 03:00", "", "is no time"),
    ],
)
def test_what_is_no_stretch_is_refused_with_a_sentence(begin, end, said):
    with pytest.raises(BadRequest, match=said):
        span(begin, end, NOW)


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_is_typed_is_a_stretch_or_refused(begin, end):
    try:
        found = span(begin, end, NOW)
    except BadRequest:
        return
    assert found.since < found.until <= NOW
