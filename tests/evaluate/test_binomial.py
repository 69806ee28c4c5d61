from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from roadworthy.evaluate.binomial import at_most, cumulative, two_sided_half


@pytest.mark.parametrize(("n", "p"), [(0, 0.5), (1, 0.3), (459, 0.99), (20_000, 0.5)])
def test_it_agrees_with_scipy(n: int, p: float) -> None:
    np.testing.assert_allclose(cumulative(n, p), stats.binom.cdf(np.arange(n + 1), n, p), atol=1e-9)


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (5, 10), (1, 12), (43, 486), (443, 486)])
def test_the_two_sided_test_is_exact(hits: int, n: int) -> None:
    expected = stats.binomtest(hits, n, 0.5).pvalue if n else 1.0
    assert two_sided_half(hits, n) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("hits", "n", "p"), [(0, 459, 0.01), (3, 10, 0.5), (1500, 160_000, 0.01), (10, 10, 0.2), (0, 1, 0.9)]
)
def test_the_tail_of_few_hits_agrees_with_scipy(hits: int, n: int, p: float) -> None:
    assert at_most(hits, n, p) == pytest.approx(stats.binom.cdf(hits, n, p), rel=1e-8)
