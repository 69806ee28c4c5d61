"""The tests behind the promises: how far one may go in a fixed order before the errors could be too many.

Fixed-sequence testing (Maurer, Hothorn & Lehmacher 1995): hypotheses in an order fixed before the labels are seen, each
tested at the full delta, ending at the first that is not rejected. A wrong promise needs the first false hypothesis to
be rejected, which has probability delta at most: nothing is shared out over the many thresholds.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.bounds import hypergeometric_cdf

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


def furthest_count(ends: Rows, drawn: Rows, wrong: Flags, allowed: int, delta: float) -> int:
    """The greatest of `ends` reached: the first so many rows then hold at most `allowed` errors (prob. 1 - delta).

    `drawn` are the places of rows drawn at random without putting back, `wrong` says which of them are errors. Exact.
    """
    reached = 0
    if allowed < 0:
        return reached
    for end in ends.tolist():
        seen = drawn < end
        errors = int((wrong & seen).sum())
        if end > allowed and hypergeometric_cdf(errors, end, allowed + 1, int(seen.sum())) > delta:
            break
        reached = end
    return reached


def least_rows(share: float, delta: float) -> int:
    """The fewest rows, all of them right, that show `share` to be reached: share ** n <= delta.

    >>> least_rows(0.9, 0.05)
    29
    """
    return math.ceil(math.log(delta) / math.log(share))
