"""Paired statistics: the same rows asked twice, once as they came and once spoilt."""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import log_losses, mean, nothing, z_of
from roadworthy.evaluate.base import Metric
from roadworthy.evaluate.binomial import two_sided_half

Floats = NDArray[np.float64]
# Two-sided 5 % and 80 % power: the usual quantiles behind a least detectable change.
_POWER = z_of(0.95) + 0.8416


class Flips(Struct, frozen=True):
    """Rows that were right and became wrong (`broken`), the reverse (`fixed`), and McNemar's exact p-value."""

    broken: int
    fixed: int
    p: float


def flips(labels: Floats, before: Floats, after: Floats, threshold: float = 0.5) -> Flips:
    """McNemar's exact test (McNemar 1947) on the decisions at `threshold`."""
    was, now = (before >= threshold) == (labels >= 0.5), (after >= threshold) == (labels >= 0.5)
    broken, fixed = int((was & ~now).sum()), int((~was & now).sum())
    return Flips(broken, fixed, two_sided_half(broken, broken + fixed))


def change(metric: Metric, labels: Floats, before: Floats, after: Floats, rng: np.random.Generator) -> Measurement:
    """`after` minus `before` of a metric on the same rows, with an interval that knows they are the same rows.

    AUC has the paired interval of DeLong et al. (1988), averages a normal one over the differences of the rows, and
    whatever else a paired bootstrap. `conditions["detectable"]` is the least change that so many rows would show
    with 80 % power: a smaller one that is not seen is no evidence of absence.
    """
    name = metric(labels, after).name
    if name == "auc":
        found = _auc_change(labels, before, after)
    elif name == "log_loss":
        found = mean("log_loss_change", log_losses(labels, after) - log_losses(labels, before), unit="nats")
    else:
        found = _bootstrap(metric, name, labels, before, after, rng)
    spread = (found.high - found.low) / (2 * z_of(0.95))
    if not math.isfinite(spread):
        return found
    conditions = {"detectable": _POWER * spread}
    return Measurement(found.name, found.value, found.n, found.low, found.high, found.unit, found.where, conditions)


def _auc_change(labels: Floats, before: Floats, after: Floats) -> Measurement:
    positive = labels >= 0.5
    if positive.sum() < 2 or (~positive).sum() < 2:
        return nothing("auc_change")
    above, below = (
        late - early for early, late in zip(_placed(positive, before), _placed(positive, after), strict=True)
    )
    value = float(above.mean())
    half = z_of(0.95) * math.sqrt(float(above.var(ddof=1)) / len(above) + float(below.var(ddof=1)) / len(below))
    return Measurement("auc_change", value, len(labels), value - half, value + half)


def _placed(positive: NDArray[np.bool_], answers: Floats) -> tuple[Floats, Floats]:
    """The share of negatives below each positive and of positives above each negative, ties counting half."""
    up, down = answers[positive], answers[~positive]
    return _below(up, np.sort(down)), 1 - _below(down, np.sort(up))


def _below(values: Floats, ordered: Floats) -> Floats:
    sides = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(sides / (2 * len(ordered)))


def _bootstrap(
    metric: Metric, name: str, labels: Floats, before: Floats, after: Floats, rng: np.random.Generator, draws: int = 200
) -> Measurement:
    was, now = metric(labels, before), metric(labels, after)
    if not was.n or not now.n:
        return nothing(f"{name}_change", now.unit)
    differences = np.empty(draws)
    for draw in range(draws):
        rows = rng.integers(0, len(labels), len(labels))
        differences[draw] = metric(labels[rows], after[rows]).value - metric(labels[rows], before[rows]).value
    # A normal interval from the bootstrap's spread: percentiles of 200 draws would be coarse in the tails.
    value, half = now.value - was.value, z_of(0.95) * float(np.nanstd(differences, ddof=1))
    return Measurement(f"{name}_change", value, len(labels), value - half, value + half, now.unit)
