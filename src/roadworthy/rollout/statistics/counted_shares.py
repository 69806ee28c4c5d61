"""How often answers fall into each part of their range on either arm, and bounds on how far that is apart.

It sees codes only (the part that a row falls into), counted by block of time, so a million rows cost little. The
bounds are on the average over the requests so far, not on what other weather would bring, so they need no independence
of days (Waudby-Smith et al., arXiv 2103.06476, on means that move).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.rollout.statistics.sequential import block_ends, mean_bounds

Floats = NDArray[np.float64]
_PARTS = 10
_MOST_VALUES = 20
_PICKED = 10_000


@dataclass(frozen=True)
class Coding:
    """What part of its range a value falls into: between deciles for numbers, which value for text.

    Code 0 is a missing value; text that was not among the most frequent has the last code.
    """

    edges: Floats | None
    values: dict[str, int]

    @classmethod
    def of(cls, values: NDArray[Any]) -> Coding:
        """From values of stable, evenly picked where there are many."""
        first = spread_out(values)
        if first.dtype != object:
            known = first[np.isfinite(first)]
            edges = np.unique(np.quantile(known, np.arange(1, _PARTS) / _PARTS)) if len(known) else np.zeros(0)
            return cls(edges, {})
        counts = Counter(_text(value) for value in first.tolist() if value is not None)
        return cls(None, {name: k for k, (name, _) in enumerate(counts.most_common(_MOST_VALUES), 1)})

    @property
    def codes(self) -> int:
        """How many there are."""
        return len(self.values) + 2 if self.edges is None else len(self.edges) + 2

    def code(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """The code of each value (n,)."""
        if self.edges is not None and values.dtype != object:
            # Values on an edge lie above it, so that a 0 among 0s and 1s is apart from the 1s.
            return np.where(np.isfinite(values), 1 + np.searchsorted(self.edges, values, side="right"), 0)
        other, known = self.codes - 1, self.values
        return np.array([0 if v is None else known.get(_text(v), other) for v in values.tolist()], np.int64)

    def tested(self) -> NDArray[np.float64]:
        """(tests, codes): which codes each test counts together: those above an edge, or one value; and the missing."""
        every = np.arange(self.codes)
        missing = (every == 0)[None]
        if self.edges is None:
            return np.vstack([missing, every == every[1:, None]]).astype(np.float64)
        return np.vstack([missing, every >= every[2:, None]]).astype(np.float64)


@dataclass(frozen=True)
class Apart:
    """The largest difference between two shares over all tests of a column, with bounds on it."""

    value: float
    low: float
    high: float
    before: float
    after: float
    which: int


def apart_of_split(
    on_candidate: NDArray[np.bool_], code: NDArray[np.int64], tested: Floats, alpha: float, best_at: float
) -> Apart:
    """Of rows in time order on one arm each, compared within blocks of time as `difference_of_split` does.

    `alpha` is of all tests together.
    """
    ends = block_ends(len(code))
    block = np.searchsorted(ends, np.arange(len(code)), side="right")
    blocks, codes = int(block[-1]) + 1, tested.shape[1]
    cells = np.bincount((block * 2 + on_candidate) * codes + code, minlength=blocks * 2 * codes)
    hits = cells.reshape(blocks, 2, codes) @ tested.T
    rows = cells.reshape(blocks, 2, codes).sum(axis=2)
    n, k = rows.sum(axis=1).astype(np.float64), rows[:, 1].astype(np.float64)
    return _largest(*_differences(hits[:, 1], hits.sum(axis=1), k[:, None], n[:, None]), hits, rows, alpha, best_at)


def apart_of_pairs(
    before: NDArray[np.int64], after: NDArray[np.int64], tested: Floats, alpha: float, best_at: float
) -> Apart:
    """Of requests that both arms answered, in time order."""
    n, gaps = len(before), (test[after] - test[before] for test in tested)
    difference, spread = np.array([(gap.mean(), gap.std(ddof=1)) for gap in gaps]).T
    half = spread * mean_bounds(0.0, 1.0, n, alpha / len(tested), best_at)[1]
    shares = tested @ np.bincount(before, minlength=tested.shape[1]) / n
    return _apart(difference, half, shares, shares + difference)


def _differences(x: Floats, r: Floats, k: Floats, n: Floats) -> tuple[Floats, Floats, float]:
    """The difference of each test, its standard deviation for one effective row, and how many of those there are.

    `x` (blocks, tests) are the candidate's hits, `r` those of both arms, `k` (blocks, 1) its rows, `n` all rows.
    """
    effective = float((k * (1 - k / n)).sum())
    if effective < 1:
        return np.zeros(x.shape[1]), np.full(x.shape[1], np.inf), 0.0
    difference = (x - k * r / n).sum(axis=0) / effective
    arm, rate = k / n, r / n
    squares = sum(
        (count * ((on - arm) * (hit - rate - difference * (on - arm))) ** 2).sum(axis=0)
        for on, hit, count in ((1, 1, x), (1, 0, k - x), (0, 1, r - x), (0, 0, n - k - r + x))
    )
    return difference, np.sqrt(squares / effective), effective


def _largest(
    difference: Floats,
    spread: Floats,
    effective: float,
    hits: Floats,
    rows: NDArray[np.int64],
    alpha: float,
    best_at: float,
) -> Apart:
    half = spread * mean_bounds(0.0, 1.0, effective, alpha / len(difference), best_at)[1]
    shares = hits.sum(axis=0) / np.maximum(rows.sum(axis=0)[:, None], 1)
    return _apart(difference, half, shares[0], shares[1])


def _apart(difference: Floats, half: Floats, before: Floats, after: Floats) -> Apart:
    low, high = np.abs(difference) - half, np.abs(difference) + half
    which = int(np.argmax(np.abs(difference)))
    at = float(np.abs(difference[which]))
    return Apart(at, float(low.max()), float(high.max()), float(before[which]), float(after[which]), which)


def said_test(coding: Coding, which: int) -> str:
    """What a test counts, in words."""
    if which == 0:
        return "are missing"
    if coding.edges is not None:
        return f"are at least {coding.edges[which - 1]:.4g}"
    names = list(coding.values)
    return f"are {names[which - 1]!r}" if which <= len(names) else "are none of the frequent values"


def spread_out(values: NDArray[Any]) -> NDArray[Any]:
    """Some ten thousand of the values, evenly picked from all of their time."""
    return values[:: max(1, len(values) // _PICKED)]


def measured(columns: Sequence[NDArray[Any]]) -> bool:
    """Whether these are columns that can be coded: numbers or text, one value a row."""
    return all(column.ndim == 1 for column in columns)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else str(value)[:40]
