"""Bounds on a share or a mean that hold for the n at hand, not only for large n.

numpy is imported inside: `import roadworthy` must not load it.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def binomial_cdf(hits: int, n: int, share: float) -> float:
    """P(at most `hits` of n), each with probability `share`; exact (DLMF 8.17.5)."""
    if hits < 0:
        return 0.0
    if hits >= n or share <= 0.0:
        return 1.0
    return 0.0 if share >= 1.0 else incomplete_beta(1.0 - share, n - hits, hits + 1)


def upper_rate(hits: int, n: int, delta: float) -> float:
    """The greatest share under which at most `hits` of n has probability `delta` (Clopper & Pearson 1934, one-sided).

    The true share lies above it with probability at most `delta`. 1 where there are no rows.
    """
    if hits >= n:
        return 1.0
    return _crossing(lambda share: binomial_cdf(hits, n, share) > delta, hits / n if n else 0.0, 1.0)


def lower_rate(hits: int, n: int, delta: float) -> float:
    """The least share under which at least `hits` of n has probability `delta`; the true one lies below so seldom."""
    return 0.0 if hits <= 0 else 1.0 - upper_rate(n - hits, n, delta)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by Lentz's continued fraction (DLMF 8.17.22); error below 1e-12."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(1.0 - x, b, a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1))
    whole = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away(1.0 + term * d)
            c = _away(1.0 + term / c)
            whole *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return math.exp(front) * whole / a


def _away(value: float) -> float:
    """The value, kept from 0, by which the fraction divides."""
    return value if abs(value) > 1e-300 else 1e-300


def _crossing(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where `holds`, true at `low`, ends; rounded to the safe side."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high
