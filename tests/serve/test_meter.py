"""A meter counts; its histograms give percentiles to within their stated error, merged or not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.serve.meter import BOUNDS, RELATIVE_ERROR, Counts, Histogram, Meter


def histogram(values: list[float]) -> Histogram:
    found = Histogram.zero()
    for value in values:
        found = found.add(value)
    return found


@given(st.lists(st.floats(1e-6, BOUNDS[-1]), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_within_the_stated_error_of_the_true_one(values: list[float], share: float) -> None:
    got = histogram(values).percentile(share)
    true = sorted(values)[math.ceil(share * len(values)) - 1]
    assert got.low <= true * (1 + 1e-12)
    assert true <= got.high * (1 + 1e-12)
    assert got.value == pytest.approx(true, rel=RELATIVE_ERROR * 1.001)
    assert (got.n, got.unit, got.conditions["relative_error"]) == (len(values), "s", 0.0905)


def test_values_outside_of_the_buckets_are_bounded_from_one_side() -> None:
    below, above = histogram([0.0, -1.0]).percentile(0.5), histogram([1e9]).percentile(0.5)
    assert (below.low, below.high) == (0.0, 1e-6)
    assert (above.low, above.high) == (BOUNDS[-1], math.inf)
    assert math.isfinite(above.value)


def test_nothing_seen_is_a_percentile_of_nothing() -> None:
    got = Histogram.zero().percentile(0.99)
    assert math.isnan(got.value)
    assert got.n == 0


@pytest.mark.parametrize("share", [0.0, 1.1, math.nan])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="`share` must be above 0 and at most 1"):
        Histogram.zero().percentile(share)


def test_a_meter_counts_answers_failures_and_their_stages() -> None:
    meter = Meter()
    meter.add(2, 0.010, {"queue": 0.001, "model": 0.004})
    meter.add(1, 0.030, {})
    meter.fail(3, TimeoutError("late"))
    meter.fail(1, TimeoutError("late"))
    counted = meter.snapshot()
    assert (counted.requests, counted.rows, counted.errors) == (4, 7, {"TimeoutError": 2})
    assert {name: (h.n, h.seconds) for name, h in counted.stages.items()} == {
        "total": (2, pytest.approx(0.040)),
        "queue": (1, 0.001),
        "model": (1, 0.004),
    }
    assert counted.stages["total"] == histogram([0.010, 0.030])
    meter.add(1, 1.0, {})
    assert counted.requests == 4, "a snapshot is a copy"


def test_meters_merge_as_if_one_had_seen_all() -> None:
    rng, one, other, both = np.random.default_rng(0), Meter(), Meter(), Meter()
    for k, total in enumerate(rng.lognormal(-6, 1, 200).tolist()):
        for meter in (one if k % 3 else other, both):
            meter.add(1, total, {"queue": total / 2})
    one.fail(1, KeyError())
    both.fail(1, KeyError())
    other.fail(1, ValueError())
    both.fail(1, ValueError())
    merged = Counts.zero().merge(one.snapshot()).merge(other.snapshot())
    whole = both.snapshot()
    assert merged.errors == whole.errors
    assert (merged.requests, merged.rows) == (whole.requests, whole.rows) == (202, 202)
    for stage, found in merged.stages.items():
        assert found.counts == whole.stages[stage].counts
        assert found.seconds == pytest.approx(whole.stages[stage].seconds)
