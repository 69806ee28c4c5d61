"""The exact binomial distribution, which percentiles and paired counts both need."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def cumulative(n: int, p: float) -> NDArray[np.float64]:
    """P(X <= k) for k = 0..n (n + 1,) of X ~ Binomial(n, p), 0 < p < 1.

    >>> cumulative(2, 0.5).tolist()
    [0.25, 0.75, 1.0]
    """
    k = np.arange(n + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    log_mass = log_factorial[n] - log_factorial - log_factorial[::-1] + k * np.log(p) + (n - k) * np.log1p(-p)
    return np.asarray(np.minimum(np.round(np.cumsum(np.exp(log_mass)), 15), 1.0))


def at_most(hits: int, n: int, p: float) -> float:
    """P(X <= hits) of X ~ Binomial(n, p), 0 < p < 1, in the time of `hits` terms, however large n is.

    >>> at_most(0, 2, 0.5), at_most(1, 2, 0.5), at_most(2, 2, 0.5)
    (0.25, 0.75, 1.0)
    """
    if hits >= n:
        return 1.0
    k = np.arange(1, hits + 1)
    # Each term from the one before: log of (n - k + 1) / k times the odds.
    steps = np.log((n - k + 1) / k) + math.log(p) - math.log1p(-p)
    log_mass = n * math.log1p(-p) + np.concatenate([[0.0], np.cumsum(steps)])
    return float(min(1.0, np.exp(log_mass).sum()))


def two_sided_half(hits: int, n: int) -> float:
    """The exact two-sided p-value of `hits` of n under a fair coin; 1.0 where n is 0."""
    if n == 0:
        return 1.0
    return min(1.0, 2 * float(cumulative(n, 0.5)[min(hits, n - hits)]))
