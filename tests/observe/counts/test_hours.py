from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sketch import Sketch
from roadworthy.observe.counts.hours import WEEK, alarm_bound, deviation, metric_of, usual, weeks_before
from roadworthy.observe.counts.rollups import Columns, Series, Sketched

RNG = np.random.default_rng(0)


def habit(weeks: int, spread: float = 0.1, *shape: int) -> np.ndarray:
    shape = (*shape, weeks * WEEK)
    return np.tile(np.sin(np.arange(WEEK)), weeks) + np.random.default_rng(1).normal(0, spread, shape)


def test_what_is_usual_is_the_median_of_the_same_hour_of_each_week():
    past = habit(3, 0.0)
    past[5] = 99.0
    found = usual(past, np.ones_like(past))
    assert found.middle == pytest.approx(np.sin(np.arange(WEEK)))


def test_the_spread_is_that_of_the_noise():
    past = habit(5, 0.1)
    assert usual(past, np.ones_like(past)).spread == pytest.approx(np.full(24, 0.11), rel=0.35)


def test_many_seeds_at_once_are_each_seed_by_itself():
    past = habit(4, 0.1, 3)
    weight = np.ones_like(past)
    together = usual(past, weight)
    for seed in range(3):
        alone = usual(past[seed], weight[seed])
        assert np.array_equal(alone.spread, together.spread[seed])
        assert np.array_equal(alone.past, together.past[seed])
        assert alarm_bound(np.abs(alone.past), 1e-4) == alarm_bound(np.abs(together.past), 1e-4)[seed]
        assert (
            deviation(past[seed, 7], weight[seed, 7], alone, 7)
            == deviation(past[:, 7], weight[:, 7], together, 7)[seed]
        )


def test_hours_that_say_nothing_are_left_out():
    past = habit(4, 0.1)
    gaps = past.copy()
    gaps[RNG.integers(0, len(past), 60)] = np.nan
    whole, holed = (usual(p, np.ones_like(p)) for p in (past, gaps))
    assert holed.spread == pytest.approx(whole.spread, rel=0.3)
    assert np.isfinite(alarm_bound(np.abs(holed.past), 1e-4))
    nothing = usual(np.full(3 * WEEK, np.nan), np.ones(3 * WEEK))
    assert np.isnan(alarm_bound(nothing.past, 1e-4))


@pytest.mark.parametrize("law", ["normal", "laplace"])
def test_the_bound_is_exceeded_about_as_rarely_as_it_says(law):
    draws = getattr(np.random.default_rng(3), law)(0, 1, (200, 840))
    fresh = np.abs(getattr(np.random.default_rng(4), law)(0, 1, (200, 840)))
    share = (fresh > alarm_bound(np.abs(draws), 1e-3)[:, None]).mean()
    assert 1e-5 < share < 2.5e-3


def test_a_few_incidents_in_the_past_do_not_blow_up_the_bound():
    past = np.abs(np.random.default_rng(5).normal(0, 1, 840))
    spoilt = past.copy()
    spoilt[:8] = 50.0
    assert alarm_bound(spoilt, 1e-4) < 1.3 * alarm_bound(past, 1e-4)


def hourly(hours: int = 3) -> Series:
    at = np.arange(hours) * 3600
    requests = np.array([100.0, 0.0, 50.0])
    bodies = [Sketch.of([0.1] * 99 + [2.0]).to_bytes(), Sketch.of([0.5]).to_bytes()]
    output = Columns(requests, requests * 0.3, requests * 0.09)
    counts = {"requests": requests, "failed": np.array([1.0, 0.0, 10.0])}
    seconds = {"total": Sketched(np.array([0, 2]), bodies)}
    return Series(0, 3600 * hours, at, np.full(hours, 3600), counts, {"outputs.p": output}, seconds)


def test_metrics_are_what_people_call_them():
    series = hourly()
    assert metric_of(series, "traffic", 0, 3).value.tolist() == [100, 0, 50]
    errors = metric_of(series, "errors", 0, 3)
    assert errors.value[[0, 2]].tolist() == [0.01, 0.2]
    assert np.isnan(errors.scaled[1])
    assert metric_of(series, "p99", 0, 3).value[0] == pytest.approx(0.1, rel=0.011)
    assert metric_of(series, "p99", 0, 3).unit == "s"
    output = metric_of(series, "outputs.p", 0, 3).value
    assert output[0] == pytest.approx(0.3)
    assert np.isnan(output[1])
    assert np.isnan(metric_of(series, "confidence", 0, 3).value).all()


def test_whole_weeks_are_counted_from_the_first_whole_hour():
    at = np.array([1800, 3600 * 500])
    series = Series(0, 1e9, at, np.full(2, 3600), {"requests": np.ones(2)})
    assert weeks_before(series, WEEK, 5) == 0
    assert weeks_before(series, WEEK + 1, 5) == 1
    assert weeks_before(series, 99 * WEEK, 5) == 5
    assert weeks_before(Series(0, 1, np.zeros(0, np.int64), np.zeros(0, np.int64)), 900, 5) == 0
