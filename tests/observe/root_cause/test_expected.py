"""What is expected of rows, given what they asked."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from roadworthy.observe.root_cause.dimensions import dimensions
from roadworthy.observe.root_cause.expected import PRIOR_ROWS, expected
from roadworthy.observe.root_cause.metric_rows import metric_rows
from roadworthy.testing.incidents import frame


def test_the_dimensions_that_explain_the_baseline_are_found_and_who_served_is_none_of_them():
    rng = np.random.default_rng(0)
    before = frame(8000, rng, slow={"release": "bb" * 32}, canary=0.5, times=9.0)
    given = expected(dimensions(before, before), metric_rows("mean", before, before))
    assert given.strata[0] == "cache"
    assert set(given.strata) & {"tokens", "text length"}
    assert not set(given.strata) & {"release", "arm", "batch rows", "probability"}


def test_a_cell_of_few_rows_leans_on_the_one_that_holds_it():
    kinds = ["often"] * 400 + ["seldom"] * 5
    values = [1.0] * 400 + [3.0] * 5
    before = pl.DataFrame({"id": kinds, "at": np.arange(405.0), "seconds.total": values, "tags.kind": kinds})
    given = expected(dimensions(before, before), metric_rows("mean", before, before))
    overall = float(given.scales[0].before.mean())
    seldom = float(given.scales[0].before[-1])
    assert given.expected_now[0][-1] == pytest.approx((5 * seldom + PRIOR_ROWS * overall) / (5 + PRIOR_ROWS))


def test_what_is_expected_adds_up_to_what_was():
    before = frame(8000, np.random.default_rng(0))
    given = expected(dimensions(before, before), metric_rows("p95", before, before))
    for rest in given.rest_before:
        assert abs(rest.mean()) < 0.02 * rest.std()


def test_where_nothing_explains_anything_all_are_alike():
    rng = np.random.default_rng(0)
    before = pl.DataFrame({"id": ["a"] * 500, "at": np.arange(500.0), "seconds.total": rng.exponential(size=500),
                           "tags.coin": rng.choice(["head", "tail"], 500)})  # fmt: skip
    given = expected(dimensions(before, before), metric_rows("mean", before, before))
    assert given.strata == ()
    assert np.unique(given.expected_now[0]).size == 1


def test_a_part_of_the_baseline_can_stand_for_the_window():
    before = frame(1000, np.random.default_rng(0))
    given = expected(dimensions(before, before), metric_rows("mean", before, before))
    then = given.then(np.arange(10), np.arange(10, 1000))
    assert then.rest_now[0].tolist() == given.rest_before[0][:10].tolist()
    assert len(then.rest_before[0]) == 990
