"""A budget made into thresholds for each segment, with floors so that no segment pays for the rest."""

from __future__ import annotations

from math import inf
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct

from roadworthy.core.bounds import lower_rate, upper_rate
from roadworthy.core.measure import Measurement

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Halvings of an interval of losses: to a millionth of it.
_HALVINGS = 20


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


class Floors(NamedTuple):
    """No segment is to lose more than `times` the mean loss, over so many `requests` of all segments together.

    `sureness` (a probability, at least 0.5) is how sure each segment is to be of what it may lose at most. `spreads`
    are the standard deviations of the segments' mean gains, which few labels leave open, `noises` those of a single
    row's gain, which leave open what so few requests lose even where the mean is known.

    Where no limit keeps to `times`, the least that the budget can keep is widened by a share of `slack`: to press the
    worst segment by its last tenth costs all rows as much as the rest of its floor (`benchmarks/router`).
    """

    spreads: NDArray[np.float64]
    noises: NDArray[np.float64]
    times: float = 2.0
    sureness: float = 0.975
    requests: float = inf
    slack: float = 0.1


class Plan(Struct, frozen=True):
    """Thresholds for one budget: a row goes to the dear model where its gain reaches its segment's threshold.

    `share` is what will be sent, with its interval. `loss` is what the cheap answers are expected to lose over all
    rows. No segment is to lose more than `limit`, and each keeps to that with a probability of at least `sureness`.
    """

    thresholds: tuple[float, ...]
    share: Measurement
    loss: float
    limit: float = inf
    sureness: float = 1.0


def plan(reference: Reference, share: float, segments: int = 1, floors: Floors | None = None) -> Plan:
    """The thresholds that send `share` of the reference to the dear model.

    With floors, as many rows of a segment may go to the cheap model, least gain first, as keep an upper bound of what
    the segment loses below a limit. That is `times` the mean loss, or little above the least for which the budget goes
    round, where that is more: then the worst segment is kept as well as the budget can.
    """
    rows = _Rows.of(reference, segments, floors)
    if floors is None:
        return _told(reference, rows.routed(share, inf))
    route = rows.within(share, floors.times) or rows.routed(share, rows.least(share, floors.slack))
    limit = floors.times * route.loss
    return _told(reference, route, limit, rows.sureness(route, limit))


class _Route(NamedTuple):
    weak: NDArray[np.bool_]
    thresholds: NDArray[np.float64]
    loss: float


class _Rows(NamedTuple):
    """Per reference row: what its segment loses if the rows up to it go to the cheap model.

    `lost` is the mean of that, `spread` its standard deviation, and `bound` what it keeps below with the sureness asked
    for, here and at each row before.
    """

    reference: Reference
    segments: int
    lost: NDArray[np.float64]
    spread: NDArray[np.float64]
    bound: NDArray[np.float64]

    @classmethod
    def of(cls, reference: Reference, segments: int, floors: Floors | None) -> _Rows:
        gains, codes, weights = reference
        totals = np.maximum(np.bincount(codes, weights, segments), 1e-300)
        lost = _upto(codes, weights * gains, segments) / totals[codes]
        if floors is None:
            return cls(reference, segments, lost, np.zeros(len(codes)), np.full(len(codes), -inf))
        within = _upto(codes, weights, segments) / totals[codes]
        requests = np.maximum(floors.requests * totals / weights.sum(), 1.0)
        chance = within * (floors.noises**2 / requests)[codes]
        spread = np.sqrt((floors.spreads[codes] * within) ** 2 + chance)
        bound = lost + NormalDist().inv_cdf(floors.sureness) * spread
        for k in range(segments):
            bound[codes == k] = np.maximum.accumulate(bound[codes == k])
        return cls(reference, segments, lost, spread, bound)

    def routed(self, share: float, limit: float) -> _Route:
        """Who goes where if no segment may lose more than the limit; fewer than the share say are spared."""
        gains, codes, weights = self.reference
        allowed = self.bound <= limit
        used = np.cumsum(weights * allowed)
        weak = allowed & (used <= (1 - share) * float(weights.sum()) + 1e-9)
        over = np.flatnonzero(allowed & ~weak)
        common = float(gains[over[0]]) if len(over) else inf
        first = np.full(self.segments, inf)
        # From the end, so that the first row of a segment that is not allowed remains.
        shut = np.flatnonzero(~allowed)[::-1]
        first[codes[shut]] = gains[shut]
        loss = float(weights[weak] @ gains[weak]) / float(weights.sum())
        return _Route(weak, np.minimum(first, common), loss)

    def goes_round(self, share: float, limit: float) -> bool:
        """May as many rows go to the cheap model as the budget wants?"""
        weights = self.reference.weights
        return float(weights[self.bound <= limit].sum()) >= (1 - share) * float(weights.sum()) - 1e-9

    def within(self, share: float, times: float) -> _Route | None:
        """The route of the loosest limit that is at most `times` the mean loss that follows; None where none is."""
        low, high, best = 0.0, float(self.bound.max()), None
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            found = self.routed(share, middle) if self.goes_round(share, middle) else None
            if found is not None and middle > times * found.loss:
                high = middle
            else:
                low, best = middle, found or best
        return best

    def least(self, share: float, slack: float) -> float:
        """The least limit for which the budget goes round, and a slack above."""
        low, high = float(self.bound.min()), float(self.bound.max())
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.goes_round(share, middle) else (middle, high)
        return high + slack * abs(high)

    def sureness(self, route: _Route, limit: float) -> float:
        """The least chance, over the segments, that what a segment loses keeps to the limit."""
        last = np.full(self.segments, -1)
        sent = np.flatnonzero(route.weak)
        last[self.reference.codes[sent]] = sent
        ends = last[last >= 0]
        slack = (limit - self.lost[ends]) / np.maximum(self.spread[ends], 1e-12)
        return NormalDist().cdf(float(slack.min())) if len(ends) else 1.0


def _upto(codes: NDArray[np.int64], values: NDArray[np.float64], segments: int) -> NDArray[np.float64]:
    """The sum of the values of a row and of those before it in its segment."""
    order = np.argsort(codes, kind="stable")
    sums = np.cumsum(values[order])
    before = np.append(0.0, np.cumsum(np.bincount(codes, values, segments)))[codes[order]]
    found = np.empty(len(codes))
    found[order] = sums - before
    return found


def _told(reference: Reference, route: _Route, limit: float = inf, sureness: float = 1.0) -> Plan:
    n, weights = len(reference.gains), reference.weights
    worth = float(weights.sum() ** 2 / (weights**2).sum())
    share = 1.0 - float(weights[route.weak].sum() / weights.sum())
    hits, rows = round(share * worth), max(1, round(worth))
    low, high = lower_rate(hits, rows, 0.025), upper_rate(hits, rows, 0.025)
    sent = Measurement("strong_share", share, n, min(low, share), max(high, share))
    return Plan(tuple(route.thresholds.tolist()), sent, route.loss, limit, sureness)
