"""How many requests a percentile needs, by MLPerf LoadGen's early-stopping rule; exact, from the binomial law.

With t requests over the bound, at least h must be under it so that, were the bound not the percentile, so few over it
would be seen with a probability of at most 1 - confidence (mlcommons/inference, loadgen/early_stopping.cc).
"""

from __future__ import annotations

import math

import numpy as np

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing
from roadworthy.evaluate.binomial import at_most
from roadworthy.evaluate.load_test.timeline import Floats

CONFIDENCE = 0.99


def least_under(over: int, share: float, confidence: float = CONFIDENCE) -> int:
    """How many requests must be within a bound, `over` being beyond it, for it to bound `share` of them all.

    >>> least_under(0, 0.99), least_under(1, 0.9)
    (459, 63)
    """
    low, high = 1, 1
    while at_most(over, over + high, 1 - share) > 1 - confidence:
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        if at_most(over, over + middle, 1 - share) > 1 - confidence:
            low = middle + 1
        else:
            high = middle
    return high


def least_requests(share: float, over: int = 0, confidence: float = CONFIDENCE) -> int:
    """How many requests a percentile needs at the least, `over` of them being beyond it.

    >>> least_requests(0.99), least_requests(0.99, over=1), least_requests(0.9, over=1)
    (459, 662, 64)
    """
    return over + least_under(over, share, confidence)


def bound(name: str, seconds: Floats, share: float, confidence: float = CONFIDENCE) -> Measurement:
    """LoadGen's estimate of a percentile (ms): the smallest latency that its rule grants as a bound on `share`.

    It errs on the high side, as SingleStream and MultiStream report it; n=0 where there are too few requests.
    """
    over = _most_over(len(seconds), share, confidence)
    if not over:
        return nothing(name, "ms")
    value = 1000 * float(np.sort(seconds)[len(seconds) - over])
    return Measurement(name, value, len(seconds), 0.0, value, "ms", conditions={"confidence": confidence})


def _most_over(n: int, share: float, confidence: float) -> int:
    """The most requests that may lie beyond the percentile of n; 0 where not even one may."""
    low, high = 0, math.ceil(n * (1 - share)) + 1
    while low < high:
        middle = (low + high + 1) // 2
        if middle < n and at_most(middle, n, 1 - share) <= 1 - confidence:
            low = middle
        else:
            high = middle - 1
    return low
