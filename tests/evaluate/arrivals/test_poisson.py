from __future__ import annotations

import numpy as np
from scipy import stats

from roadworthy.evaluate.arrivals.poisson import Poisson


def test_gaps_are_exponential() -> None:
    gaps = np.diff(Poisson()(1000, 20, np.random.default_rng(0)))
    assert stats.kstest(gaps, "expon", args=(0, 1 / 1000)).pvalue > 0.001


def test_the_count_of_a_second_varies_as_much_as_its_mean() -> None:
    counts = np.bincount(Poisson()(50, 2000, np.random.default_rng(1)).astype(int))
    assert counts.var() / counts.mean() == np.clip(counts.var() / counts.mean(), 0.9, 1.1)
