from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from sklearn import metrics

from roadworthy.core.measure import Requirement, judge
from roadworthy.core.stats import (
    auc,
    auc_contributions,
    binomial_survival,
    calibration_error,
    chi2_survival,
    log_loss,
    mean,
    nothing,
    proportion,
    z_of,
)

rows = st.lists(st.tuples(st.booleans(), st.integers(1, 99).map(lambda k: k / 100)), min_size=4, max_size=60)


def two_of_each(drawn) -> bool:
    return 2 <= sum(label for label, _ in drawn) <= len(drawn) - 2


@given(rows.filter(two_of_each))
def test_auc_is_that_of_scikit_learn_ties_and_all(drawn):
    labels, p = zip(*drawn, strict=True)
    found = auc(labels, p)
    assert found.value == pytest.approx(metrics.roc_auc_score(labels, p))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.n == len(drawn)


@given(rows)
def test_log_loss_is_that_of_scikit_learn(drawn):
    labels, p = zip(*drawn, strict=True)
    assert log_loss(labels, p).value == pytest.approx(metrics.log_loss(labels, p, labels=[False, True]))


def test_log_loss_of_certainty_is_finite():
    assert log_loss([1, 0], [0.0, 1.0]).value == pytest.approx(-math.log(1e-6))


@pytest.mark.parametrize(
    "measured",
    [
        nothing("x"),
        proportion("x", 0, 0),
        mean("x", []),
        log_loss([], []),
        auc([], []),
        auc([1, 1, 1], [0.1, 0.2, 0.3]),
        calibration_error([], []),
        calibration_error([1.0] * 29, [0.5] * 29),
    ],
)
def test_too_little_is_a_measurement_of_nothing(measured):
    assert measured.n == 0
    assert math.isnan(measured.value)
    assert judge(measured, Requirement("x", at_least=0.0, unit=measured.unit)).decision == "wait"


def test_one_value_has_an_average_and_no_bounds():
    found = mean("x", [3.0])
    assert (found.value, found.low, found.high) == (3.0, -math.inf, math.inf)


@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_a_confidence_that_is_not_the_usual_one_is_stated(confidence):
    p = np.linspace(0.01, 0.99, 60)
    measured = (
        proportion("rate", 1, 4, confidence=confidence),
        mean("x", [1.0, 2.0], confidence=confidence),
        auc(p > 0.5, p, confidence=confidence),
        auc(p > 0.5, p * p[::-1], confidence=confidence),
        calibration_error(p > 0.5, p, confidence=confidence),
    )
    expected = {} if confidence == 0.95 else {"confidence": 0.99}
    assert [m.conditions for m in measured] == [expected] * 5


def test_where_and_unit_are_kept():
    assert proportion("rate", 1, 4, where="night").where == "night"
    assert mean("p50", [1.0, 2.0], where="night", unit="ms").unit == "ms"
    assert auc([0, 1] * 5, np.linspace(0, 1, 10), where="night").where == "night"


def test_a_perfect_score_of_few_rows_is_not_certain():
    few = auc([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    many = auc([0] * 500 + [1] * 500, np.linspace(0, 1, 1000))
    assert few.value == many.value == 1.0
    assert few.low < 0.5
    assert many.low > 0.99
    assert few.high == 1.0


def test_the_normal_quantile():
    assert z_of(0.95) == pytest.approx(1.959964)


@given(st.integers(0, 50), st.integers(1, 50))
def test_a_share_lies_in_its_interval(hits, more):
    found = proportion("rate", hits, hits + more)
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(("n", "share"), [(20, 0.05), (20, 0.5), (100, 0.02), (1000, 0.3)])
def test_wilson_covers_the_true_share(n, share):
    hits = np.arange(n + 1)
    chances = scipy_stats.binom.pmf(hits, n, share)
    covered = [proportion("rate", k, n).low <= share <= proportion("rate", k, n).high for k in hits.tolist()]
    assert chances[covered].sum() > 0.92


def covered(draws: int, measure, truth: float | None = None) -> float:
    """The share of simulated intervals that hold the truth, which `measure(rng)` gives too where it varies."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(draws):
        found = measure(rng)
        measured, true = found if isinstance(found, tuple) else (found, truth)
        hits += measured.low <= true <= measured.high
    return hits / draws


@pytest.mark.parametrize("n", [60, 500])
def test_delong_covers_the_true_area(n):
    def draw(rng):
        labels = rng.random(n) < 0.3
        return auc(labels, rng.normal(size=n) + labels)

    assert covered(400, draw, scipy_stats.norm.cdf(1 / math.sqrt(2))) > 0.91


def test_the_mean_covers_the_truth():
    assert covered(400, lambda rng: mean("x", rng.exponential(size=200)), 1.0) > 0.91


TRUE_RATES = {
    "calibrated": lambda p: p,
    "a little off": lambda p: np.clip(p - 0.02, 0.001, 1),
    "all too high": lambda p: np.clip(p - 0.1, 0.001, 1),
    "overconfident": lambda p: 1 / (1 + np.sqrt((1 - p) / p)),
    "off in one place": lambda p: np.where(p > 0.7, p - 0.2, p),
}


@pytest.mark.parametrize("n", [200, 1000, 5000])
@pytest.mark.parametrize("law", TRUE_RATES)
def test_the_calibration_error_covers_the_truth(law, n):
    def draw(rng):
        p = np.clip(rng.beta(1.2, 3, n), 0.001, 0.999)
        true = TRUE_RATES[law](p)
        part = np.searchsorted(np.quantile(p, np.linspace(0, 1, 16)[1:-1]), p)
        return calibration_error(rng.random(n) < true, p), np.abs(np.bincount(part, true - p)).sum() / n

    assert covered(150, draw) > 0.9


def test_the_calibration_error_of_many_rows_is_sharp():
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    good, bad = calibration_error(rng.random(20_000) < p, p), calibration_error(rng.random(20_000) < p**2, p)
    assert good.low < 0.002 < good.high < 0.02
    assert bad.low > 0.15
    assert bad.high < 0.18


def test_a_constant_probability_is_one_bin():
    rng = np.random.default_rng(0)
    found = calibration_error(rng.random(2000) < 0.3, np.full(2000, 0.5))
    assert found.low < 0.2 < found.high
    assert found.high - found.low < 0.06


def test_a_wider_confidence_is_a_wider_interval():
    rng = np.random.default_rng(0)
    p = rng.random(2000)
    labels = rng.random(2000) < p**2
    narrow, wide = (calibration_error(labels, p, confidence=c) for c in (0.9, 0.99))
    assert wide.low < narrow.low <= narrow.value == wide.value <= narrow.high < wide.high


@given(st.integers(0, 2**32 - 1), st.integers(2, 300))
def test_the_contributions_of_the_rows_average_to_the_area(seed, n):
    rng = np.random.default_rng(seed)
    labels, scores = rng.random(n) < 0.3, rng.integers(0, 20, n) / 20
    parts = auc_contributions(labels, scores)
    if labels.all() or not labels.any():
        assert np.isnan(parts).all()
    else:
        assert parts.mean() == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)


@given(st.floats(0, 300), st.integers(1, 60))
def test_the_chi_square_tail_is_that_of_scipy(value, freedom):
    assert chi2_survival(value, freedom) == pytest.approx(scipy_stats.chi2.sf(value, freedom), rel=1e-9, abs=1e-300)


@given(st.integers(1, 200), st.integers(0, 200), st.floats(0.001, 0.999))
def test_the_binomial_tail_is_that_of_scipy(n, hits, share):
    hits = min(hits, n)
    assert binomial_survival(hits, n, share) == pytest.approx(
        scipy_stats.binom.sf(hits - 1, n, share), rel=1e-7, abs=1e-200
    )
