"""When it began: the moment after which the rows of a window are best told by a level of their own."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from roadworthy.core.measure import Measurement
from roadworthy.observe.root_cause.metric_rows import Floats, Metric, measure

MINUTE = 60.0
LEAST_SLOTS, MOST_SLOTS = 20, 120


class Point(Struct, frozen=True):
    """The metric in a slot of time that begins at `at`."""

    at: float
    measured: Measurement


class Slots(NamedTuple):
    """A stretch cut into slots of a minute, or of less where there would be few, or more where there would be many."""

    starts: Floats
    seconds: float


def slots(since: float, until: float, most: int = MOST_SLOTS) -> Slots:
    """Slots of whole minutes where that gives 20 of them, and at most `most`."""
    length = max(until - since, 1e-6)
    minutes = math.ceil(length / MINUTE / most)
    seconds = MINUTE * minutes if length / MINUTE >= LEAST_SLOTS else length / LEAST_SLOTS
    return Slots(since + seconds * np.arange(max(1, math.ceil(length / seconds - 1e-9)), dtype=np.float64), seconds)


def series(metric: Metric, values: Floats, at: Floats, cut: Slots) -> tuple[Point, ...]:
    """The metric slot by slot; n=0 where nobody asked."""
    place = np.searchsorted(cut.starts, at, side="right") - 1
    order = np.argsort(place, kind="stable")
    bounds = np.searchsorted(place[order], np.arange(len(cut.starts) + 1))
    return tuple(
        Point(float(start), measure(metric, values[order[bounds[k] : bounds[k + 1]]]))
        for k, start in enumerate(cut.starts)
    )


def onset(scale_now: Floats, at: Floats, usual: float, cut: Slots) -> float:
    """Where the likelihood of "as before until here, on a level of its own from here on" is largest.

    One change point with a known level before it (Page 1954), to the slot. A window that is all of one level begins
    with it.
    """
    place = np.clip(np.searchsorted(cut.starts, at, side="right") - 1, 0, len(cut.starts) - 1)
    n = np.bincount(place, minlength=len(cut.starts)).astype(np.float64)
    above = np.bincount(place, scale_now - usual, len(cut.starts))
    rows, sums = np.cumsum(n[::-1])[::-1], np.cumsum(above[::-1])[::-1]
    gain = np.where(sums > 0, sums**2 / np.maximum(rows, 1.0), 0.0)
    return float(cut.starts[int(np.argmax(gain))])
