from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom, hypergeom

from roadworthy.core.bounds import (
    binomial_cdf,
    hypergeometric_cdf,
    incomplete_beta,
    lower_count,
    lower_rate,
    upper_count,
    upper_rate,
)


@settings(max_examples=200)
@given(st.integers(1, 50_000), st.floats(0, 1), st.floats(1e-4, 1 - 1e-4))
def test_the_binomial_law_is_scipys(n, part, share):
    hits = int(part * n)
    assert binomial_cdf(hits, n, share) == pytest.approx(binom.cdf(hits, n, share), rel=1e-7, abs=1e-9)


@given(st.floats(0, 1), st.floats(0.5, 500), st.floats(0.5, 500))
def test_the_incomplete_beta_function_is_scipys(x, a, b):
    assert incomplete_beta(x, a, b) == pytest.approx(beta.cdf(x, a, b), rel=1e-8, abs=1e-11)


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (10, 10), (95, 1000), (0, 100_000), (7, 20_000)])
def test_the_bounds_are_those_of_clopper_and_pearson(hits, n):
    high = 1.0 if hits == n else beta.ppf(0.95, hits + 1, n - hits)
    low = 0.0 if hits == 0 else beta.ppf(0.05, hits, n - hits + 1)
    assert upper_rate(hits, n, 0.05) == pytest.approx(high, rel=1e-6)
    assert lower_rate(hits, n, 0.05) == pytest.approx(low, rel=1e-6)


def test_without_rows_a_share_can_be_anything():
    assert (lower_rate(0, 0, 0.1), upper_rate(0, 0, 0.1)) == (0.0, 1.0)


def test_the_upper_bound_fails_no_oftener_than_it_says():
    rng = np.random.default_rng(0)
    hits = rng.binomial(80, 0.1, 2_000).tolist()
    missed = sum(upper_rate(h, 80, 0.1) < 0.1 for h in hits)
    assert missed <= binom.ppf(0.999, 2_000, 0.1)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 60_000), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_hypergeometric_law_is_scipys(rows, of_rows, of_drawn, part):
    marked, drawn = int(of_rows * rows), int(of_drawn * min(rows, 3_000))
    hits = int(part * drawn)
    assert hypergeometric_cdf(hits, rows, marked, drawn) == pytest.approx(
        hypergeom.cdf(hits, rows, marked, drawn), rel=1e-6, abs=1e-8
    )


def test_counts_are_bounded_by_what_was_not_seen():
    assert (lower_count(3, 10, 10, 0.1), upper_count(3, 10, 10, 0.1)) == (3, 3)
    assert (lower_count(0, 50, 0, 0.1), upper_count(0, 50, 0, 0.1)) == (0, 50)


@pytest.mark.parametrize("marked", [0, 3, 40, 200])
def test_the_bounds_on_a_count_fail_no_oftener_than_they_say(marked):
    hits = np.arange(61)
    chance = hypergeom.pmf(hits, 200, marked, 60)
    fit = (hits <= marked) & (60 - hits <= 200 - marked)
    above = sum(
        c for h, c in zip(hits[fit].tolist(), chance[fit], strict=True) if upper_count(h, 200, 60, 0.1) < marked
    )
    below = sum(
        c for h, c in zip(hits[fit].tolist(), chance[fit], strict=True) if lower_count(h, 200, 60, 0.1) > marked
    )
    assert max(above, below) <= 0.1
