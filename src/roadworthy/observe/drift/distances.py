"""How far a column has moved from its reference, by each of the usual measures, and whether chance alone explains that.

Every distance is a Measurement with a 95 % interval; `conditions` holds the p-value and, in words, what moved most. All
are computed from counts on one frame, so they cost the same for a million rows as for fifty.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from roadworthy.core.columns import Numbers
from roadworthy.core.measure import Measurement
from roadworthy.core.profile import Part
from roadworthy.core.stats import binomial_survival, chi2_survival, proportion
from roadworthy.observe.drift.bins import NULL, Counts, count

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A chi-square is close enough when each bin expects this many rows.
FILLED = 5.0
ROWS_A_BIN = 10
# The Wasserstein distance sees no further from the median than this, in robust standard deviations: a mean of what is
# far out is a matter of a few rows.
_FARTHEST = 5.0
# Above so many rows the normal limit of a share is as good as the exact binomial.
_MANY = 2_000


@dataclass(frozen=True)
class Pair:
    """One column of the reference and of the current rows, counted on one frame; `bins` is the most to cut it into."""

    name: str
    reference: Part
    current: Part
    bins: int = 10

    @property
    def rows(self) -> int:
        """Rows of the smaller of both."""
        return min(self.reference.n, self.current.n)

    @cached_property
    def counts(self) -> Counts:
        """Rows a bin: as many bins as `bins` and the rows allow."""
        return count(self.reference, self.current, min(self.bins, max(2, self.rows // ROWS_A_BIN)))

    @cached_property
    def gathered(self) -> tuple[Counts, bool]:
        """The bins with the thin ones made into one, and whether that one is still thin."""
        return self.counts.gather(FILLED)

    @cached_property
    def cells(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Shares of all rows in each cell, from left to right; null comes first, so that none is overlooked."""
        sides = (self.reference, self.current)
        return tuple(  # type: ignore[return-value]  # mypy does not know the length
            np.concatenate([[float(side.nulls)], _cells(side)]) / max(1, side.n) for side in sides
        )


Distance = Callable[[Pair], Measurement]


def psi(pair: Pair) -> Measurement:
    """The population stability index; 0.1 is a shift of a third of a standard deviation, 0.25 of a half."""
    return _index(pair, "psi", lambda old, new, _: (new - old) * np.log(new / old), 1.0, lambda total: total)


def kl(pair: Pair) -> Measurement:
    """The Kullback-Leibler divergence of the current rows from the reference (nats)."""
    return _index(pair, "kl", lambda old, new, _: new * np.log(new / old) - (new - old), 2.0, lambda total: total)


def jensen_shannon(pair: Pair) -> Measurement:
    """The Jensen-Shannon distance: the root of the divergence in bits, from 0 to 1 (Endres & Schindelin 2003)."""

    def parts(old: NDArray[np.float64], new: NDArray[np.float64], _: float) -> NDArray[np.float64]:
        half = (old + new) / 2
        return np.asarray((old * np.log(old / half) + new * np.log(new / half)) / 2)

    return _index(pair, "jensen_shannon", parts, 8.0, lambda total: math.sqrt(min(1.0, max(0.0, total) / math.log(2))))


def chi_square(pair: Pair) -> Measurement:
    """Cohen's w (1988): the root of chi-square a row, where 0.1 is small, 0.3 is medium and 0.5 is large."""

    def parts(old: NDArray[np.float64], new: NDArray[np.float64], share: float) -> NDArray[np.float64]:
        return np.asarray((new - old) ** 2 / (share * new + (1 - share) * old))

    return _index(pair, "chi_square", parts, 1.0, lambda total: math.sqrt(max(0.0, total)))


def l_infinity(pair: Pair) -> Measurement:
    """The largest difference of the shares of one bin, with an exact binomial test of that bin (Bonferroni)."""
    bins = pair.counts
    n, m = bins.reference.sum(), bins.current.sum()
    gaps = bins.current / m - bins.reference / n
    top = int(np.argmax(np.abs(gaps)))
    p = min(1.0, len(gaps) * _share_p(int(bins.reference[top]), int(bins.current[top]), float(m / (n + m))))
    gap, half = float(abs(gaps[top])), _band(n, m)
    low, high = max(0.0, gap - 2 * half), min(1.0, gap + 2 * half)
    return Measurement("l_infinity", gap, int(m), low, high, where=pair.name, conditions={"p": p, "most": _most(bins)})


def kolmogorov_smirnov(pair: Pair) -> Measurement:
    """The largest difference of the two cumulative distributions, null counting as the least value.

    p is the bound of Dvoretzky, Kiefer and Wolfowitz with Massart's constant, for two samples (Wei & Dudley 2012):
    it holds at any n, and with ties.
    """
    old, new = pair.cells
    n, m = pair.reference.n, pair.current.n
    gaps = np.cumsum(new - old)[:-1]
    at = int(np.argmax(np.abs(gaps))) if len(gaps) else 0
    distance = float(abs(gaps[at])) if len(gaps) else 0.0
    p = min(1.0, (2.0 if min(n, m) >= 458 else math.e) * math.exp(-2 * n * m / (n + m) * distance**2))
    half = _band(n, m)
    low, high = max(0.0, distance - half), min(1.0, distance + half)
    told = {"p": p, "most": _below(pair, at, float(old[: at + 1].sum()), float(new[: at + 1].sum()))}
    return Measurement("ks", distance, m, low, high, where=pair.name, conditions=told)


def wasserstein(pair: Pair) -> Measurement:
    """How far rows moved on average, in robust standard deviations of the reference, at most 5 from its median.

    Null counts as the least value. On one law the distance is a Lipschitz function of Gaussian gaps, so it exceeds its
    mean by t with probability at most exp(-t^2 / 2v), v being the variance of the difference of the two means (Borell
    1975; Tsirelson, Ibragimov & Sudakov 1976).
    """
    if not isinstance(pair.reference, Numbers):
        raise TypeError(f"{pair.name!r} is a category: no value of it lies between two others")
    old, new = pair.cells
    widths, values = _metric(pair.reference, old)
    n, m = pair.reference.n, pair.current.n
    gaps = np.cumsum(new - old)[:-1]
    distance = float(np.abs(gaps) @ widths)
    pooled = (n * old + m * new) / (n + m)
    upto = np.clip(np.cumsum(pooled)[:-1], 0.0, 1.0)
    scale, spread = 1 / n + 1 / m, float(pooled @ values**2 - (pooled @ values) ** 2)
    mean_gap = math.sqrt(2 / math.pi) * float(np.sqrt(upto * (1 - upto)) @ widths)
    beyond = max(0.0, distance - mean_gap * math.sqrt(scale))
    p = math.exp(-(beyond**2) / (2 * spread * scale)) if spread > 0 and beyond else 1.0 if not beyond else 0.0
    half = (n**-0.5 + m**-0.5) * (mean_gap + math.sqrt(2 * max(0.0, spread) * math.log(2 / 0.05)))
    mean = tuple(float(side @ values) for side in (old, new))
    told = {"p": p, "most": f"rows moved {'up' if mean[1] > mean[0] else 'down'}", "unit": "robust sd of the reference"}
    low, high = max(0.0, distance - half), distance + half
    return Measurement("wasserstein", distance, m, low, high, "sd", pair.name, told)


def beyond(pair: Pair) -> Measurement:
    """The share of rows beyond all that the reference has, to either side; a change of unit sends rows there.

    That the k largest of all rows are current ones has probability at most (m / (n + m))^k on one law, whatever the
    law. One row is let off on each side, as it may be a slip.
    """
    if not isinstance(pair.reference, Numbers):
        raise TypeError(f"{pair.name!r} is a category: no value of it lies beyond another")
    old, new = (np.asarray(_cells(side)) for side in (pair.reference, pair.current))
    held, m = np.flatnonzero(old), pair.current.n
    if not len(held):
        return Measurement("beyond", 0.0, m, where=pair.name, conditions={"p": 1.0, "most": ""})
    sides = int(new[: held[0]].sum()), int(new[held[-1] + 1 :].sum())
    rows = [max(0, k - 1) for k in sides]
    share = m / (pair.reference.n + m)
    p = min(1.0, 2 * share ** max(rows)) if max(rows) else 1.0
    told = f"{sides[0]} rows below and {sides[1]} above all that the reference has"
    return replace(proportion("beyond", sum(rows), m, pair.name), conditions={"p": p, "most": told})


def _index(
    pair: Pair,
    name: str,
    parts_of: Callable[[NDArray[np.float64], NDArray[np.float64], float], NDArray[np.float64]],
    curvature: float,
    value_of: Callable[[float], float],
) -> Measurement:
    """An index that sums over bins. Near 0 all of them are multiples of chi-square, and share its test.

    The test is Pearson's, whose limit holds from 5 rows a bin on; that of a sum of logarithms needs far more.
    """
    bins, thin = pair.gathered
    n, m = float(bins.reference.sum()), float(bins.current.sum())
    # Half a count per bin: an empty bin would make log(0), and the index infinite.
    old = (bins.reference + 0.5) / (n + 0.5 * len(bins.names))
    new = (bins.current + 0.5) / (m + 0.5 * len(bins.names))
    total, scale = float(parts_of(old, new, m / (n + m)).sum()), curvature * n * m / (n + m)
    low, high = (value_of(bound) for bound in _interval(total, scale, len(bins.names) - 1))
    told = {"p": homogeneity_p(bins, thin), "most": _most(bins)}
    return Measurement(name, value_of(total), int(m), low, high, where=pair.name, conditions=told)


def homogeneity_p(bins: Counts, thin: bool) -> float:
    """Are both columns of one law? Pearson's chi-square; of the bin that is too thin for it an exact binomial test."""
    filled = len(bins.names) - thin
    old, new = bins.reference[:filled], bins.current[:filled]
    n, m = old.sum(), new.sum()
    p = 1.0
    if filled > 1 and n and m:
        expected = (old + new) * (m / (n + m))
        p = chi2_survival(float(((new - expected) ** 2 / expected).sum() * (n + m) / n), filled - 1)
    if thin:
        m, both = bins.current.sum(), bins.reference.sum() + bins.current.sum()
        p = min(1.0, 2 * min(p, _share_p(int(bins.reference[-1]), int(bins.current[-1]), float(m / both))))
    return p


def _share_p(before: int, after: int, share: float) -> float:
    """Two-sided: of `before + after` rows of a bin, is the current part more or less than its share of all rows?"""
    both = before + after
    if both > _MANY:
        off = max(0.0, abs(after - both * share) - 0.5)
        return float(math.erfc(off / math.sqrt(2 * both * share * (1 - share))))
    more, fewer = binomial_survival(after, both, share), binomial_survival(before, both, 1 - share)
    return min(1.0, 2 * min(more, fewer))


def _interval(total: float, scale: float, freedom: int) -> tuple[float, float]:
    """Of the true index, by the normal approximation to the non-central chi-square."""
    centre = max(0.0, total * scale - freedom)
    half = 1.96 * math.sqrt(2 * (freedom + 2 * centre))
    return max(0.0, centre - half) / scale, max((centre + half) / scale, total)


def _band(n: float, m: float) -> float:
    """How far two empirical distributions may lie from their own laws together, in 95 % of the cases (Massart 1990)."""
    return math.sqrt(math.log(4 / 0.05) / 2) * (1 / math.sqrt(n) + 1 / math.sqrt(m))


def _most(bins: Counts) -> str:
    """The bin that adds most to the index, in words."""
    n, m = bins.reference.sum(), bins.current.sum()
    old, new = (bins.reference + 0.5) / (n + 0.5), (bins.current + 0.5) / (m + 0.5)
    top = int(np.argmax((new - old) * np.log(new / old)))
    return f"{bins.names[top]}: {bins.reference[top] / n:.1%} became {bins.current[top] / m:.1%}"


def _below(pair: Pair, at: int, before: float, now: float) -> str:
    if at == 0 or not isinstance(pair.reference, Numbers):
        return f"{NULL}: {before:.1%} became {now:.1%}"
    nulls = f"{NULL} or " if pair.reference.nulls or pair.current.nulls else ""
    return f"{nulls}up to {pair.reference.grid.edges()[at - 1]:.4g}: {before:.1%} became {now:.1%}"


def _cells(side: Part) -> NDArray[np.int64]:
    if not isinstance(side, Numbers):
        raise TypeError("categories have no order")
    return side.counts()


def _metric(reference: Numbers, shares: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How wide the steps between neighbouring cells are, and where cells lie, in robust standard deviations.

    Steps end 5 from the median, or 1 beyond the 0.5 % of the reference that lie furthest out, whichever is nearer.
    """
    places = reference.grid.places() / reference.grid.unit
    upto = np.cumsum(shares[1:]) / max(1e-300, float(shares[1:].sum()))
    low, high = np.searchsorted(upto, (0.005, 0.995 - 1e-12))
    floor = max(-_FARTHEST, min(places[min(low, len(places) - 1)], 0.0) - 1)
    ceiling = min(_FARTHEST, max(places[min(high, len(places) - 1)], 0.0) + 1)
    values = np.clip(np.concatenate([[floor], places]), floor, ceiling)
    return np.diff(values), values
