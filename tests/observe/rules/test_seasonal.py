from __future__ import annotations

import numpy as np
import pytest

from roadworthy.observe.counts.hours import WEEK
from roadworthy.observe.counts.rollups import Columns, Series
from roadworthy.observe.rules.seasonal import Seasonal

START = 1_699_488_000  # a whole hour


def hours(n: int, seed: int = 0, last: float = 1.0, error: float = 0.01, last_error: float | None = None) -> Series:
    """Hours of a daily cycle; the last one has `last` times the traffic."""
    rng = np.random.default_rng(seed)
    mean = 1000 * (1.5 + np.sin(np.arange(n) * 2 * np.pi / 24))
    requests = rng.poisson(mean * np.exp(rng.normal(0, 0.05, n))).astype(float)
    requests[-1] *= last
    share = np.full(n, error)
    share[-1] = error if last_error is None else last_error
    failed = rng.binomial(requests.astype(int), share).astype(float)
    output = requests * (0.3 + 0.1 * (last != 1.0) * (np.arange(n) == n - 1))
    at = START + 3600 * np.arange(n)
    counts = {"requests": requests, "failed": failed}
    numbers = {"outputs.p": Columns(requests, output, output)}
    return Series(START, START + 3600 * n, at, np.full(n, 3600), counts, numbers)


def asked(rule: Seasonal, series: Series):
    return rule(series, series.until + 90)


def test_an_hour_like_others_passes():
    decisions = [asked(Seasonal(), hours(4 * WEEK, seed)).decision for seed in range(10)]
    assert decisions.count("pass") >= 8
    assert "fail" not in decisions


@pytest.mark.parametrize("times", [0.4, 2.5])
def test_traffic_that_is_not_like_this_hour_alarms_either_way(times):
    verdict = asked(Seasonal(), hours(4 * WEEK, last=times))
    assert verdict.decision == "fail"
    assert verdict.because.startswith("traffic of the last hour is ")
    assert [m.name for m in verdict.evidence] == ["traffic", "usual_traffic", "z"]


def test_more_errors_alarm_and_fewer_do_not():
    assert asked(Seasonal("errors"), hours(4 * WEEK, last_error=0.05)).decision == "fail"
    assert asked(Seasonal("errors"), hours(4 * WEEK, last_error=0.0)).decision != "fail"


def test_a_mean_output_that_moves_alarms():
    assert asked(Seasonal("outputs.p"), hours(4 * WEEK, last=1.001)).decision == "fail"
    assert asked(Seasonal("outputs.p"), hours(4 * WEEK)).decision == "pass"


def test_a_change_that_is_certain_but_small_is_none():
    series = hours(4 * WEEK, last=1.5)
    assert asked(Seasonal(least=0.05), series).decision == "fail"
    assert asked(Seasonal(least=0.9), series).decision == "wait"


def test_it_waits_until_there_are_three_weeks():
    assert asked(Seasonal(), hours(3 * WEEK, last=9.0)).decision == "wait"
    assert asked(Seasonal(), hours(3 * WEEK + 1, last=9.0)).decision == "fail"
    assert "2 of 3 weeks" in asked(Seasonal(), hours(3 * WEEK)).because


def test_the_verdict_is_the_same_all_hour_long():
    series = hours(4 * WEEK, last=2.5)
    assert {Seasonal()(series, series.until + s).because for s in (0, 1800, 3599)} == {
        asked(Seasonal(), series).because
    }


def test_what_was_never_measured_waits():
    assert asked(Seasonal("p99"), hours(4 * WEEK)).decision == "wait"
    assert asked(Seasonal("confidence"), hours(4 * WEEK)).decision == "wait"


def test_fewer_than_three_weeks_cannot_be_asked_for():
    with pytest.raises(ValueError, match="least_weeks"):
        Seasonal(least_weeks=2)
