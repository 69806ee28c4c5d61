"""Leak says whether a series of memory readings keeps growing, in a way that may be asked again after every reading."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Requirement, Verdict, judge
from roadworthy.core.stats import nothing, z_of

Floats = NDArray[np.float64]
# Fewer troughs cannot reject anything at the level that many looks leave to each.
LEAST, MOST = 20, 40
# Memory comes in pages: growth below one of them over the whole time cannot be seen.
PAGE_BYTES = 4096
ALPHA = 0.05


def growth(at: Floats, held: Floats) -> Measurement:
    """The slope of the troughs over the later half of the time, in bytes a second, with an interval for all looks.

    The first half is warm-up: caches fill, arenas grow. The rest is cut into twenty to forty stretches of time of
    which the lowest reading counts, so that memory that is taken and given back is no growth. The slope is that of
    Theil (1950) and Sen (1968); the interval holds both Sen's and that of a straight line whose residuals resemble the
    ones before them (an AR(1), as in Yue and Wang 2004). Looks are counted by completed stretches, and look k is given
    alpha / (k (k + 1)), which sums to alpha: whoever looks after every reading is misled by chance with probability
    alpha at most.
    """
    times, troughs, look = _troughs(at, held)
    if not look:
        return nothing("rss_slope", "bytes/s")
    z = z_of(1 - ALPHA / (look * (look + 1)))
    slopes = _slopes(times, troughs)
    value = float(np.median(slopes))
    ranked, straight = _sens_bounds(slopes, len(times), z), _straight_half(times, troughs, value, z)
    coarse = PAGE_BYTES / float(times[-1] - times[0])
    return Measurement(
        "rss_slope",
        value,
        len(times),
        min(ranked[0], value - straight) - coarse,
        max(ranked[1], value + straight) + coarse,
        "bytes/s",
        conditions={"seconds": float(at[-1] - at[0]), "look": look},
    )


def leak(at: Floats, held: Floats, most_bytes_per_second: float, least_seconds: float = 30.0) -> Verdict:
    """Pass: it grows by no more than allowed. Fail: it does, for long, no slower than before, and for good. Else wait.

    For good means by half as much again as was ever given back: what has breathed out 20 MB may do so again. A breath
    that takes longer than a third of the time watched can still look like a leak, whence `least_seconds`.
    """
    slope = growth(at, held)
    watched = float(at[-1] - at[0]) if len(at) else 0.0
    if not slope.n or watched < least_seconds:
        because = f"{len(at)} readings over {watched:.1f} s are too few to tell growth from breathing"
        return Verdict("wait", f"{because}; watch for {least_seconds:g} s at least", "rss_slope", (slope,))
    verdict = judge(slope, Requirement("rss_slope", at_most=most_bytes_per_second, unit="bytes/s"))
    if verdict.decision != "fail":
        return verdict
    grown, given_back = slope.value * watched / 2, _largest_fall(held)
    if grown <= 1.5 * given_back:
        because = f"it grew by {grown:,.0f} bytes, and has given back {given_back:,.0f} before: watch for longer"
        return Verdict("wait", because, "rss_slope", (slope,))
    if _settling(at, held):
        because = f"{slope}, but slower and slower: a cache that fills looks like that, so watch for longer"
        return Verdict("wait", because, "rss_slope", (slope,))
    return Verdict("fail", f"a leak: {verdict.because}", "rss_slope", (slope,))


def _largest_fall(held: Floats) -> float:
    """The most that the troughs fell after a height, but for the first eighth: loading leaves scaffolding behind."""
    size = _stretch(len(held))
    rest = held[len(held) // 8 :]
    troughs = rest[: len(rest) // size * size].reshape(-1, size).min(axis=1)
    return float((np.maximum.accumulate(troughs) - troughs).max())


def _stretch(readings: int) -> int:
    """How many readings make a stretch: twice as many whenever the later half has MOST stretches."""
    size = 1
    while readings // 2 >= MOST * size:
        size *= 2
    return size


def _troughs(at: Floats, held: Floats) -> tuple[Floats, Floats, int]:
    """The time and height of the lowest reading of each stretch of the later half, and which look this is.

    Readings behind the last complete stretch wait for
    the next look: between two looks nothing changes, however often one asks.
    """
    size = _stretch(len(at))
    parts = len(at) // 2 // size
    if parts < LEAST:
        return np.empty(0), np.empty(0), 0
    first = parts * size
    rows = first + np.arange(parts)[:, None] * size + np.arange(size)
    lowest = held[rows].argmin(axis=1)
    doublings = size.bit_length() - 1
    look = parts - LEAST + 1 + doublings * (MOST - LEAST)
    # The stretch stands for its middle: where its lowest reading fell is chance.
    return at[rows].mean(axis=1), held[rows][np.arange(parts), lowest], look


def _slopes(times: Floats, values: Floats) -> Floats:
    one, two = np.triu_indices(len(times), 1)
    return np.asarray(np.sort((values[two] - values[one]) / (times[two] - times[one])))


def _sens_bounds(slopes: Floats, n: int, z: float) -> tuple[float, float]:
    """The slopes between which Kendall's S of n values does not differ from 0; open where so few cannot tell."""
    half = z * math.sqrt(n * (n - 1) * (2 * n + 5) / 18) / 2
    low, high = math.floor(len(slopes) / 2 - half) - 1, math.ceil(len(slopes) / 2 + half)
    return (
        float(slopes[low]) if low >= 0 else -math.inf,
        float(slopes[high]) if high < len(slopes) else math.inf,
    )


def _straight_half(times: Floats, values: Floats, slope: float, z: float) -> float:
    """How far the slope of a straight line may be off, where a residual resembles the one before it."""
    n = len(times)
    rest = values - slope * times
    rest = rest - rest.mean()
    around, freedom = float(rest @ rest), n - 2
    near = float(rest[1:] @ rest[:-1]) / around if around > 0 else 0.0
    # Of so few values the correlation comes out too small (Kendall 1954).
    near = max(0.0, min(0.9, near + (1 + 3 * near) / n))
    # Student's quantile by that of the normal distribution (Fisher and Cornish 1960).
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    spread = float(((times - times.mean()) ** 2).sum())
    return t * math.sqrt(around / freedom * (1 + near) / (1 - near) / spread)


def _settling(at: Floats, held: Floats) -> bool:
    """Whether it grew by less than three quarters as much a second in the later half as in the half before it."""
    half = len(at) // 2
    early, late = slice(half // 4, half), slice(half, None)
    one, two = (np.median(_slopes(*_thinned(at[part], held[part]))) for part in (early, late))
    return bool(two < 0.75 * one)


def _thinned(at: Floats, held: Floats) -> tuple[Floats, Floats]:
    """At most MOST troughs of a part of the readings."""
    parts = np.array_split(np.arange(len(at)), min(MOST, len(at)))
    return np.array([at[p].mean() for p in parts]), np.array([held[p].min() for p in parts])
