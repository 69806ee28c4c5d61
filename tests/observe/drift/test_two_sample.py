from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from roadworthy.core.measure import Measurement
from roadworthy.observe.drift.two_sample import beyond_chance, compared, judged, ks, ks_p, rank_sum_p


def normal(n, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(size=n) + shift


@pytest.mark.parametrize(("n", "m"), [(5, 7), (30, 400), (400, 30), (49, 49)])
def test_the_rank_sum_is_exact_where_a_sample_is_small(n, m):
    low, high = normal(n), normal(m, 1, 0.4)
    expected = stats.mannwhitneyu(high, low, alternative="greater", method="exact").pvalue
    assert rank_sum_p(low, high, np.random.default_rng(0)) == pytest.approx(expected, rel=1e-6)


def test_the_rank_sum_of_large_samples_is_normal():
    low, high = normal(3000), normal(800, 1, 0.1)
    expected = stats.mannwhitneyu(high, low, alternative="greater", method="asymptotic").pvalue
    assert rank_sum_p(low, high, np.random.default_rng(0)) == pytest.approx(expected, rel=1e-6)


def test_ties_leave_the_rank_sum_its_law():
    rng = np.random.default_rng(4)
    ps = np.array([rank_sum_p(rng.integers(0, 3, 40) * 1.0, rng.integers(0, 3, 25) * 1.0, rng) for _ in range(1000)])
    assert stats.kstest(ps, "uniform").pvalue > 1e-4
    assert rank_sum_p(np.empty(0), np.ones(3), rng) == 1.0


def test_the_distance_is_that_of_scipy():
    one, other = normal(300), np.round(normal(200, 1, 0.3), 1)
    assert ks(np.sort(one), other) == pytest.approx(stats.ks_2samp(one, other).statistic)


@pytest.mark.parametrize("n", [30, 300, 3000])
def test_the_distance_is_beyond_chance_at_most_as_often_as_stated(n):
    rng = np.random.default_rng(n)
    reference = [np.sort(rng.normal(size=2000)) for _ in range(400)]
    low = sum(ks_p(ks(old, rng.normal(size=n)), 2000, n) <= 0.05 for old in reference)
    # 20 are expected at most; 40 would be more than four standard deviations beyond.
    assert low < 40


def test_a_p_value_is_the_limit_law_of_scipy():
    for distance in (0.02, 0.05, 0.1, 0.3):
        expected = stats.kstwobign.sf(distance * np.sqrt(500.0))
        assert ks_p(distance, 1000, 1000) == pytest.approx(expected, abs=1e-6)


def test_nulls_are_a_test_of_their_own():
    old, new = normal(1000), normal(1000, 1)
    new[:300] = np.nan
    values, nulls = compared("x", old, new)
    assert (values.where, nulls.where) == ("x", "nulls of x")
    assert nulls.value == pytest.approx(0.3)
    assert values.conditions["p"] > 0.01 > nulls.conditions["p"]
    assert [m.where for m in compared("x", old, np.full(50, np.nan))] == ["nulls of x"]
    assert compared("x", old, np.empty(0)) == []


def test_the_interval_holds_the_true_distance():
    # Between N(0, 1) and N(0.5, 1) the largest distance is at 0.25.
    true = float(stats.norm.cdf(0.25) * 2 - 1)
    for seed in range(20):
        (found,) = compared("x", normal(400, seed), normal(200, seed + 99, 0.5))
        assert found.low <= true <= found.high


def measured(where, value, p):
    return Measurement("ks", value, 500, where=where, conditions={"p": p})


def test_an_alarm_needs_both_an_effect_and_a_p_value():
    small, chance, moved = measured("a", 0.01, 1e-9), measured("b", 0.5, 0.2), measured("c", 0.2, 1e-6)
    assert beyond_chance([small, chance, moved], 0.01, 0.05) == [moved]
    verdict = judged([small, chance, moved], 0.01, 0.05, "things", "toy")
    assert verdict.decision == "fail"
    assert verdict.because == "things moved in 500 rows: c by 0.200"
    assert verdict.evidence[0] == moved
    calm = judged([small, chance], 0.01, 0.05, "things", "toy")
    assert calm.decision == "pass"
    assert "none of 2 tests on 500 rows shows that things moved; most is b 0.500 (p 0.2)" in calm.because
