"""The few estimators that several rooms need, each giving a Measurement with its interval.

numpy is imported inside: `import roadworthy` must not load it.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from roadworthy.core.measure import Measurement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


def z_of(confidence: float) -> float:
    """The two-sided normal quantile: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def batch_spread(values: NDArray[np.float64], stretches: int, widened: float) -> float:
    """The standard deviation of one value (n,), as large as the means of so many stretches on end make it out to be.

    Batch means (Schmeiser 1982); `widened` allows for their being few. Never below the plain one, which it is for fewer
    than two rows a stretch; infinite for one row.
    """
    import numpy as np

    n = len(values)
    if n < 2:
        return math.inf
    plain = float(values.std(ddof=1))
    if n < 2 * stretches:
        return plain
    means = np.array([part.mean() for part in np.array_split(values, stretches)])
    return max(plain, widened * math.sqrt(n / stretches) * float(means.std(ddof=1)))


def _at(confidence: float) -> dict[str, float]:
    """The condition that a Measurement states where its interval is not the usual one."""
    return {} if confidence == 0.95 else {"confidence": confidence}


def nothing(name: str, unit: str = "1", where: str = "") -> Measurement:
    """The measurement of no rows: NaN, n=0, bounds open. `judge` says `wait` on it."""
    return Measurement(name, math.nan, 0, unit=unit, where=where)


def proportion(name: str, hits: int, n: int, where: str = "", confidence: float = 0.95) -> Measurement:
    """A share with its Wilson score interval (Wilson 1927)."""
    if n == 0:
        return nothing(name, where=where)
    low, high = wilson(hits / n, n, z_of(confidence))
    return Measurement(name, hits / n, n, low, high, where=where, conditions=_at(confidence))


def wilson(share: float, n: float, z: float) -> tuple[float, float]:
    """The score interval of a share (Wilson 1927); n need not be whole, as where it is an effective one."""
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At shares of 0 and 1 rounding would put the bound a hair on the wrong side of the share.
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def mean(name: str, values: ArrayLike, where: str = "", unit: str = "1", confidence: float = 0.95) -> Measurement:
    """An average of independent values, with a normal interval."""
    import numpy as np

    found = np.asarray(values, dtype=np.float64)
    if not len(found):
        return nothing(name, unit, where)
    average = float(found.mean())
    half = z_of(confidence) * float(found.std(ddof=1)) / math.sqrt(len(found)) if len(found) > 1 else math.inf
    return Measurement(name, average, len(found), average - half, average + half, unit, where, _at(confidence))


def log_losses(labels: ArrayLike, probabilities: ArrayLike) -> NDArray[np.float64]:
    """The log loss of each row (nats), probabilities clipped to [1e-6, 1 - 1e-6]."""
    import numpy as np

    y = np.asarray(labels, dtype=np.float64)
    p = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-6, 1 - 1e-6)
    return np.asarray(-(y * np.log(p) + (1 - y) * np.log1p(-p)))


def log_loss(labels: ArrayLike, probabilities: ArrayLike, where: str = "", confidence: float = 0.95) -> Measurement:
    """Mean log loss (nats) with a normal interval."""
    return mean("log_loss", log_losses(labels, probabilities), where, "nats", confidence)


def auc(labels: ArrayLike, probabilities: ArrayLike, where: str = "", confidence: float = 0.95) -> Measurement:
    """Area under the ROC curve with DeLong's interval (DeLong et al. 1988), midranks by Sun & Xu 2014.

    One class only has no area: n=0, so that whoever judges it waits. Where the classes do not overlap DeLong's
    variance is 0; the interval is then Wilson's for as many rows as the smaller class has.
    """
    import numpy as np

    y, p = np.asarray(labels, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    m, k = int(y.sum()), int((~y).sum())
    if m < 2 or k < 2:
        return nothing("auc", where=where)
    placed = _placements(y, p)
    above, below = placed[y], placed[~y]
    area = float(above.mean())
    half = z_of(confidence) * math.sqrt(float(above.var(ddof=1)) / m + float(below.var(ddof=1)) / k)
    if half == 0.0:
        few = proportion("auc", round(area * min(m, k)), min(m, k), confidence=confidence)
        return Measurement("auc", area, m + k, few.low, few.high, where=where, conditions=_at(confidence))
    low, high = max(0.0, area - half), min(1.0, area + half)
    return Measurement("auc", area, m + k, low, high, where=where, conditions=_at(confidence))


def auc_contributions(labels: ArrayLike, probabilities: ArrayLike) -> NDArray[np.float64]:
    """What each row adds to the AUC (n,): their mean is the AUC, and their spread that of DeLong et al. 1988.

    A positive counts by the share of negatives below it, a negative by the share of positives above it, each by the
    weight of its class (the influence function of the AUC). NaN throughout where a class has no row.
    """
    import numpy as np

    y, p = np.asarray(labels, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    m, k = int(y.sum()), int((~y).sum())
    if not m or not k:
        return np.full(len(y), np.nan)
    placed = _placements(y, p)
    area = float(placed[y].mean())
    return np.asarray(area + (placed - area) * len(y) / np.where(y, m, k))


def calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, where: str = "", bins: int = 15, confidence: float = 0.95
) -> Measurement:
    """Expected calibration error over equal-count bins (Guo et al. 2017; equal mass as in Nixon et al. 2019).

    `value` is the plug-in error, which noise alone pushes up by about sqrt(2 bins p(1-p) / (pi n)). The interval is
    free of that: it holds every true error under which a plug-in error such as this one is not surprising, the gaps
    of the bins being near normal. Labels are 0 or 1. Fewer than two rows a bin give n=0.
    """
    import numpy as np

    y, p = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    n = len(y)
    if n < 2 * bins:
        return nothing("ece", where=where)
    part = np.searchsorted(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]), p)
    sums = np.zeros((4, bins))
    for row, weight in enumerate((np.ones(n), y, y - p, p * (1 - p))):
        sums[row] = np.bincount(part, weight, minlength=bins)
    counts, hits, gaps, stated = sums[:, sums[0] > 0]
    low, high = _summed_gap_bounds(counts, hits, np.abs(gaps), stated, z_of(confidence))
    error = float(np.abs(gaps).sum())
    low, high = max(0.0, min(low, error)) / n, max(high, error) / n
    return Measurement("ece", error / n, n, low, high, where=where, conditions=_at(confidence))


def _summed_gap_bounds(
    counts: NDArray[np.float64],
    hits: NDArray[np.float64],
    gaps: NDArray[np.float64],
    stated: NDArray[np.float64],
    z: float,
) -> tuple[float, float]:
    """Bounds on the sum over bins of the true |labels - probabilities|, `gaps` being the ones found.

    How far noise lifts the sum depends on how the true gaps lie over the bins. Each bound takes the less favourable
    guess: in few bins for the lower one, in all bins for the upper one.
    """
    import numpy as np

    rate = (hits + 1) / (counts + 2)
    variance = counts * rate * (1 - rate)
    widest = np.maximum(variance, stated)
    few = np.sqrt(np.maximum(gaps**2 - 3 * widest, 0.0))
    if not few.any():
        few = (gaps == gaps.max()).astype(np.float64)
    spread = np.sqrt(np.maximum(gaps**2, variance))
    found = float(gaps.sum())
    low = _sum_that_explains(found, few / few.sum(), np.sqrt(widest), z)
    return low, _sum_that_explains(found, spread / spread.sum(), np.sqrt(variance), -z)


def _sum_that_explains(found: float, shares: NDArray[np.float64], spread: NDArray[np.float64], z: float) -> float:
    """The true sum at which `found` lies z standard deviations above what is expected (folded normals)."""
    import numpy as np

    low, high = 0.0, 2 * found + 10 * float(spread.sum())
    for _ in range(40):
        middle = (low + high) / 2
        gaps = middle * shares
        erf = np.array([math.erf(ratio) for ratio in gaps / spread / math.sqrt(2)])
        expected = spread * math.sqrt(2 / math.pi) * np.exp(-((gaps / spread) ** 2) / 2) + gaps * erf
        variance = float((gaps**2 + spread**2 - expected**2).sum())
        if float(expected.sum()) + z * math.sqrt(variance) < found:
            low = middle
        else:
            high = middle
    return low


def chi2_survival(value: float, freedom: int) -> float:
    """P(chi-square with `freedom` degrees > value), by the recurrence of the incomplete gamma function (DLMF 8.8.2)."""
    half = max(value, 0.0) / 2
    shape = 0.5 if freedom % 2 else 1.0
    tail = math.erfc(math.sqrt(half)) if freedom % 2 else math.exp(-half)
    while shape < freedom / 2 and half > 0:
        tail += math.exp(shape * math.log(half) - half - math.lgamma(shape + 1))
        shape += 1
    return min(1.0, tail)


def binomial_survival(hits: int, n: int, share: float) -> float:
    """P(at least `hits` of n), each with probability `share`; exact."""
    if hits <= 0:
        return 1.0
    log_odds = math.log(share) - math.log1p(-share)
    start = n * math.log1p(-share) + math.lgamma(n + 1)
    terms = (start + k * log_odds - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(hits, n + 1))
    return min(1.0, sum(math.exp(term) for term in terms))


def _placements(y: NDArray[np.bool_], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each row the share of the other class that it is ranked right against, ties counting half."""
    import numpy as np

    ranks, placed = midranks(p), np.empty(len(y))
    placed[y] = (ranks[y] - midranks(p[y])) / (~y).sum()
    placed[~y] = 1 - (ranks[~y] - midranks(p[~y])) / y.sum()
    return placed


def midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rank of each value, from 1; equal values share the middle of theirs."""
    import numpy as np

    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    upto = np.cumsum(counts)
    ranks: Any = (upto - (counts - 1) / 2)[inverse]
    return np.asarray(ranks, dtype=np.float64)
