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


def hypergeometric_cdf(hits: int, rows: int, marked: int, drawn: int) -> float:
    """P(at most `hits` marked ones among `drawn` of `rows`, `marked` of which are), drawn without putting back."""
    import numpy as np

    least, most = max(0, drawn + marked - rows), min(drawn, marked)
    if hits < least or hits >= most:
        return 0.0 if hits < least else 1.0
    k = np.arange(least, hits, dtype=np.float64)
    # Each term from the one before it; the first in logarithms, as it may be too small for a float.
    ratios = np.log((marked - k) * (drawn - k)) - np.log((k + 1) * (rows - marked - drawn + k + 1))
    terms = np.concatenate([[0.0], np.cumsum(ratios)])
    first = _log_choose(marked, least) + _log_choose(rows - marked, drawn - least) - _log_choose(rows, drawn)
    return min(1.0, float(np.exp(terms + first).sum()))


def upper_count(hits: int, rows: int, drawn: int, delta: float) -> int:
    """The most marked ones that `rows` can hold if `hits` of `drawn` are; the truth lies above seldom (`delta`).

    Exact for rows drawn without putting back (Buonaccorsi 1987, one-sided).
    """
    low, high = hits, rows - (drawn - hits)
    while low < high:
        middle = (low + high + 1) // 2
        likely = hypergeometric_cdf(hits, rows, middle, drawn) > delta
        low, high = (middle, high) if likely else (low, middle - 1)
    return low


def lower_count(hits: int, rows: int, drawn: int, delta: float) -> int:
    """The fewest marked ones that `rows` can hold if `hits` of `drawn` are; the truth lies below so seldom."""
    return rows - upper_count(drawn - hits, rows, drawn, delta)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
