"""Exemplars: a few requests of a slice to look at, from the usual one to the worst, each with where its time went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean
from roadworthy.observe.root_cause.metric_rows import CONFIDENCE, LEVELS, Floats, Metric, MetricRows, column

if TYPE_CHECKING:
    import polars as pl

PLACES = (0.5, 0.75, 0.9, 0.97, 1.0)
# What a stream says of its first piece lies within its other stages.
WITHIN = ("total", "first")
REST = "rest"


class Exemplar(Struct, frozen=True, omit_defaults=True):
    """A request by its id; `stages` are seconds in order, with what no stage claims as `rest`."""

    id: str
    at: float
    value: float
    stages: Mapping[str, float]
    release: str = ""
    error: str = ""


class StageShare(Struct, frozen=True):
    """The mean time of a stage in the rows that the metric is about, and its share of what they took longer."""

    stage: str
    now: Measurement
    before: Measurement
    share: float


def exemplars(frame: pl.DataFrame, values: Floats, rows: NDArray[Any]) -> tuple[Exemplar, ...]:
    """Up to five of the given rows of the frame (indices), `values` being the metric's value of each of them."""
    if not len(rows):
        return ()
    ordered = rows[np.argsort(values, kind="stable")]
    sizes = np.sort(values, kind="stable")
    chosen = dict.fromkeys(round(place * (len(rows) - 1)) for place in PLACES)
    return tuple(_exemplar(frame.row(int(ordered[k]), named=True), float(sizes[k])) for k in reversed(chosen))


def stages_of(row: Mapping[str, Any]) -> dict[str, float]:
    """Seconds by stage, in the order of the columns."""
    told = {n.partition(".")[2]: v for n, v in row.items() if n.startswith("seconds.") and v is not None}
    known = {name: float(seconds) for name, seconds in told.items() if name not in WITHIN}
    rest = float(told.get("total", 0.0)) - sum(known.values())
    return {**known, REST: rest} if rest > 1e-9 else known


def stage_shares(metric: Metric, rows: MetricRows, now: pl.DataFrame, before: pl.DataFrame) -> tuple[StageShare, ...]:
    """Which stage moved, among the rows that decide the metric: the slowest ones for a percentile, else all.

    Nothing for a metric that is no time.
    """
    if metric in ("errors", "accuracy", "cost"):
        return ()
    a = _stage_columns(now, rows.now[_deciding(metric, rows.values_now)])
    b = _stage_columns(before, rows.before[_deciding(metric, rows.values_before)])
    found = list(_shares(a, b))
    return tuple(sorted(found, key=lambda each: -each.share))


def _shares(now: Mapping[str, Floats], before: Mapping[str, Floats]) -> Iterator[StageShare]:
    longer = float(now["total"].mean() - before["total"].mean())
    for name in (n for n in {**now, **before} if n not in WITHIN):
        a, b = (_stage(name, part.get(name, np.zeros(1))) for part in (now, before))
        yield StageShare(name, a, b, (a.value - b.value) / 1000.0 / longer if longer else 0.0)


def _stage(name: str, seconds: Floats) -> Measurement:
    return mean(f"{name}_ms", seconds * 1000.0, unit="ms", confidence=CONFIDENCE)


def _deciding(metric: Metric, values: Floats) -> NDArray[np.bool_]:
    if metric not in LEVELS:
        return np.ones(len(values), bool)
    if metric == "p50":
        low, high = np.quantile(values, (0.4, 0.6))
        return np.asarray((values >= low) & (values <= high))
    return np.asarray(values >= np.quantile(values, LEVELS[metric]))


def _stage_columns(frame: pl.DataFrame, rows: NDArray[Any]) -> dict[str, Floats]:
    """Seconds of each stage, 0 where a row did not pass it (a cached answer has no model)."""
    names = [c for c in frame.columns if c.startswith("seconds.")]
    found = {name.partition(".")[2]: np.nan_to_num(column(frame, name)[rows]) for name in names}
    known = sum((seconds for name, seconds in found.items() if name not in WITHIN), np.zeros(len(rows)))
    return {**found, REST: np.maximum(found["total"] - known, 0.0)}


def _exemplar(row: Mapping[str, Any], value: float) -> Exemplar:
    release, error = str(row.get("release") or ""), str(row.get("error") or "")
    return Exemplar(str(row["id"]), float(row["at"]), value, stages_of(row), release, error)
