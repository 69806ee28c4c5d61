"""Where a prediction's inputs lie in recent traffic, and which earlier predictions were like it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from roadworthy.core.measure import Measurement
from roadworthy.core.record import Record
from roadworthy.core.stats import nothing, proportion
from roadworthy.core.window import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Place(Struct, frozen=True):
    """Where an input lies in recent traffic: the share of rows below it (`percentile`) or with just that value.

    Rows that equal a number count half. A vector has no place: its Measurement has n=0.
    """

    input: str
    value: Any
    kind: Literal["percentile", "share"]
    place: Measurement


class Like(Struct, frozen=True):
    """An earlier prediction on similar inputs; `distance` is 0 (the same) to 1, as in Gower 1971."""

    record: Record
    distance: float


def place(name: str, value: Any, recent: NDArray[Any] | None) -> Place:
    """Where one input lies among the recent values (n,), with Wilson's interval."""
    number = isinstance(value, int | float) and not is_null(value)
    kind: Literal["percentile", "share"] = "percentile" if number else "share"
    if recent is None or recent.ndim != 1 or isinstance(value, list | tuple):
        return Place(name, value, kind, nothing(kind, where=name))
    if number and recent.dtype != object:
        known = recent[~np.isnan(recent)]
        below = float((known < value).sum() + (known == value).sum() / 2)
        return Place(name, value, "percentile", _share("percentile", below, len(known), name))
    same = [is_null(v) if is_null(value) else v == value for v in recent.tolist()]
    return Place(name, value, "share", _share("share", sum(same), len(same), name))


def nearest(record: Record, recent: Sequence[Record], window: Window, most: int) -> list[Like]:
    """The labelled records with the most similar inputs, nearest first.

    The distance is the mean over inputs of the share of recent rows between two numbers, or 1 for two categories
    that differ (Gower 1971, on ranks: an outlier stretches nothing).
    """
    labelled = np.flatnonzero(~np.isnan(window.labels))
    if not len(labelled):
        return []
    parts = [
        _apart(record.inputs.get(name), values)[labelled] for name, values in window.inputs.items() if values.ndim == 1
    ]
    distance = np.mean(parts, axis=0) if parts else np.zeros(len(labelled))
    order = np.argsort(distance, kind="stable")[:most]
    return [Like(recent[labelled[k]], float(distance[k])) for k in order]


def _share(name: str, hits: float, n: int, where: str) -> Measurement:
    bounds = proportion(name, round(hits), n, where)
    return replace(bounds, value=hits / n) if n else bounds


def _apart(value: Any, recent: NDArray[Any]) -> NDArray[np.float64]:
    """How far each recent value (n,) is from this one, 0 to 1."""
    if recent.dtype == object or not isinstance(value, int | float) or math.isnan(value):
        missing = is_null(value)
        return np.array([not is_null(v) if missing else v != value for v in recent.tolist()], np.float64)
    ordered = np.sort(recent[~np.isnan(recent)])
    here = _rank(ordered, np.array([value], np.float64))
    apart = np.abs(_rank(ordered, recent) - here) / max(1, len(ordered))
    return np.where(np.isnan(recent), 1.0, apart)


def _rank(ordered: NDArray[np.float64], values: NDArray[Any]) -> NDArray[np.float64]:
    left, right = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray((left + right) / 2, np.float64)


def is_null(value: Any) -> bool:
    """None or NaN."""
    return value is None or value != value
