"""The threshold is the right order statistic, refuses too few rows, and tells the coverage to expect."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import beta

from roadworthy.core.errors import BadData
from roadworthy.serve.conformal.thresholds import (
    enough,
    least_rows,
    promise,
    rank_of,
    share_as_strange,
    thinned,
    threshold_at,
)


@pytest.mark.parametrize(
    ("n", "target", "rank"), [(9, 0.9, 9), (19, 0.9, 18), (99, 0.95, 95), (8, 0.9, 9), (10, 0.8, 9)]
)
def test_the_rank_is_the_ceiling_of_n_plus_one_times_the_target(n, target, rank):
    assert rank_of(n, target) == rank


@pytest.mark.parametrize(("target", "rows"), [(0.9, 9), (0.95, 19), (0.8, 4), (0.99, 99), (0.5, 1)])
def test_the_least_rows_are_those_whose_last_score_is_a_threshold(target, rows):
    assert least_rows(target) == rows
    assert rank_of(rows, target) <= rows
    assert rank_of(rows - 1, target) > rows - 1


def test_thresholds_are_scores_and_beyond_them_infinite():
    scores = [float(k) for k in range(1, 10)]
    assert [threshold_at(scores, t) for t in (0.9, 0.5, 0.1, 0.91, 1.0, 0.0, -0.2)] == [
        9.0, 5.0, 1.0, math.inf, math.inf, -math.inf, -math.inf,
    ]  # fmt: skip


def test_a_score_is_held_exactly_while_alpha_is_below_its_p_value():
    scores = sorted(np.random.default_rng(0).normal(size=37).tolist())
    for score in (*scores, -9.0, 9.0, 0.123):
        share = share_as_strange(scores, score)
        for alpha in np.linspace(0.01, 0.99, 61):
            assert (score <= threshold_at(scores, 1 - alpha)) == (alpha < share - 1e-9)


def test_too_few_rows_are_refused_with_the_number_that_is_needed():
    enough(19, 0.95)
    with pytest.raises(BadData, match=r"18 labelled rows of class 'a' cannot promise that 0.95 .* at least 19"):
        enough(18, 0.95, "class 'a'")
    for target in (0.0, 1.0, math.nan):
        with pytest.raises(BadData, match="between 0 and 1"):
            enough(100, target)


@pytest.mark.parametrize(("n", "target"), [(50, 0.9), (1000, 0.95), (9, 0.9)])
def test_the_promise_is_the_beta_law_of_the_coverage(n, target):
    told, rank = promise(n, target, "class=a"), rank_of(n, target)
    law = beta(rank, n + 1 - rank)
    assert (told.value, told.low, told.high) == pytest.approx((law.mean(), law.ppf(0.025), law.ppf(0.975)), abs=1e-9)
    assert (told.n, told.where, told.conditions["target"]) == (n, "class=a", target)


def test_the_beta_law_is_what_simulated_coverage_follows():
    rng, n = np.random.default_rng(1), 60
    rank = rank_of(n, 0.9)
    covered = np.sort(rng.random((4000, n)), axis=1)[:, rank - 1]
    told = promise(n, 0.9)
    inside = ((covered >= told.low) & (covered <= told.high)).mean()
    assert inside == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


def test_thinned_scores_are_never_bolder_than_all_of_them():
    scores = sorted(np.random.default_rng(2).normal(size=997).tolist())
    few = thinned(scores, 100)
    assert (len(few), thinned(scores, 1000)) == (100, tuple(scores))
    for target in np.linspace(0.05, 0.99, 50):
        assert threshold_at(few, target) >= threshold_at(scores, target)
    assert threshold_at(few, 0.9) <= threshold_at(scores, 0.93)
