"""A budget made into thresholds for each segment, with floors so that no segment pays for the rest."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct

from roadworthy.core.bounds import lower_rate, upper_rate
from roadworthy.core.measure import Measurement

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Surer than this many standard deviations nobody needs to be of a floor.
_SUREST = 6.0


class Reference(NamedTuple):
    """Rows like those to come, in order of their gain: how many each stands for, and the code of its segment."""

    gains: NDArray[np.float64]
    codes: NDArray[np.int64]
    weights: NDArray[np.float64]

    @classmethod
    def of(
        cls, gains: NDArray[np.float64], codes: NDArray[np.int64], weights: NDArray[np.float64] | None = None
    ) -> Reference:
        """Put rows in order."""
        order = np.argsort(gains, kind="stable")
        shares = np.ones(len(gains)) if weights is None else weights
        return cls(gains[order], codes[order].astype(np.int64), shares[order] / shares.mean())


class Plan(Struct, frozen=True):
    """Thresholds for one budget: a row goes to the dear model where its gain reaches its segment's threshold.

    `share` is what will be sent, with its interval. `loss` is what the cheap answers are expected to lose over all
    rows, and no segment is expected to lose more than `limit`, `sureness` (a probability) being how sure that is for
    each. The sureness is as great as the budget allows; 0.5 says that only the means keep to the limit, 0 that not
    even they do.
    """

    thresholds: tuple[float, ...]
    share: Measurement
    loss: float
    limit: float
    sureness: float


def plan(
    reference: Reference,
    share: float,
    gains: NDArray[np.float64],
    spreads: NDArray[np.float64],
    times: float | None = 2.0,
) -> Plan:
    """The thresholds that send `share` of the reference to the dear model; `gains`, `spreads` are the segments'.

    Rows are expected to gain what the router says, shifted so that each segment gains its `gains` on average. With
    `times`, as many rows of a segment may go to the cheap model, least gain first, as keep their summed gain, plus k
    spreads for each, below `times` the mean loss; k is the greatest for which the budget still goes round.
    """
    rows = _Rows.of(reference, gains, spreads)
    best, sureness = rows.routed(share, 0.0, inf), 0.0
    if times is not None and len(gains) > 1:
        low, high = -0.5, _SUREST
        for _ in range(12):
            middle = (low + high) / 2
            found = _balanced(partial(rows.routed, share, middle), times)
            if found is None:
                high = middle
            else:
                low, best = middle, found
                sureness = NormalDist().cdf(middle) if middle > 0 else 0.5
    return _told(reference, best, sureness)


class _Route(NamedTuple):
    weak: NDArray[np.bool_]
    thresholds: NDArray[np.float64]
    loss: float
    limit: float


class _Rows(NamedTuple):
    """Per reference row: what it gains, and what its segment has lost if the rows up to it went to the cheap model.

    `within` is the share of the segment up to the row, `lost` their summed gain over all of the segment.
    """

    reference: Reference
    gains: NDArray[np.float64]
    within: NDArray[np.float64]
    lost: NDArray[np.float64]
    spreads: NDArray[np.float64]
    segments: int

    @classmethod
    def of(cls, reference: Reference, means: NDArray[np.float64], spreads: NDArray[np.float64]) -> _Rows:
        given, codes, weights = reference
        segments = max(len(means), 1)
        totals = np.maximum(np.bincount(codes, weights, segments), 1e-300)
        gains = given
        if len(means):
            gains = given + (means - np.bincount(codes, weights * given, segments) / totals)[codes]
        within = _upto(codes, weights, segments) / totals[codes]
        lost = _upto(codes, weights * gains, segments) / totals[codes]
        each = spreads[codes] if len(spreads) else np.zeros(len(codes))
        return cls(reference, gains, within, lost, each, segments)

    def routed(self, share: float, sureness: float, limit: float) -> _Route | None:
        """Who goes where if no segment may lose more than the limit; None where the budget does not allow that."""
        given, codes, weights = self.reference
        # Gains rise within a segment, so that what is lost is convex: the rows below the limit are the first ones.
        allowed = self.lost + sureness * self.spreads * self.within <= limit
        budget = (1 - share) * float(weights.sum())
        used = np.cumsum(weights * allowed)
        if used[-1] < budget - 1.0:
            return None
        weak = allowed & (used <= budget + 1e-9)
        over = np.flatnonzero(allowed & ~weak)
        common = float(given[over[0]]) if len(over) else inf
        bounds = np.full(self.segments, inf)
        # From the end, so that the first row of a segment that is not allowed remains.
        shut = np.flatnonzero(~allowed)[::-1]
        bounds[codes[shut]] = given[shut]
        loss = float(weights[weak] @ self.gains[weak]) / float(weights.sum())
        return _Route(weak, np.minimum(bounds, common), loss, limit)


def _upto(codes: NDArray[np.int64], values: NDArray[np.float64], segments: int) -> NDArray[np.float64]:
    """The sum of the values of a row and of those before it in its segment."""
    order = np.argsort(codes, kind="stable")
    sums = np.cumsum(values[order])
    before = np.append(0.0, np.cumsum(np.bincount(codes, values, segments)))[codes[order]]
    found = np.empty(len(codes))
    found[order] = sums - before
    return found


def _balanced(find: Callable[[float], _Route | None], times: float) -> _Route | None:
    """The loosest limit that is at most `times` the mean loss that follows from it."""
    low, high, best = 0.0, 1.0, None
    for _ in range(20):
        middle = (low + high) / 2
        found = find(middle)
        if found is not None and middle > times * found.loss:
            high = middle
        else:
            low, best = middle, found or best
    return best


def _told(reference: Reference, route: _Route | None, sureness: float) -> Plan:
    assert route is not None
    n = len(reference.gains)
    worth = float(reference.weights.sum() ** 2 / (reference.weights**2).sum())
    share = 1.0 - float(reference.weights[route.weak].sum() / reference.weights.sum())
    hits, rows = round(share * worth), max(1, round(worth))
    low, high = lower_rate(hits, rows, 0.025), upper_rate(hits, rows, 0.025)
    sent = Measurement("strong_share", share, n, min(low, share), max(high, share))
    return Plan(tuple(route.thresholds.tolist()), sent, route.loss, route.limit, sureness)
