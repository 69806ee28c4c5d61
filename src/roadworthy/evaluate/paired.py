"""Paired statistics: the same rows asked twice, once as they came and once spoilt."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Task
from roadworthy.core.stats import mean, nothing, z_of
from roadworthy.evaluate.base import Metric
from roadworthy.evaluate.binomial import two_sided_half
from roadworthy.evaluate.scoring import chosen

Floats = NDArray[np.float64]
Array = NDArray[Any]
# Two-sided 5 % and 80 % power: the usual quantiles behind a least detectable change.
_LEVEL, _POWER = z_of(0.95), z_of(0.6)


class Flips(Struct, frozen=True):
    """Rows that were right and became wrong (`broken`), the reverse (`fixed`), and McNemar's exact p-value."""

    broken: int
    fixed: int
    p: float


@runtime_checkable
class RowWise(Protocol):
    """A metric that is the mean of one value a row: booleans where it is a share of right rows."""

    def rows(self, labels: Array, answers: Array) -> Array: ...


def flips(
    labels: Array,
    before: Array,
    after: Array,
    threshold: float = 0.5,
    task: Task = "binary",
    metric: Metric | None = None,
) -> Flips:
    """McNemar's exact test (McNemar 1947) on which rows are right, by `metric` where that is a share of right rows.

    Else a class counts as right, and a text that is the target. Predicted numbers are neither: nothing flips.
    """
    if task == "regression":
        return Flips(0, 0, 1.0)
    right = rightness(metric, threshold)
    was, now = right(labels, before), right(labels, after)
    broken, fixed = int((was & ~now).sum()), int((~was & now).sum())
    return Flips(broken, fixed, two_sided_half(broken, broken + fixed))


def change(metric: Metric, labels: Array, before: Array, after: Array, rng: np.random.Generator) -> Measurement:
    """`after` minus `before` of a metric on the same rows, with an interval that knows they are the same rows.

    AUC has the paired interval of DeLong et al. (1988), a share of right rows that of Tango (1998), other averages a
    normal one over the differences of the rows, and whatever else a paired bootstrap. `conditions["detectable"]` is the
    least change that so many rows would show with 80 % power: a smaller one that is not seen is no evidence of absence.
    """
    was, now = metric(labels, before), metric(labels, after)
    if not was.n or not now.n:
        return nothing(f"{now.name}_change", now.unit)
    if now.name == "auc":
        found = _auc_change(labels, before, after)
    elif (early := row_values(metric, labels, before)) is not None:
        late = np.asarray(row_values(metric, labels, after))
        if late.dtype == bool:
            return _share_change(f"{now.name}_change", early, late)
        found = mean(f"{now.name}_change", late - early, unit=now.unit)
    else:
        found = _bootstrap(metric, was, now, (labels, before, after), rng)
    spread = (found.high - found.low) / (2 * _LEVEL)
    # Rows that did not move at all say nothing of how much they would.
    return replace(found, conditions={"detectable": (_LEVEL + _POWER) * spread}) if 0 < spread < math.inf else found


def rows_needed(broken: float, fixed: float, power: float = 0.8, confidence: float = 0.95) -> int:
    """How many rows McNemar's test needs where these shares of them break and are fixed (Connor 1987).

    >>> rows_needed(broken=0.06, fixed=0.01)
    218
    """
    moved, least = broken + fixed, abs(broken - fixed)
    if not 0 < least <= moved <= 1:
        raise ValueError(f"`broken` and `fixed` must be different shares of the rows, got {broken!r} and {fixed!r}")
    level, strength = z_of(confidence), z_of(2 * power - 1)
    root = level * math.sqrt(moved) + strength * math.sqrt(moved - least**2)
    return math.ceil((root / least) ** 2)


def detectable_share(moved: float, n: int) -> float:
    """The least change of a share that McNemar's test shows in n rows with 80 % power, where `moved` of them flip.

    It is `rows_needed` the other way round. Where fewer rows flip than would have to, all that flip go one way.
    """
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        share = max(moved, middle)
        root = _LEVEL * math.sqrt(share) + _POWER * math.sqrt(share - middle**2)
        low, high = (middle, high) if n * middle**2 < root**2 else (low, middle)
    return high


def row_values(metric: object, labels: Array, answers: Array) -> Array | None:
    """What each row counts for (n,) in a metric that is an average over rows; None for any other."""
    return metric.rows(labels, answers) if isinstance(metric, RowWise) else None


def rightness(metric: Metric | None = None, threshold: float = 0.5) -> Callable[[Array, Array], NDArray[np.bool_]]:
    """Tells which rows are right: by `metric` where that is a share of right rows, else by the class, or the text."""

    def right(labels: Array, answers: Array) -> NDArray[np.bool_]:
        found = row_values(metric, labels, answers)
        if found is not None and found.dtype == bool:
            return found
        if answers.dtype == object:
            return np.asarray(labels == answers, dtype=bool)
        return np.asarray(chosen(answers, threshold) == np.round(labels))

    return right


def _share_change(name: str, was: NDArray[np.bool_], now: NDArray[np.bool_]) -> Measurement:
    n, fixed, broken = len(was), int((~was & now).sum()), int((was & ~now).sum())
    low, high = share_bounds(fixed, broken, n)
    told = {"detectable": detectable_share((fixed + broken) / n, n)}
    return Measurement(name, (fixed - broken) / n, n, low, high, conditions=told)


def share_bounds(more: int, less: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of (more - less) / n of paired rows (Tango 1998), which is open even where none has flipped.

    >>> [round(bound, 4) for bound in share_bounds(0, 0, 100)]
    [-0.037, 0.037]
    """
    z, value = z_of(confidence), (more - less) / n
    return _root(more, less, n, z, -1.0, value), _root(more, less, n, -z, value, 1.0)


def _root(more: int, less: int, n: int, z: float, low: float, high: float) -> float:
    """The change between `low` and `high` whose score is z; the score falls as the change grows."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _score(more, less, n, middle) > z else (low, middle)
    return (low + high) / 2


def _score(more: int, less: int, n: int, change: float) -> float:
    """How many standard deviations the flips lie above what `change` would give; the other share at its likeliest."""
    b = -more - less + (2 * n - more + less) * change
    c = -less * change * (1 - change)
    share = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
    variance = n * (2 * share + change * (1 - change))
    distance = more - less - n * change
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance) if distance else 0.0


def _auc_change(labels: Floats, before: Floats, after: Floats) -> Measurement:
    positive = labels >= 0.5
    above, below = (
        late - early for early, late in zip(_placed(positive, before), _placed(positive, after), strict=True)
    )
    value = float(above.mean())
    half = _LEVEL * math.sqrt(float(above.var(ddof=1)) / len(above) + float(below.var(ddof=1)) / len(below))
    return Measurement("auc_change", value, len(labels), value - half, value + half)


def _placed(positive: NDArray[np.bool_], answers: Floats) -> tuple[Floats, Floats]:
    """The share of negatives below each positive and of positives above each negative, ties counting half."""
    up, down = answers[positive], answers[~positive]
    return _below(up, np.sort(down)), 1 - _below(down, np.sort(up))


def _below(values: Floats, ordered: Floats) -> Floats:
    sides = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(sides / (2 * len(ordered)))


def _bootstrap(
    metric: Metric,
    was: Measurement,
    now: Measurement,
    pair: tuple[Array, Array, Array],
    rng: np.random.Generator,
    draws: int = 200,
) -> Measurement:
    labels, before, after = pair
    differences = np.empty(draws)
    for draw in range(draws):
        rows = rng.integers(0, len(labels), len(labels))
        differences[draw] = metric(labels[rows], after[rows]).value - metric(labels[rows], before[rows]).value
    # A normal interval from the bootstrap's spread: percentiles of 200 draws would be coarse in the tails.
    value, half = now.value - was.value, _LEVEL * float(np.nanstd(differences, ddof=1))
    return Measurement(f"{now.name}_change", value, len(labels), value - half, value + half, now.unit)
