"""What share of the rows answered costs what share of errors: the risk-coverage curve and the area under it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.bounds import upper_rate
from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import auc, nothing, wilson, z_of

Floats = NDArray[np.float64]

# A plot needs no more points; the area is taken over all rows.
_POINTS = 200
# What people can look at again: the least sure hundredth, twentieth, tenth and fifth of the rows.
FLAGGED = (0.01, 0.05, 0.1, 0.2)
# With fewer errors the spread of the area is not to be had from them.
_FEW_ERRORS = 10


class Point(Struct, frozen=True):
    """The rows that are at least `threshold` sure: their share, their share of errors, and its 95 % interval."""

    threshold: float
    coverage: float
    risk: float
    low: float
    high: float


class RiskCoverage(Struct, frozen=True):
    """The curve from the surest rows to all, the area under it, and the best area that these errors could have.

    `error_auroc` is how well doubt tells wrong rows from right ones: 0.5 is not at all.
    """

    points: tuple[Point, ...]
    aurc: Measurement
    excess: Measurement
    risk: Measurement
    error_auroc: Measurement


def risk_coverage(sure: ArrayLike, wrong: ArrayLike, where: str = "") -> RiskCoverage:
    """The curve of rows with how sure the model was and whether it was wrong (losses from 0 to 1 will do).

    Geifman & El-Yaniv 2017; AURC and the excess over the best order are Geifman et al. 2019. Of equally sure rows none
    comes first: the curve goes on by whole groups, in which it is linear in the number of errors. Raises BadData for
    rows without both, or none at all.
    """
    s, e = _checked(sure, wrong)
    risks = _risks(s, e)
    aurc = _area(risks, e, where)
    best = float(_risks(-e, e)[1].mean())
    excess = Measurement("excess_aurc", aurc.value - best, aurc.n, aurc.low - best, aurc.high - best, where=where)
    binary = bool(np.isin(e, (0.0, 1.0)).all())
    told = auc(e, -s, where) if binary else nothing("auc", where=where)
    named = Measurement("error_auroc", told.value, told.n, told.low, told.high, where=where)
    return RiskCoverage(_points(*risks[:2]), aurc, excess, _mean(e, where), named)


def accuracies_answered(
    sure: ArrayLike, wrong: ArrayLike, flagged: Sequence[float] = FLAGGED, where: str = ""
) -> tuple[Measurement, ...]:
    """How right the rest is where these shares of the rows, the least sure ones, are flagged; `where` is `surest 95 %`.

    The interval (Wilson 1927) is that of rows at least so sure: `conditions` hold the threshold. A share of less than
    one row is left out, and of equally sure rows at the edge each counts with the mean of them all. Raises BadData.
    """
    s, e = _checked(sure, wrong)
    ordered, curve, _ = _risks(s, e)
    n, found = len(s), []
    for share in flagged:
        kept = n - math.floor(share * n + 1e-9)
        if not 0 < kept < n:
            continue
        right = 1 - float(curve[kept - 1])
        bounds = wilson(right, kept, z_of(0.95))
        place = f"surest {100 * (1 - share):g} %"
        told = {"flagged": share, "threshold": float(ordered[kept - 1])}
        name = ", ".join(filter(None, (where, place)))
        found.append(Measurement("accuracy_answered", right, kept, *bounds, where=name, conditions=told))
    return tuple(found)


def _checked(sure: ArrayLike, wrong: ArrayLike) -> tuple[Floats, Floats]:
    s, e = np.asarray(sure, np.float64), np.asarray(wrong, np.float64)
    if s.ndim != 1 or s.shape != e.shape or not len(s):
        raise BadData(f"each row needs how sure the model was and whether it was wrong, got {s.shape} and {e.shape}")
    if np.isnan(s).any() or not ((e >= 0) & (e <= 1)).all():
        raise BadData(
            f"{int(np.isnan(s).sum())} rows do not say how sure the model was, and "
            f"{int((~((e >= 0) & (e <= 1))).sum())} have no loss from 0 (right) to 1 (wrong): leave them out"
        )
    return s, e


def _risks(sure: Floats, wrong: Floats) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """From the surest on: the sureness, the mean loss of all rows so far (in a tie, of the tie shared out), the order.

    Where rows tie, each counts with the mean loss of its group: what a random order would give on average.
    """
    order = np.argsort(-sure, kind="stable")
    s = sure[order]
    starts = np.flatnonzero(np.concatenate([[True], s[1:] != s[:-1]]))
    counts = np.diff(np.append(starts, len(s)))
    shared = np.repeat(np.add.reduceat(wrong[order], starts) / counts, counts)
    return s, np.cumsum(shared) / np.arange(1, len(s) + 1), order


def _area(risks: tuple[Floats, Floats, NDArray[np.intp]], wrong: Floats, where: str) -> Measurement:
    """The mean of the risk over all coverages, its interval by the delta method on its influence function.

    A row at rank u (0 the surest) with loss e moves the area by r(u) - area + e log(1/u) - integral of r(v)/v over
    v from u to 1, r being the curve.
    """
    _, curve, order = risks
    n = len(curve)
    area = float(curve.mean())
    rank = np.arange(1, n + 1) / n
    # The sum of 1/j from the row's rank on is what its loss really weighs; the logarithm is its limit.
    tail = np.cumsum((1 / np.arange(1, n + 1))[::-1])[::-1]
    after = np.cumsum((curve / rank / n)[::-1])[::-1]
    moves = curve - area + wrong[order] * tail - after
    half = z_of(0.95) * float(moves.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    low, high = max(0.0, area - half), area + half
    errors = float(wrong.sum())
    if errors < _FEW_ERRORS:
        high = max(high, _most(upper_rate(math.ceil(errors), n, 0.025)))
    return Measurement("aurc", area, n, low, min(high, 1.0), where=where)


def _most(rate: float) -> float:
    """The greatest area that a share of errors can have: all of them in the surest rows."""
    return rate * (1 - math.log(rate)) if 0 < rate < 1 else 1.0


def _mean(wrong: Floats, where: str) -> Measurement:
    n, mean = len(wrong), float(wrong.mean())
    low, high = wilson(mean, n, z_of(0.95))
    return Measurement("risk", mean, n, low, high, where=where)


def _points(sure: Floats, curve: Floats) -> tuple[Point, ...]:
    """At most 200 of the places at which a threshold can stand: the last row of each group of equally sure ones."""
    ends = np.flatnonzero(np.concatenate([sure[1:] != sure[:-1], [True]]))
    if len(ends) > _POINTS:
        ends = ends[np.unique(np.linspace(0, len(ends) - 1, _POINTS).round().astype(np.intp))]
    n = len(sure)
    return tuple(
        Point(float(sure[k]), (k + 1) / n, float(curve[k]), *wilson(float(curve[k]), k + 1, z_of(0.95)))
        for k in ends.tolist()
    )
