"""The metric as a number with an interval, and how sure a rise of it is."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from roadworthy.core.measure import Measurement
from roadworthy.observe.root_cause.metric_rows import clumping_of, increase, measure, metric_rows, spread_of
from roadworthy.testing.incidents import frame


def test_a_percentile_is_in_milliseconds_within_its_order_statistics():
    values = np.arange(1, 10_001) / 1e4
    m = measure("p95", values)
    assert m.name == "p95_ms"
    assert m.value == pytest.approx(950, abs=1)
    assert 940 < m.low < 950 < m.high < 960


def test_the_interval_of_a_percentile_covers_it():
    rng = np.random.default_rng(0)
    true = 1000 * float(np.exp(1.6449))
    draws = [measure("p95", rng.lognormal(0.0, 1.0, 800)) for _ in range(400)]
    assert np.mean([m.low <= true <= m.high for m in draws]) >= 0.97


def test_above_the_largest_value_of_few_rows_nothing_is_known():
    assert measure("p99.9", np.ones(50)).high == np.inf


def test_accuracy_turns_what_is_wrong_around():
    m = measure("accuracy", np.array([1.0] * 20 + [0.0] * 80))
    assert m.value == pytest.approx(0.8)
    assert m.low < 0.8 < m.high


def test_rows_that_clump_say_less_than_they_are_many():
    rng = np.random.default_rng(0)
    free = rng.normal(size=4000)
    clumped = np.repeat(rng.normal(size=40), 100) + 0.1 * rng.normal(size=4000)
    at = np.arange(4000.0)
    assert clumping_of(free, at) < 2.5
    assert clumping_of(clumped, at) > 20
    assert clumping_of(np.ones(4000), at) == 1.0


def test_a_clumped_metric_has_a_wider_interval():
    values = np.random.default_rng(0).exponential(size=40_000)
    for metric in ("mean", "p95", "errors"):
        given = values if metric != "errors" else (values > 2).astype(float)
        narrow, wide = measure(metric, given), measure(metric, given, 9.0)
        assert wide.high - wide.low == pytest.approx(3 * (narrow.high - narrow.low), rel=0.1)


def test_an_increase_of_accuracy_is_a_fall_of_it():
    now, before = Measurement("accuracy", 0.7, 100, 0.6, 0.78), Measurement("accuracy", 0.9, 100, 0.82, 0.95)
    worse = increase(now, before)
    assert worse.value == pytest.approx(0.2)
    assert worse.low > 0


def test_an_increase_is_widened_by_how_far_stretches_differ_anyhow():
    now, before = Measurement("p95_ms", 12, 9, 11, 13, "ms"), Measurement("p95_ms", 10, 9, 9, 11, "ms")
    assert increase(now, before).low > 0.5
    assert increase(now, before, 10.0).low < 0


def test_the_spread_of_stretches_needs_three_of_them():
    values, at = np.array([1.0, 1.0, 2.0, 2.0, 3.0, 3.0]), np.arange(6.0)
    assert spread_of("mean", values, at, [(0, 2), (2, 4)]) == 0.0
    # Student's t of 2 degrees is 9.92 for 99 %; the expansion comes to 7.7 of it at so few.
    assert spread_of("mean", values, at, [(0, 2), (2, 4), (4, 6)]) > 7 * 1000 * np.sqrt(4 / 3)


def test_who_waits_behind_a_slow_request_is_not_slow_himself():
    rng = np.random.default_rng(0)
    before = frame(2000, rng)
    waits = pl.col("seconds.queue") + pl.lit(0.05)
    now = frame(2000, rng, slow={"tenant": "acme"}, times=20.0)
    now = now.with_columns(waits, (pl.col("seconds.total") + pl.lit(0.05)).alias("seconds.total"))
    rows = metric_rows("mean", now, before)
    others = (now["tags.tenant"] != "acme").to_numpy() & now["seconds.queue"].is_not_null().to_numpy()
    assert rows.scales[0].now[others].mean() < 0.03


def test_a_wait_alone_counts_as_such():
    rng = np.random.default_rng(0)
    before, now = frame(2000, rng), frame(2000, rng)
    queued = now.with_columns(pl.col("seconds.queue") + 0.05, pl.col("seconds.total") + 0.05)
    assert metric_rows("mean", queued, before).scales[0].now.mean() > 0.02


def test_the_likeliest_class_of_a_vector_is_the_answer():
    given = pl.DataFrame({"at": [0.0, 1.0], "outputs.scores": [[0.1, 0.9], [0.8, 0.2]], "label": [1.0, 1.0]})
    assert metric_rows("accuracy", given, given).values_now.tolist() == [0.0, 1.0]


def test_only_rows_that_say_something_count():
    given = pl.DataFrame({"at": [0.0, 1.0, 2.0], "usd": [0.001, None, 0.003]})
    rows = metric_rows("cost", given, given)
    assert rows.now.tolist() == [0, 2]
