"""A score of strangeness becomes a p-value against rows that were held out from fitting."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData

# With fewer no row's p-value can be 5 % or less.
LEAST = 19


def p_values(held: NDArray[np.floating], scores: NDArray[Any]) -> NDArray[np.float64]:
    """The conformal p-value of each score, (1 + held-out ones at least as great) / (1 + held-out ones); NaN has none.

    Bates et al. 2023, "Testing for outliers with conformal p-values": for a row exchangeable with the held-out ones it
    is at most a with probability at most a. That is over the draw of the held-out rows too, and for one row at a
    time: the p-values of several rows share these. `held` is sorted.
    """
    # A row is summed in another order in another batch: what differs in the last digits is taken for equal.
    at_least = len(held) - np.searchsorted(held.astype(np.float32, copy=False), scores.astype(np.float32), side="left")
    return np.where(np.isnan(scores), np.nan, (1 + at_least) / (1 + len(held)))


def see_held(scores: NDArray[np.float64]) -> None:
    """Raise BadData for fewer scores than p-values need, and for such as are all the same or not finite."""
    if len(scores) < LEAST:
        raise BadData(f"a p-value of 5 % needs {LEAST} held-out rows or more, got {len(scores)}")
    if not np.isfinite(scores).all():
        raise BadData(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} held-out rows have no finite score")
    if scores.min() == scores.max() and len(scores) > 1:
        raise BadData(f"all {len(scores)} held-out rows have the score {scores[0]:g}: it tells nothing apart")


def some_of(scores: NDArray[np.float64], most: int, rng: Random) -> NDArray[np.float64]:
    """At most `most` of the scores, sorted: drawn, since a choice by their values would be no fair sample."""
    chosen = rng.sample(range(len(scores)), most) if len(scores) > most else range(len(scores))
    return np.sort(scores[list(chosen)])
