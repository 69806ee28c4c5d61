"""Saturation tells a server that is slow from one that falls behind, and finds the knee of a curve of rates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import nothing
from roadworthy.evaluate.load_test.timeline import Floats, Timeline

BLOCKS = 12
# One-sided 0.999 quantile of Student's t with BLOCKS - 2 = 10 degrees of freedom.
T_OF_10 = 4.144


def saturation(timeline: Timeline, least_requests: int = 10 * BLOCKS) -> Verdict:
    """Do latency and the number in flight both grow from the first to the last? Then percentiles tell the run's length.

    The slope test of GuideLLM on means of blocks of requests: neighbours wait in one queue and are alike, so a test on
    each request would find a slope in every busy server. Besides being significant, the rise must exceed the level.
    """
    if not timeline.scheduled or timeline.n < least_requests:
        return Verdict("wait", f"{timeline.n} requests on a schedule are too few to see growth", "saturation")
    flying = timeline.in_flight(timeline.due).astype(np.float64)
    rises = [_rise(values) for values in (timeline.waits, flying)]
    if not all(grows for grows, _, _ in rises):
        return Verdict("pass", "latency and requests in flight did not both grow", "saturation")
    (_, low, high), (_, few, many) = rises
    because = (
        f"over-saturated: from its first to its last part latency grew from {1000 * low:.0f} to {1000 * high:.0f} ms "
        f"and requests in flight from {few:.0f} to {many:.0f}, so that percentiles depend on how long the run was"
    )
    return Verdict("fail", because, "saturation")


def _rise(values: Floats) -> tuple[bool, float, float]:
    """Whether the block means rise, and the first and last of them on the fitted line."""
    means = np.array([part.mean() for part in np.array_split(values, BLOCKS)])
    x = np.arange(BLOCKS) - (BLOCKS - 1) / 2
    slope = float(x @ means / (x @ x))
    rest = means - means.mean() - slope * x
    error = math.sqrt(float(rest @ rest) / (BLOCKS - 2) / float(x @ x))
    first, last = float(means.mean() + slope * x[0]), float(means.mean() + slope * x[-1])
    return slope > T_OF_10 * error and last > 2 * max(first, 0.0), max(first, 0.0), last


def knee(rates: Sequence[float], throughputs: Sequence[float]) -> Measurement:
    """The offered rate at which throughput stops to follow: the bend of the best two straight lines (GuideLLM's rule).

    n=0 where there is none: fewer than five points, a tail as steep as a quarter of the rise, a fit that two lines make
    less than half better, or a bend below 85 % of the highest throughput.
    """
    order = np.argsort(rates, kind="stable")
    x, y = np.asarray(rates, dtype=np.float64)[order], np.asarray(throughputs, dtype=np.float64)[order]
    none = nothing("knee_rps", "rps")
    if len(np.unique(x)) < 5:
        return none
    _, whole = _line(x, y)
    fits = [(*_bent(x, y, bend), k) for k, bend in enumerate(x) if 0 < k < len(x) - 1 and x[k - 1] < bend < x[k + 1]]
    if not fits:
        return none
    left, right, at_bend, error, k = min(fits, key=lambda fit: fit[3])
    if left <= 0 or right > 0.25 * left or error > 0.5 * whole or at_bend < 0.85 * y.max():
        return none
    return Measurement("knee_rps", float(x[k]), len(x), float(x[k - 1]), float(x[k + 1]), "rps")


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope and squared error of the straight line."""
    design = np.column_stack([np.ones_like(x), x])
    found, *_ = np.linalg.lstsq(design, y, rcond=None)
    return float(found[1]), float(((y - design @ found) ** 2).sum())


def _bent(x: Floats, y: Floats, bend: float) -> tuple[float, float, float, float]:
    """Slopes left and right of the bend, the height at it, and the squared error of the bent line."""
    design = np.column_stack([np.ones_like(x), np.minimum(x - bend, 0.0), np.maximum(x - bend, 0.0)])
    found, *_ = np.linalg.lstsq(design, y, rcond=None)
    return float(found[1]), float(found[2]), float(found[0]), float(((y - design @ found) ** 2).sum())
