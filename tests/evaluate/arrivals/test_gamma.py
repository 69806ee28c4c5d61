from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from roadworthy.evaluate.arrivals.gamma import Gamma
from roadworthy.evaluate.load_test.traces import cv


@pytest.mark.parametrize("wanted", [0.3, 1.0, 3.0])
def test_the_gaps_are_as_uneven_as_asked(wanted: float) -> None:
    due = Gamma(cv=wanted)(100, 300, np.random.default_rng(0))
    assert cv(due).value == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize("wanted", [0.3, 1.0])
def test_the_gaps_follow_the_gamma_law(wanted: float) -> None:
    gaps, shape = np.diff(Gamma(cv=wanted)(100, 300, np.random.default_rng(0))), wanted**-2
    assert stats.kstest(gaps, "gamma", args=(shape, 0, 0.01 / shape)).pvalue > 0.001


def test_the_beginning_is_as_busy_as_the_rest() -> None:
    """A process of bursts that began with the run would have 4 arrivals more in its first second than in others."""
    first = [len(Gamma(cv=3.0)(10, 1, np.random.default_rng(seed))) for seed in range(3000)]
    assert np.mean(first) == pytest.approx(10, rel=0.05)


def test_a_deviation_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`cv` .* must be between 0.01 and 100, got 0"):
        Gamma(cv=0)
