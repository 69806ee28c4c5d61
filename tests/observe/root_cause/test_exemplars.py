"""Requests to look at, and the stages of the rows that decide a metric."""

from __future__ import annotations

import numpy as np
import pytest

from roadworthy.observe.root_cause.exemplars import exemplars, stage_shares, stages_of
from roadworthy.observe.root_cause.metric_rows import metric_rows
from roadworthy.testing.incidents import frame


def test_what_no_stage_claims_is_the_rest_and_a_stream_s_first_piece_is_within():
    row = {"seconds.total": 1.0, "seconds.queue": 0.2, "seconds.model": 0.5, "seconds.first": 0.4, "id": "a"}
    assert stages_of(row) == pytest.approx({"queue": 0.2, "model": 0.5, "rest": 0.3})
    assert stages_of({"seconds.total": 0.1, "seconds.model": None}) == {"rest": 0.1}


def test_exemplars_go_from_the_worst_to_the_usual_one():
    given = frame(200, np.random.default_rng(0))
    rows = np.arange(50, 150)
    totals = given["seconds.total"].to_numpy()[rows]
    found = exemplars(given, totals, rows)
    assert [e.value for e in found] == sorted((e.value for e in found), reverse=True)
    assert found[0].value == totals.max()
    assert {e.id for e in found} <= set(given["id"].to_list()[50:150])


def test_fewer_rows_than_five_are_each_there_once():
    given = frame(3, np.random.default_rng(0))
    assert len({e.id for e in exemplars(given, np.array([1.0, 2.0]), np.array([0, 2]))}) == 2
    assert exemplars(given, np.zeros(0), np.zeros(0, int)) == ()


@pytest.mark.parametrize("metric", ["p50", "p99", "mean"])
def test_shares_of_stages_add_up(metric):
    rng = np.random.default_rng(0)
    now, before = frame(3000, rng, host=2.0), frame(3000, rng)
    found = stage_shares(metric, metric_rows(metric, now, before), now, before)
    assert {s.stage for s in found} == {"queue", "model", "rest"}
    assert sum(s.share for s in found) == pytest.approx(1.0)


def test_what_is_no_time_has_no_stages():
    rng = np.random.default_rng(0)
    both = frame(500, rng, failing=0.5)
    assert stage_shares("errors", metric_rows("errors", both, both), both, both) == ()


def test_a_stage_that_is_new_takes_its_share():
    rng = np.random.default_rng(0)
    now, before = frame(2000, rng), frame(2000, rng)
    guarded = now.with_columns(now["seconds.total"].alias("x")).drop("x")
    guarded = guarded.with_columns((guarded["seconds.total"] + 0.02).alias("seconds.total"))
    guarded = guarded.with_columns((guarded["seconds.total"] * 0 + 0.02).alias("seconds.guard"))
    found = stage_shares("mean", metric_rows("mean", guarded, before), guarded, before)
    assert found[0].stage == "guard"
    assert found[0].share == pytest.approx(1.0, abs=0.05)
