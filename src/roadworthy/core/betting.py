"""Bounds on a mean of bounded values that hold at every number of rows, for weighted samples too, by betting.

A gambler bets on each row before it is seen. Where the mean is no greater than claimed, the capital grows to 1 / delta
with probability at most delta (Ville 1939), however long one plays: whoever gets rich has shown a greater mean
(Waudby-Smith & Ramdas 2023, `Estimating means of bounded random variables by betting`). Each bound takes the rows in
the order in which they came. With `horizon` the bets are best for that many rows, a number fixed beforehand; without it
one may look after every row, any number of times. numpy is imported inside.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

# Never more than this part of the capital is put at risk on a row, so that no row ruins the gambler.
MOST_AT_RISK = 0.75


def capital(
    values: ArrayLike, mean: float, low: float, high: float, delta: float, horizon: int | None = None
) -> NDArray[np.float64]:
    """The log of the capital after each row against "the mean is at most `mean`"; values are at least `low`.

    The bets are the predictable plug-in ones (Waudby-Smith & Ramdas 2023, equation 26), cut so that the capital stays
    above 0. It falls as `mean` grows, so the means that it does not refute are an interval. `high` only sets the scale.
    """
    import numpy as np

    x = np.asarray(values, dtype=np.float64)
    deepest = mean - low
    bets = np.minimum(_bets(x, low, high, delta, horizon), MOST_AT_RISK / deepest if deepest > 0 else np.inf)
    return np.asarray(np.cumsum(np.log1p(bets * (x - mean))))


def shows_above(
    values: ArrayLike, mean: float, low: float, high: float, delta: float, horizon: int | None = None
) -> bool:
    """Whether the rows show the mean to be above `mean` (error at most `delta`)."""
    found = capital(values, mean, low, high, delta, horizon)
    return bool(len(found)) and float(found.max()) >= -math.log(delta)


def lower_mean(values: ArrayLike, low: float, high: float, delta: float, horizon: int | None = None) -> float:
    """A bound that the mean lies below with probability at most `delta`.

    >>> round(lower_mean([1.0] * 30, 0.0, 1.0, 0.05, horizon=30), 2)
    0.88
    """
    bottom, top = low, high
    if not shows_above(values, bottom, low, high, delta, horizon):
        return low
    for _ in range(30):
        middle = (bottom + top) / 2
        bottom, top = (middle, top) if shows_above(values, middle, low, high, delta, horizon) else (bottom, middle)
    return bottom


def upper_mean(values: ArrayLike, low: float, high: float, delta: float, horizon: int | None = None) -> float:
    """A bound that the mean lies above with probability at most `delta`."""
    import numpy as np

    return low + high - lower_mean(low + high - np.asarray(values, dtype=np.float64), low, high, delta, horizon)


def _bets(x: NDArray[np.float64], low: float, high: float, delta: float, horizon: int | None) -> NDArray[np.float64]:
    """What is bet on each row, from the rows before it: sqrt(2 log(1/delta) / (n variance)), or t log(t + 1) for n."""
    import numpy as np

    n, widest = len(x), (high - low) ** 2 / 4
    counts = np.arange(1, n + 1)
    # One row more, as spread as values can be: early bets stay small.
    centre = (np.cumsum(x) + (low + high) / 2) / (counts + 1)
    variance = (np.cumsum((x - centre) ** 2) + widest) / (counts + 1)
    before = np.concatenate([[widest], variance[:-1]])[:n]
    planned = counts * np.log(counts + 1) if horizon is None else max(horizon, 1)
    return np.asarray(np.sqrt(2 * math.log(1 / delta) / (planned * np.maximum(before, 1e-12))))
