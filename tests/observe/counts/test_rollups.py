from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.record import Record
from roadworthy.core.sketch import Sketch
from roadworthy.observe.counts.rolling import roll_up
from roadworthy.observe.counts.rollups import percentiles, series
from roadworthy.store.state import State

T0 = 1_699_999_200.0


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return np.random.default_rng(0).lognormal(-3, 0.6, 3000)


@pytest.fixture(scope="module")
def state(tmp_path_factory, values):
    with State.open(tmp_path_factory.mktemp("state"), "process") as found:
        found.records.write(
            Record(
                f"{k:05d}",
                T0 + 2.0 * k,
                f"r{k % 2}",
                ("stable", "shadow", "fallback")[k % 3],
                {},
                {"p": 0.25},
                seconds={"model": value / 2, "total": value},
                tags={"tenant": "acme" if k % 10 == 0 else "bolt"},
                error="BadRequest: no" if k % 100 == 1 else "TimeoutError: x" if k % 100 == 3 else None,
                usd=0.001,
            )
            for k, value in enumerate(values.tolist())
        )
        roll_up(found, T0)
        yield found


def test_a_series_is_what_answered_somebody(state):
    found = series(state, T0, T0 + 6000)
    assert found.count("requests").sum() == 2000
    assert found.count("fallbacks").sum() == 1000
    assert series(state, T0, T0 + 6000, arm="shadow").count("requests").sum() == 1000
    assert series(state, T0, T0 + 6000, release="r0", arm="stable").count("requests").sum() == 500


def test_a_series_is_narrowed_to_a_tag(state):
    assert series(state, T0, T0 + 6000, tag="tenant", value="acme").count("requests").sum() == 200
    assert series(state, T0, T0 + 6000, tag="tenant", value="nobody").n == 0


def test_a_series_begins_and_ends_where_asked(state):
    found = series(state, T0 + 60, T0 + 180)
    assert set(found.at.tolist()) == {int(T0) + 60, int(T0) + 120}
    assert found.within(T0 + 120, T0 + 180) == slice(found.n // 2, found.n)


def test_errors_may_be_forgiven(state):
    found = series(state, T0, T0 + 6000)
    assert (found.failed().sum(), found.failed(("BadRequest",)).sum()) == (40, 20)
    assert found.failed(("Unheard",)).sum() == 40


def test_slow_requests_are_counted_to_one_percent(state, values):
    found = series(state, T0, T0 + 6000)
    answered = values[[k for k in range(3000) if k % 3 != 1]]
    slow = found.slower(0.1).sum()
    assert (answered > 0.102).sum() <= slow <= (answered > 0.098).sum()
    assert found.slower(0.1, "nothing").sum() == 0


def test_hourly_quantiles_are_those_of_the_hour(state, values):
    found = series(state, T0, T0 + 6000)
    hours = found.hourly_quantile(0.95, "total", int(T0) // 3600 - 1, 3)
    first = values[[k for k in range(1800) if k % 3 != 1]]
    assert np.isnan(hours[0])
    assert hours[1] == pytest.approx(np.quantile(first, 0.95, method="inverted_cdf"), rel=0.0101)
    assert found.hourly(found.count("requests"), int(T0) // 3600, 2).tolist() == [1200, 800]
    assert np.isnan(found.hourly_quantile(0.95, "nothing", 0, 2)).all()


def test_the_sketch_of_a_stretch_is_that_of_its_values(state, values):
    found = series(state, T0, T0 + 6000, arm="stable").sketch("total", T0 + 600, T0 + 1200)
    assert found == Sketch.of(values[300:600][np.arange(300, 600) % 3 == 0])


def test_percentiles_come_by_release_arm_stage_and_tag(state, values):
    (p50, _, p99, _) = percentiles(state, T0, T0 + 6000, by=())
    answered = values[[k for k in range(3000) if k % 3 != 1]]
    assert p50.value == pytest.approx(np.quantile(answered, 0.5, method="inverted_cdf"), rel=0.0101)
    assert p99.low <= np.quantile(answered, 0.99) <= p99.high
    assert (p50.where, p50.n) == ("", 2000)
    by_arm = {m.where: m.n for m in percentiles(state, T0, T0 + 6000, by=("arm", "stage"))}
    assert by_arm["arm=shadow, stage=model"] == 1000
    by_tag = {m.where: m.n for m in percentiles(state, T0, T0 + 6000, by=("tag",))}
    assert by_tag == {"tenant=acme": 200, "tenant=bolt": 1800}
    assert percentiles(state, 0, 1) == []


def test_an_empty_series_answers_with_zeros(state):
    found = series(state, 0, 60)
    assert (found.n, found.count("requests").sum(), found.slower(1.0).sum()) == (0, 0, 0)
    assert found.number("usd").n.tolist() == []
    assert found.sketch("total", 0, 60) == Sketch.zero()
