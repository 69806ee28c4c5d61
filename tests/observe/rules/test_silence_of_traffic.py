from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import nbinom

from roadworthy.observe.counts.hours import WEEK
from roadworthy.observe.counts.rollups import Series
from roadworthy.observe.rules.silence_of_traffic import SilenceOfTraffic, chance_of_none, usual_of

NOW = 1_700_000_000.0 - 1_700_000_000 % 3600 + 1800


def traffic(silent_minutes: int, an_hour: float = 3000.0, weeks: int = 3, nightly: bool = False) -> Series:
    """Hours of the weeks before, then the minutes of the last one and a half hours."""
    begin = int(NOW) // 3600 - WEEK * weeks - 1
    hours = np.arange(begin, int(NOW) // 3600 - 1)
    requests = np.where(nightly & (hours % 24 == int(NOW) // 3600 % 24), 0.0, an_hour)
    minutes = (np.arange(90 - silent_minutes) * 60 + (int(NOW) // 3600 - 1) * 3600).astype(np.int64)
    at = np.concatenate([hours * 3600, minutes])
    span = np.concatenate([np.full(len(hours), 3600), np.full(len(minutes), 60)])
    counts = {"requests": np.concatenate([requests, np.full(len(minutes), an_hour / 60)])}
    return Series(float(at[0]), NOW, at, span, counts)


def asked(series: Series, now: float = NOW, **settings):
    return SilenceOfTraffic(**settings)(series, now)


def test_five_silent_minutes_of_a_busy_service_alarm():
    assert asked(traffic(4)).decision == "wait"
    verdict = asked(traffic(5))
    assert verdict.decision == "fail"
    assert verdict.because == "no request for 5 minutes, where 3000 an hour are usual"


def test_a_quiet_service_may_be_silent_for_longer():
    assert asked(traffic(30, an_hour=20.0)).decision == "wait"
    assert asked(traffic(30, an_hour=3000.0)).decision == "fail"


def test_an_hour_that_is_always_silent_is_no_alarm():
    assert asked(traffic(30, nightly=True)).decision == "wait"


def test_requests_that_come_pass():
    assert asked(traffic(0)).decision == "pass"
    assert asked(traffic(1)).decision == "pass"


def test_less_than_a_week_waits():
    assert asked(traffic(30, weeks=0)).decision == "wait"


def test_bursty_traffic_may_be_silent_for_longer():
    assert asked(traffic(5), steadiness=1.0).decision == "wait"


def test_the_chance_of_none_is_that_of_a_negative_binomial():
    assert chance_of_none(12.0, 4.0) == pytest.approx(nbinom.pmf(0, 4, 4 / (4 + 12)))


def test_the_least_usual_of_three_hours_counts():
    past = np.tile(np.arange(WEEK, dtype=float) + 10, 3)
    past[1] = 0.0
    assert usual_of(past) == 10.0
