"""Intervals of what is computed from totals, where neighbouring rows depend on each other.

Rows of one request, and requests that came one after another, go into one block; the blocks are left out in turn (the
delete-a-group jackknife, Kott 2001). numpy is imported inside: `import roadworthy` must not load it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing, z_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

# A longer dependence than n/40 rows is not seen; more blocks would see less, fewer would widen Student's tail.
BLOCKS = 40


def block_sums(
    values: ArrayLike, groups: Sequence[Any] | NDArray[Any], at: ArrayLike, blocks: int = BLOCKS
) -> NDArray[np.float64]:
    """The sums (blocks, k) of values (n, k) over stretches of time with about as many groups each, no group cut."""
    import numpy as np

    rows = np.asarray(values, np.float64)
    rows = rows.reshape(len(rows), -1)
    times = np.asarray(at, np.float64)
    _, first, inverse = np.unique(np.asarray(groups, dtype=object).astype(str), return_index=True, return_inverse=True)
    order = np.lexsort((first, times[first]))
    place = np.empty(len(first), np.int64)
    place[order] = np.arange(len(first))
    many = max(1, min(blocks, len(first)))
    part = (place[inverse] * many) // max(1, len(first))
    return np.stack([np.bincount(part, column, minlength=many) for column in rows.T], axis=1)


def of_totals(
    name: str,
    sums: NDArray[np.float64],
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    n: int,
    unit: str = "1",
    where: str = "",
    confidence: float = 0.95,
) -> Measurement:
    """`value` of the totals, with Student's interval from the values that leave one block out.

    `value` maps totals (m, k) to (m,), one number for each line of totals; a ratio of two of them, say. Fewer than two
    blocks bound nothing, and a value that cannot be had (NaN) was not measured.
    """
    import numpy as np

    whole = sums.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = float(value(whole[None, :])[0])
        without = np.asarray(value(whole[None, :] - sums), np.float64)
    if not n or math.isnan(found):
        return nothing(name, unit, where)
    without = without[np.isfinite(without)]
    at = {} if confidence == 0.95 else {"confidence": confidence}
    if len(without) < 2 or not math.isfinite(found):
        return Measurement(name, found, n, unit=unit, where=where, conditions=at)
    blocks = len(without)
    spread = math.sqrt((blocks - 1) / blocks * float(((without - without.mean()) ** 2).sum()))
    half = student(confidence, blocks - 1) * spread
    return Measurement(name, found, n, found - half, found + half, unit, where, at)


def student(confidence: float, freedom: int) -> float:
    """The two-sided quantile of Student's t, from the normal one (Cornish & Fisher; Abramowitz & Stegun 26.7.5).

    Exact for 1 and 2 degrees of freedom; elsewhere right to 1 in 100 from 3 on, and to 1 in 10,000 from 10 on.
    """
    if freedom == 1:
        return math.tan(math.pi * confidence / 2)
    if freedom == 2:
        return confidence * math.sqrt(2 / (1 - confidence**2))
    z, v = z_of(confidence), float(freedom)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / v**power for power, term in enumerate(terms))
