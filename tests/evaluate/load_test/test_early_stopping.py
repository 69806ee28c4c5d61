from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from roadworthy.evaluate.load_test.early_stopping import bound, least_requests, least_under


@pytest.mark.parametrize(
    ("share", "over", "requests"),
    [
        (0.5, 0, 7),
        (0.9, 0, 44),
        (0.95, 0, 90),
        (0.97, 0, 152),
        (0.99, 0, 459),
        (0.999, 0, 4603),
        (0.9, 1, 64),
        (0.99, 1, 662),
    ],
)
def test_the_numbers_are_those_of_loadgen(share: float, over: int, requests: int) -> None:
    assert least_requests(share, over) == requests


@pytest.mark.parametrize(("share", "over"), [(0.9, 3), (0.99, 17), (0.95, 200), (0.99, 1500)])
def test_one_request_fewer_would_not_do(share: float, over: int) -> None:
    under = least_under(over, share)
    assert stats.binom.cdf(over, over + under, 1 - share) <= 0.01
    assert stats.binom.cdf(over, over + under - 1, 1 - share) > 0.01


def test_the_bound_leaves_out_as_many_as_the_rule_grants() -> None:
    for n, left_out in ((64, 1), (1000, 78), (63, 0)):
        found = bound("p90_ms", np.arange(n) / 1000, 0.9)
        assert found.n == (n if left_out else 0)
        if left_out:
            assert found.value == pytest.approx(n - left_out)
            assert least_requests(0.9, left_out) <= n < least_requests(0.9, left_out + 1)


def test_the_bound_is_rarely_below_the_true_percentile() -> None:
    draws = np.random.default_rng(0)
    truth = 1000 * stats.expon.ppf(0.9)
    below = sum(bound("p90_ms", draws.exponential(size=300), 0.9).value < truth for _ in range(1000))
    assert below <= 20


def test_a_failure_may_be_the_bound() -> None:
    assert bound("p90_ms", np.full(100, np.inf), 0.9).value == np.inf
