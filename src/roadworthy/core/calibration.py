"""How far stated probabilities lie from what comes true: errors freed of noise, Brier's parts, and the diagram.

What is said of rows takes them for independent, but for Brier's parts, whose intervals follow the order of the rows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import calibration_error, nothing, proportion, z_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

BINS = 15
# Stretches of rows that are left out in turn. Student's tail for 19 degrees of freedom, beside the normal one at 95 %.
STRETCHES = 20
STUDENT = 1.07


class Bin(Struct, frozen=True):
    """Rows whose stated probability lies from `low` to `high`: its mean, and how often the event came true."""

    low: float
    high: float
    stated: float
    rate: Measurement


class Brier(Struct, frozen=True):
    """The Brier score and the parts it is made of: `score` is their sum with the signs that `total` has.

    `reliability` is the price of miscalibration, `resolution` what telling rows apart is worth, `uncertainty` what the
    base rate alone would cost. The parts within bins are what the bins smooth over. Reliability and resolution are free
    of bias, and so may come out below 0.
    """

    score: Measurement
    reliability: Measurement
    resolution: Measurement
    uncertainty: Measurement
    within_variance: Measurement
    within_covariance: Measurement

    @property
    def total(self) -> float:
        """The score again, added up from its parts."""
        inside = self.within_variance.value - self.within_covariance.value
        return self.reliability.value - self.resolution.value + self.uncertainty.value + inside


def reliability_bins(stated: ArrayLike, events: ArrayLike, most: int = 10, least_rows: int = 20) -> tuple[Bin, ...]:
    """The reliability diagram: at most `most` bins of near equal count, each of about `least_rows` or more.

    `stated` (n,) are probabilities, `events` (n,) say whether each came true. Fewer than `least_rows` rows give none.
    """
    p, y = np.asarray(stated, np.float64), np.asarray(events, np.float64)
    if len(p) < least_rows:
        return ()
    bins = max(1, min(most, len(p) // least_rows))
    part = np.searchsorted(np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1])), p, side="right")
    found = []
    for k in np.unique(part).tolist():
        inside, hits = p[part == k], int(y[part == k].sum())
        rate = proportion("rate", hits, len(inside), f"{inside.min():.3g}..{inside.max():.3g}")
        found.append(Bin(float(inside.min()), float(inside.max()), float(inside.mean()), rate))
    return tuple(found)


def debiased_error(
    labels: ArrayLike, probabilities: ArrayLike, where: str = "", bins: int = BINS, confidence: float = 0.95
) -> Measurement:
    """Expected calibration error (L1, bins of equal count) without what noise adds to the plug-in one.

    It is the error under which a plug-in error such as the one found is just what is expected: gaps of bins are near
    normal, so what noise adds to each is known (folded normal; Kumar, Liang & Ma 2019 estimate it, too), once one knows
    how the true gaps lie over the bins. They are taken to lie as those found, none below its standard deviation. In
    simulations of 5 and 15 bins that leaves a third of the bias or less where every bin is right or off by a little,
    and more, up to two thirds, where one bin alone is off. The interval is that of `stats.calibration_error`.
    """
    plugged = calibration_error(labels, probabilities, where, bins, confidence)
    if not plugged.n:
        return replace(plugged, name="debiased_ece")
    y, p = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    sums = _binned(y, p, bins)
    rows, hits, stated = sums[0][sums[0] > 0], sums[1][sums[0] > 0], sums[2][sums[0] > 0]
    rate = (hits + 1) / (rows + 2)
    error = _without_noise(np.abs(hits - stated), np.sqrt(rows * rate * (1 - rate))) / len(y)
    return replace(plugged, name="debiased_ece", value=min(max(error, plugged.low), plugged.high))


def squared_error(
    labels: ArrayLike, probabilities: ArrayLike, where: str = "", bins: int = BINS, confidence: float = 0.95
) -> Measurement:
    """Root mean squared calibration error over bins of equal count, debiased (Kumar, Liang & Ma 2019).

    The debiased square is Brier's reliability as Ferro & Fricker 2012 correct it; where that is below 0, this is 0.
    """
    square = brier(labels, probabilities, where, bins, confidence).reliability
    value, low, high = (math.sqrt(max(0.0, x)) if x == x else x for x in (square.value, square.low, square.high))
    return replace(square, name="rms_calibration_error", value=value, low=low, high=high)


def top_label_error(
    labels: ArrayLike, probabilities: ArrayLike, where: str = "", bins: int = BINS, confidence: float = 0.95
) -> Measurement:
    """The debiased error of the likeliest class's probability (Guo et al. 2017): how right is "90 % sure"?

    `labels` (n,) are class numbers, `probabilities` (n, k). The predicted classes are taken together.
    """
    y, p = np.asarray(labels), np.asarray(probabilities, np.float64)
    best = p.argmax(axis=1) if len(p) else np.empty(0)
    found = debiased_error(best == y, p.max(axis=1, initial=0.0), where, bins, confidence)
    return replace(found, name="top_label_ece")


def classwise_error(
    labels: ArrayLike, probabilities: ArrayLike, where: str = "", bins: int = BINS, confidence: float = 0.95
) -> Measurement:
    """The mean over classes of the debiased error of each class's probability (Kull et al. 2019; Nixon et al. 2019).

    Its bounds are the means of bounds that hold for all classes together (Bonferroni): wide, for they are safe
    whatever the classes have to do with each other.
    """
    y, p = np.asarray(labels), np.asarray(probabilities, np.float64)
    k = p.shape[1]
    each = [debiased_error(y == c, p[:, c], where, bins, 1 - (1 - confidence) / k) for c in range(k)]
    if not all(one.n for one in each):
        return nothing("classwise_ece", where=where)
    value, low, high = (sum(getattr(one, part) for one in each) / k for part in ("value", "low", "high"))
    conditions = {} if confidence == 0.95 else {"confidence": confidence}
    return Measurement("classwise_ece", value, len(y), low, high, where=where, conditions=conditions)


def brier(
    labels: ArrayLike, probabilities: ArrayLike, where: str = "", bins: int = BINS, confidence: float = 0.95
) -> Brier:
    """The Brier score and its parts over bins of equal count; they add up exactly.

    Murphy 1973 with the parts within bins of Stephenson, Coelho & Jolliffe 2008 and the correction for bias of Ferro &
    Fricker 2012. `labels` (n,) are 0 or 1 with `probabilities` (n,), or class numbers with (n, k): the score of several
    classes is the sum of theirs. Intervals leave out 20 stretches of rows in turn (jackknife): give rows in the order
    of time, and a storm that spoils a stretch counts once. Fewer than two rows a bin (or a stretch) give n=0.
    """
    y, p = np.asarray(labels), np.asarray(probabilities, np.float64)
    n = len(y)
    if n < 2 * max(bins, STRETCHES):
        return Brier(*(nothing(name, where=where) for name in Brier.__struct_fields__))
    columns = [(y, p)] if p.ndim == 1 else [(y == c, p[:, c]) for c in range(p.shape[1])]
    found, without = np.zeros(6), np.zeros((STRETCHES, 6))
    for labels_of, stated in columns:
        stretches = _stretches(labels_of.astype(np.float64), stated, bins)
        whole = stretches.sum(axis=0)
        found += _parts(whole)
        without += _parts(whole - stretches)
    spread = np.sqrt((STRETCHES - 1) * without.var(axis=0))
    half = STUDENT * z_of(confidence) * spread
    conditions = {} if confidence == 0.95 else {"confidence": confidence}
    named = zip(Brier.__struct_fields__, found.tolist(), half.tolist(), strict=True)
    return Brier(*(Measurement(name, v, n, v - h, v + h, where=where, conditions=conditions) for name, v, h in named))


def _place(p: Floats, bins: int) -> NDArray[np.int64]:
    """The number of the bin of each row: the bins that `stats.calibration_error` has."""
    return np.searchsorted(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]), p).astype(np.int64)


def _binned(y: Floats, p: Floats, bins: int) -> Floats:
    """Rows, labels, probabilities, their squares and their products with the labels, added up in each bin (5, bins)."""
    return _added(_place(p, bins), y, p, bins)


def _stretches(y: Floats, p: Floats, bins: int) -> Floats:
    """What `_binned` adds up, for each of the stretches in which the rows follow each other (stretches, 5, bins)."""
    cell = _place(p, bins) + bins * (np.arange(len(y)) * STRETCHES // len(y))
    return _added(cell, y, p, bins * STRETCHES).reshape(5, STRETCHES, bins).transpose(1, 0, 2)


def _added(cell: NDArray[np.int64], y: Floats, p: Floats, cells: int) -> Floats:
    weights = (np.ones(len(y)), y, p, p * p, p * y)
    return np.stack([np.bincount(cell, weight, minlength=cells) for weight in weights])


def _parts(sums: Floats) -> Floats:
    """Score, reliability, resolution, uncertainty and the two parts within bins of sums (..., 5, bins): (..., 6)."""
    rows, hits, stated, squares, products = np.moveaxis(sums, -2, 0)
    n, some = rows.sum(axis=-1), np.maximum(rows, 1)
    rate, base = hits / some, hits.sum(axis=-1) / n
    # What noise adds to the square of each bin's rate, and to that of the base rate (Ferro & Fricker 2012).
    noise = (rows * rate * (1 - rate) / np.maximum(rows - 1, 1)).sum(axis=-1) / n
    spread = base * (1 - base)
    score = (squares - 2 * products + hits).sum(axis=-1) / n
    reliability = ((stated - hits) ** 2 / some).sum(axis=-1) / n - noise
    resolution = (rows * (rate - base[..., None]) ** 2).sum(axis=-1) / n - noise + spread / (n - 1)
    uncertainty = spread + spread / (n - 1)
    variance = (squares - stated**2 / some).sum(axis=-1) / n
    covariance = 2 * (products - stated * hits / some).sum(axis=-1) / n
    return np.stack([score, reliability, resolution, uncertainty, variance, covariance], axis=-1)


def _without_noise(gaps: Floats, spread: Floats) -> float:
    """The sum of true gaps at which the sum of those found (each with its standard deviation) is what one expects."""
    shape = np.maximum(gaps, spread)
    shape, found = shape / shape.sum(), float(gaps.sum())
    low, high = 0.0, found
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _expected(middle * shape, spread) < found else (low, middle)
    return low


def _expected(gaps: Floats, spread: Floats) -> float:
    """The mean of |gap + noise|, added up over bins (folded normal; Leone, Nelson & Nottingham 1961)."""
    ratio = gaps / spread
    erf = np.array([math.erf(x) for x in ratio / math.sqrt(2)])
    return float((spread * math.sqrt(2 / math.pi) * np.exp(-(ratio**2) / 2) + gaps * erf).sum())
