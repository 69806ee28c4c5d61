"""Held says how often prediction sets and intervals held the truth, against their promise, and how large they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.class_names import class_name
from roadworthy.core.measure import Measurement, Requirement, Verdict, judge
from roadworthy.core.stats import mean, proportion
from roadworthy.evaluate.told import Told

Floats = NDArray[np.float64]


class Held(Struct, frozen=True):
    """Sets or intervals of labelled rows. `size` is the mean number of names in a set, or the mean width.

    `target` is what was promised and `verdict` follows from it, both None where nobody said. `by_class` has the
    coverage of each class where sets name classes.
    """

    coverage: Measurement
    size: Measurement
    target: float | None = None
    verdict: Verdict | None = None
    by_class: tuple[Measurement, ...] = ()


def held(labels: NDArray[Any], told: Told, classes: Sequence[str] = (), target: float | None = None) -> Held | None:
    """The sets, or else the intervals, of the rows that have a label; None where no row has both."""
    if told.sets is not None:
        return _of_sets(labels, told.sets, classes, target)
    return None if told.intervals is None else _of_intervals(labels, told.intervals, target)


def _of_sets(
    labels: NDArray[Any], sets: NDArray[np.object_], classes: Sequence[str], target: float | None
) -> Held | None:
    rows = [k for k, one in enumerate(sets) if one is not None and labels[k] == labels[k]]
    if not rows:
        return None
    truths = [class_name(float(labels[k]), classes) for k in rows]
    inside = np.array([truth in sets[k] for truth, k in zip(truths, rows, strict=True)])
    size = mean("set_size", [len(sets[k]) for k in rows], unit="names")
    named = np.array(truths, dtype=object)
    each = tuple(_coverage(inside[named == name], f"class={name}") for name in dict.fromkeys(sorted(truths)))
    return _against(Held(_coverage(inside), size, by_class=each), target)


def _of_intervals(labels: Floats, intervals: Floats, target: float | None) -> Held | None:
    known = ~np.isnan(intervals).any(axis=1) & ~np.isnan(labels)
    if not known.any():
        return None
    low, high, truth = *intervals[known].T, labels[known]
    with np.errstate(invalid="ignore"):  # from -inf to -inf there is no width
        width = high - low
    finite = np.isfinite(width)
    size = mean("interval_width", width[finite])
    endless = int((~finite).sum())
    size = replace(size, conditions={"infinite": endless}) if endless else size
    return _against(Held(_coverage((low <= truth) & (truth <= high)), size), target)


def _against(found: Held, target: float | None) -> Held:
    if target is None:
        return found
    verdict = judge(found.coverage, Requirement("coverage", at_least=target))
    return replace(found, target=target, verdict=verdict)


def _coverage(inside: NDArray[np.bool_], where: str = "") -> Measurement:
    return proportion("coverage", int(inside.sum()), len(inside), where)
