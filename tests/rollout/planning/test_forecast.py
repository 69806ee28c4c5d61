"""What recent rows say of the traffic to come: the daily cycle, labels that are late, hours until there are enough."""

from __future__ import annotations

import math
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.rollout.planning.forecast import HOUR, Forecast, forecast

DAY = 24 * HOUR
T0 = 1_000 * DAY  # midnight in UTC


def rows(at: list[float], delay_hours: float | None = None, known_until: float = math.inf) -> Window:
    def known(t: float) -> float | None:
        late = None if delay_hours is None else t + HOUR * delay_hours
        return late if late is not None and late <= known_until else None

    made = [
        Record(f"r{k}", t, "d", "stable", {}, {}, label=None if known(t) is None else 1.0, label_at=known(t))
        for k, t in enumerate(at)
    ]
    return Window.of_all(made)


def busy_by_day() -> list[float]:
    """Ten days: 100 requests an hour from 8 to 18, and 4 in the other hours."""
    hours = ((day, hour, 100 if 8 <= hour < 18 else 4) for day in range(10) for hour in range(24))
    return [T0 + day * DAY + (hour + (k + 0.5) / n) * HOUR for day, hour, n in hours for k in range(n)]


@pytest.fixture(scope="module")
def busy() -> Forecast:
    return forecast(rows(busy_by_day()), T0 + 10 * DAY, span=(T0, T0 + 10 * DAY))


def test_each_hour_of_the_day_has_its_own_rate(busy: Forecast) -> None:
    assert busy.hourly[7] == pytest.approx(4)
    assert busy.hourly[8] == pytest.approx(100)
    assert busy.requests_an_hour == pytest.approx((10 * 100 + 14 * 4) / 24)


def test_the_same_count_takes_longer_when_it_begins_at_night(busy: Forecast) -> None:
    assert busy.hours_until_requests(100, T0 + 8 * HOUR) == pytest.approx(1.0)
    assert busy.hours_until_requests(100, T0 + 18 * HOUR) == pytest.approx(14 + 0.44)
    assert busy.hours_until_requests(10 * 1056, T0 + 3 * HOUR) == pytest.approx(240)


def test_hours_of_the_day_are_those_of_the_zone() -> None:
    there = forecast(rows(busy_by_day()), T0 + 10 * DAY, ZoneInfo("Asia/Tokyo"), (T0, T0 + 10 * DAY))
    assert there.hourly[17] == pytest.approx(100)
    assert there.hourly[12] == pytest.approx(4)
    # Whatever the clock is called, the requests come when they come.
    assert there.requests(T0 + 8 * HOUR, T0 + 9 * HOUR) == pytest.approx(100)


def test_hours_that_were_not_seen_get_the_mean() -> None:
    seen = forecast(rows([T0 + 60.0 * k for k in range(360)]), T0 + 6 * HOUR, span=(T0, T0 + 6 * HOUR))
    assert seen.hourly.tolist() == pytest.approx([60.0] * 24)
    assert seen.span_hours == 6


def test_requests_count_once_however_many_rows_they_have() -> None:
    twice = [Record(f"r{k}.{row}", T0 + 60.0 * k, "d", "stable", {}, {}) for k in range(120) for row in range(2)]
    assert forecast(Window.of_all(twice), T0 + 2 * HOUR).rows == 120


def test_labels_that_are_still_to_come_do_not_count_as_missing() -> None:
    at = [T0 + 60.0 * k for k in range(24 * 60)]
    now = T0 + DAY
    found = forecast(rows(at, delay_hours=6.0, known_until=now), now, span=(T0, now))
    assert found.labelled == pytest.approx(1.0, abs=0.01)
    assert found.delay(0.5) == pytest.approx(6.0)
    assert found.labels(now, now + 6 * HOUR) == 0
    assert found.labels(now, now + 8 * HOUR) == pytest.approx(120, rel=0.01)
    assert found.hours_until_labels(60, now) == pytest.approx(7.0, rel=0.01)


def test_what_never_comes_takes_for_ever() -> None:
    none = forecast(rows([T0, T0 + HOUR]), T0 + HOUR)
    assert none.labels_an_hour == 0
    assert none.hours_until_labels(1, T0) == math.inf
    assert none.hours_until_requests(math.inf, T0) == math.inf
    assert none.hours_until_labels(0, T0) == 0
    assert not np.isnan(none.delay(0.9))
