"""What was to be expected of each row, given what it asked: the mean of rows like it in the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadworthy.observe.root_cause.dimensions import Codes, Dimension
from roadworthy.observe.root_cause.metric_rows import Floats, MetricRows, Scale

# Rows like one are those that agree with it in so many dimensions, which explain most of the baseline.
MOST_STRATA = 3
# A cell leans on the one that holds it like on so many rows (empirical Bayes, after Efron & Morris 1975).
PRIOR_ROWS = 5.0
LEAST_EXPLAINED = 0.005
MOST_CELLS = 1 << 22


@dataclass(frozen=True)
class Expected:
    """`expected_*` are the means of the rows' likes, `rest_*` what each row has beyond that; one of each a scale."""

    scales: tuple[Scale, ...]
    expected_now: tuple[Floats, ...]
    expected_before: tuple[Floats, ...]
    strata: tuple[str, ...]

    @property
    def rest_now(self) -> tuple[Floats, ...]:
        return tuple(s.now - e for s, e in zip(self.scales, self.expected_now, strict=True))

    @property
    def rest_before(self) -> tuple[Floats, ...]:
        return tuple(s.before - e for s, e in zip(self.scales, self.expected_before, strict=True))

    def take(self, now: NDArray[np.bool_], before: NDArray[np.bool_]) -> Expected:
        """The same for some of the rows."""
        scales = tuple(Scale(s.name, s.now[now], s.before[before]) for s in self.scales)
        a, b = (e[now] for e in self.expected_now), (e[before] for e in self.expected_before)
        return Expected(scales, tuple(a), tuple(b), self.strata)

    def then(self, inside: NDArray[np.int64], outside: NDArray[np.int64]) -> Expected:
        """As if some rows of the baseline were the window, and others the baseline."""
        scales = tuple(Scale(s.name, s.before[inside], s.before[outside]) for s in self.scales)
        a, b = (e[inside] for e in self.expected_before), (e[outside] for e in self.expected_before)
        return Expected(scales, tuple(a), tuple(b), self.strata)


def expected(dims: Sequence[Dimension], rows: MetricRows) -> Expected:
    """Cells of the dimensions that explain most of the baseline. Who served a row is never one: it may be the cause."""
    usable = [d for d in dims if d.role == "asked" or d.name == "cache"]
    strata = _strata(usable, rows.scales)
    levels = _levels(strata)
    now, before = [], []
    for scale in rows.scales:
        a, b = _means(levels, scale)
        now.append(a)
        before.append(b)
    return Expected(rows.scales, tuple(now), tuple(before), tuple(d.name for d in strata))


def _strata(usable: Sequence[Dimension], scales: Sequence[Scale]) -> list[Dimension]:
    """One dimension after the other, each adding most to what those before it explain."""
    chosen: list[Dimension] = []
    codes, cells, explained = np.zeros(len(scales[0].before), np.int64), 1, 0.0
    while len(chosen) < MOST_STRATA:
        left = [d for d in usable if d not in chosen and cells * d.size <= MOST_CELLS]
        gains = [_explained(codes * d.size + d.before, cells * d.size, scales) for d in left]
        if not gains or max(gains) - explained < LEAST_EXPLAINED:
            break
        explained, best = max(gains), left[int(np.argmax(gains))]
        chosen.append(best)
        codes, cells = codes * best.size + best.before, cells * best.size
    return chosen


def _explained(codes: Codes, cells: int, scales: Sequence[Scale]) -> float:
    """The share of the variance between cells, adjusted for their number, as a mean over the scales."""
    counts = np.bincount(codes, minlength=cells)
    there, n = counts > 0, len(codes)
    shares = []
    for scale in scales:
        whole = float(((scale.before - scale.before.mean()) ** 2).sum())
        sums = np.bincount(codes, scale.before - scale.before.mean(), cells)[there]
        between = float((sums**2 / counts[there]).sum())
        freedom = max(1, n - int(there.sum()))
        shares.append(1 - (1 - between / whole) * (n - 1) / freedom if whole else 0.0)
    return float(np.mean(shares))


class _Level(NamedTuple):
    """Cells of one or several dimensions: the code of each row, how many there are, and the cell that holds each."""

    now: Codes
    before: Codes
    cells: int
    parent: NDArray[np.int64]


def _levels(strata: Sequence[Dimension]) -> list[_Level]:
    """The cells of the first dimension, of the first two, and so on."""
    levels: list[_Level] = []
    for d in strata:
        if not levels:
            levels.append(_Level(d.now, d.before, d.size, np.zeros(d.size, np.int64)))
            continue
        last = levels[-1]
        now, before = last.now * d.size + d.now, last.before * d.size + d.before
        levels.append(_Level(now, before, last.cells * d.size, np.repeat(np.arange(last.cells), d.size)))
    return levels


def _means(levels: Sequence[_Level], scale: Scale) -> tuple[Floats, Floats]:
    """The mean of its cell for each row, now and before; a small cell leans on the one that holds it."""
    means = np.array([scale.before.mean()])
    for level in levels:
        counts = np.bincount(level.before, minlength=level.cells)
        sums = np.bincount(level.before, scale.before, level.cells)
        means = (sums + PRIOR_ROWS * means[level.parent]) / (counts + PRIOR_ROWS)
    if not levels:
        return np.full(len(scale.now), means[0]), np.full(len(scale.before), means[0])
    return means[levels[-1].now], means[levels[-1].before]
