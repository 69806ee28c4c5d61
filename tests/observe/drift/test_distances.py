from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from roadworthy.core.columns import Numbers, Values
from roadworthy.observe.drift.bins import Counts
from roadworthy.observe.drift.distances import (
    Pair,
    beyond,
    chi_square,
    homogeneity_p,
    jensen_shannon,
    kl,
    kolmogorov_smirnov,
    l_infinity,
    psi,
    wasserstein,
)

NAN = float("nan")
INDICES = (psi, kl, jensen_shannon, chi_square, l_infinity)
ORDERED = (kolmogorov_smirnov, wasserstein, beyond)


def numbers(old, new, bins: int = 10) -> Pair:
    reference = Numbers.of(np.asarray(old, float))
    return Pair("x", reference, Numbers.of(np.asarray(new, float), reference), bins)


def categories(old: dict[str, int], new: dict[str, int], bins: int = 10) -> Pair:
    return Pair("c", Values(sum(old.values()), 0, old), Values(sum(new.values()), 0, new), bins)


def normal(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n) + shift


def test_the_indices_are_what_their_formulas_say():
    pair = categories({"a": 50_000, "b": 50_000}, {"a": 30_000, "b": 70_000})
    p, q = np.array([0.5, 0.5]), np.array([0.3, 0.7])
    assert psi(pair).value == pytest.approx(float(((q - p) * np.log(q / p)).sum()), rel=1e-3)
    assert kl(pair).value == pytest.approx(stats.entropy(q, p), rel=1e-3)
    half = (p + q) / 2
    divergence = (stats.entropy(p, half, 2) + stats.entropy(q, half, 2)) / 2
    assert jensen_shannon(pair).value == pytest.approx(math.sqrt(divergence), rel=1e-3)
    assert chi_square(pair).value == pytest.approx(math.sqrt(float(((q - p) ** 2 / half).sum())), rel=1e-3)
    assert l_infinity(pair).value == pytest.approx(0.2, rel=1e-3)


def test_the_test_of_the_bins_is_that_of_pearson():
    old, new = {"a": 400, "b": 300, "c": 300}, {"a": 70, "b": 80, "c": 50}
    expected = stats.chi2_contingency([list(old.values()), list(new.values())], correction=False).pvalue
    for index in INDICES[:4]:
        assert index(categories(old, new)).conditions["p"] == pytest.approx(expected, rel=1e-6)


def test_a_bin_too_thin_for_it_is_tested_exactly():
    bins = Counts(("a", "rare"), np.array([9_990.0, 10.0]), np.array([95.0, 5.0]))
    exact = stats.binomtest(5, 15, 100 / 10_100, alternative="greater").pvalue
    assert homogeneity_p(bins, thin=True) == pytest.approx(4 * exact)


def test_all_rows_in_the_thin_bin_are_seen():
    bins = Counts(("a", "rare"), np.array([100_000.0, 0.0]), np.array([0.0, 50.0]))
    assert homogeneity_p(bins, thin=True) < 1e-50


def test_the_cumulative_gap_is_that_of_kolmogorov():
    for shift in (0.0, 0.3, 1.0):
        old, new = normal(4000, 0), np.exp(normal(900, 1, shift))
        assert kolmogorov_smirnov(numbers(old, new)).value == pytest.approx(
            stats.ks_2samp(old, new).statistic, abs=0.012
        )


@pytest.mark.parametrize(("n", "m"), [(5000, 50), (500, 500), (2000, 300)])
def test_its_p_is_never_below_the_exact_one(n, m):
    for seed, shift in ((0, 0.0), (1, 0.2), (2, 0.4)):
        found = kolmogorov_smirnov(numbers(normal(n, seed), normal(m, seed + 9, shift)))
        exact = stats.ks_2samp(normal(n, seed), normal(m, seed + 9, shift)).pvalue
        assert found.conditions["p"] >= min(1.0, 0.5 * exact)
        assert found.low <= found.value <= found.high


def test_the_mean_way_of_rows_is_in_robust_standard_deviations():
    found = wasserstein(numbers(100 * normal(20_000, 0), 100 * normal(20_000, 1, 0.5)))
    assert found.value == pytest.approx(0.5, abs=0.03)
    assert found.low < 0.5 < found.high
    assert found.conditions["most"] == "rows moved up"
    exact = stats.wasserstein_distance(normal(20_000, 0), 1.5 * normal(20_000, 1))
    assert wasserstein(numbers(normal(20_000, 0), 1.5 * normal(20_000, 1))).value == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize("n", [50, 1000, 100_000])
def test_one_wild_value_changes_no_distance_by_much(n):
    old = normal(100_000, 0)
    for shift in (0.0, 1.0):
        new = normal(n, 1, shift)
        wild = np.append(new[:-1], 1e6)
        for distance in (*INDICES, *ORDERED):
            calm, spoilt = (distance(numbers(old, each)) for each in (new, wild))
            assert abs(calm.value - spoilt.value) < 6 / n + 0.02 / math.sqrt(n)


def test_rows_beyond_all_of_the_reference_are_counted_but_for_one():
    new = normal(1000, 1)
    assert beyond(numbers(normal(5000, 0), np.append(new[:-1], 1e6))).conditions["p"] > 0.01
    found = beyond(numbers((np.arange(5000) % 50 == 0).astype(float), 100.0 * (np.arange(1000) % 50 == 0)))
    assert (found.value, found.conditions["p"] < 1e-9) == (0.019, True)
    assert found.conditions["most"] == "0 rows below and 20 above all that the reference has"


def test_a_change_of_unit_in_a_rare_flag_is_seen_though_no_quantile_moves():
    pair = numbers((np.arange(5000) % 50 == 0).astype(float), 100.0 * (np.arange(5000) % 50 == 0))
    assert psi(pair).value < 0.001
    assert beyond(pair).conditions["p"] < 1e-9


def test_nulls_count_as_the_least_value():
    holes = np.where(np.random.default_rng(5).random(2000) < 0.2, NAN, normal(2000, 1))
    pair = numbers(normal(5000, 0), holes)
    assert kolmogorov_smirnov(pair).value == pytest.approx(0.2, abs=0.03)
    assert kolmogorov_smirnov(pair).conditions["most"].startswith("null or up to")
    assert wasserstein(pair).value > 0.5
    assert psi(pair).conditions["most"].startswith("null: 0.0% became")


@pytest.mark.parametrize("distance", [*INDICES, *ORDERED])
def test_the_same_rows_have_no_distance(distance):
    values = np.where(np.random.default_rng(0).random(1000) < 0.1, NAN, normal(1000, 1))
    found = distance(numbers(values, values))
    assert found.value == pytest.approx(0.0, abs=1e-9)
    assert found.conditions["p"] == 1.0
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("distance", [*INDICES, *ORDERED])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([7.0] * 60, [7.0] * 60),
        ([NAN] * 60, [NAN] * 60),
        ([NAN] * 60, [1.0] * 60),
        ([1.0] * 60, [NAN] * 60),
        ([np.inf] * 60, [-np.inf] * 60),
        ([1e300, -1e300] * 30, [0.0] * 60),
    ],
    ids=["a constant", "only nulls", "nulls before", "nulls now", "infinite", "huge"],
)
def test_odd_columns_have_a_finite_distance(distance, old, new):
    found = distance(numbers(old, new))
    assert math.isfinite(found.value)
    assert 0 <= found.conditions["p"] <= 1


@pytest.mark.parametrize("distance", [wasserstein, beyond, kolmogorov_smirnov])
def test_categories_have_no_order(distance):
    with pytest.raises(TypeError):
        distance(categories({"a": 60}, {"a": 60}))


@pytest.mark.parametrize("distance", [psi, kl, jensen_shannon, chi_square, kolmogorov_smirnov, wasserstein])
def test_the_interval_holds_the_distance_of_the_laws(distance):
    law = distance(numbers(normal(200_000, 90), normal(200_000, 91, 0.5))).value
    found = [distance(numbers(normal(2000, 2 * s), normal(1000, 2 * s + 1, 0.5))) for s in range(40)]
    assert sum(m.low <= law <= m.high for m in found) >= 34
