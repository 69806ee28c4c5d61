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


def nothing(name: str, unit: str = "1", where: str = "") -> Measurement:
    """The measurement of no rows: NaN, n=0, bounds open. `judge` says `wait` on it."""
    return Measurement(name, math.nan, 0, unit=unit, where=where)


def proportion(name: str, hits: int, n: int, where: str = "", confidence: float = 0.95) -> Measurement:
    """A share with its Wilson score interval (Wilson 1927)."""
    if n == 0:
        return nothing(name, where=where)
    z, share = z_of(confidence), hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Measurement(name, share, n, max(0.0, centre - half), min(1.0, centre + half), where=where)


def mean(name: str, values: ArrayLike, where: str = "", unit: str = "1", confidence: float = 0.95) -> Measurement:
    """An average of independent values, with a normal interval."""
    import numpy as np

    found = np.asarray(values, dtype=np.float64)
    if not len(found):
        return nothing(name, unit, where)
    average = float(found.mean())
    half = z_of(confidence) * float(found.std(ddof=1)) / math.sqrt(len(found)) if len(found) > 1 else math.inf
    return Measurement(name, average, len(found), average - half, average + half, unit, where)


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

    One class only has no area: n=0, so that whoever judges it waits.
    """
    import numpy as np

    y, p = np.asarray(labels, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    positive, negative = p[y], p[~y]
    m, k = len(positive), len(negative)
    if m < 2 or k < 2:
        return nothing("auc", where=where)
    ranks_all = _midranks(np.concatenate([positive, negative]))
    above = (ranks_all[:m] - _midranks(positive)) / k
    below = 1 - (ranks_all[m:] - _midranks(negative)) / m
    area = float(above.mean())
    half = z_of(confidence) * math.sqrt(float(above.var(ddof=1)) / m + float(below.var(ddof=1)) / k)
    return Measurement("auc", area, m + k, max(0.0, area - half), min(1.0, area + half), where=where)


def calibration_error(
    labels: ArrayLike,
    probabilities: ArrayLike,
    where: str = "",
    bins: int = 15,
    confidence: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> Measurement:
    """Expected calibration error over equal-count bins (Guo et al. 2017; equal mass as in Nixon et al. 2019).

    The interval is a bootstrap over the rows of each bin, recentred on the estimate (basic bootstrap), because the
    plug-in error is biased upwards by about sqrt(2 bins p(1-p) / (pi n)).
    """
    import numpy as np

    y, p = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    n = len(y)
    if n < 2 * bins:
        return nothing("ece", where=where)
    part = np.searchsorted(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]), p)
    counts = np.bincount(part, minlength=bins)
    gaps = np.bincount(part, y - p, minlength=bins)
    error = float(np.abs(gaps).sum() / n)
    # The sum of the residuals of a bin is near normal; its spread needs no resampling of single rows.
    spread = np.sqrt(np.maximum(np.bincount(part, (y - p) ** 2, minlength=bins) - gaps**2 / np.maximum(counts, 1), 0.0))
    drawn = np.random.default_rng(seed).normal(gaps, spread, size=(resamples, bins))
    errors = np.abs(drawn).sum(axis=1) / n
    tail = (1 - confidence) / 2
    low, high = 2 * error - np.quantile(errors, 1 - tail), 2 * error - np.quantile(errors, tail)
    return Measurement("ece", error, n, float(max(0.0, min(low, error))), float(max(high, error)), where=where)


def _midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    upto = np.cumsum(counts)
    ranks: Any = (upto - (counts - 1) / 2)[inverse]
    return np.asarray(ranks, dtype=np.float64)
