"""What is asked about, such as p99, as numbers of each row: one to measure it by, and some to find its cause by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.errors import BadData, unknown
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean, nothing, proportion, z_of

if TYPE_CHECKING:
    import polars as pl

Metric = Literal["p50", "p95", "p99", "p99.9", "mean", "errors", "accuracy", "cost"]
Floats = NDArray[np.float64]

METRICS: tuple[Metric, ...] = get_args(Metric)
LEVELS = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
NAMES = {
    "p50": "p50_ms",
    "p95": "p95_ms",
    "p99": "p99_ms",
    "p99.9": "p999_ms",
    "mean": "mean_ms",
    "errors": "error_rate",
    "accuracy": "accuracy",
    "cost": "usd_per_1k",
}
CONFIDENCE = 0.99
# Where at least this part of what took longer is not the queue, the queue is a consequence: others wait behind it.
SERVED_SHARE = 0.3
BLOCKS = 20


@dataclass(frozen=True)
class Scale:
    """One number a row, larger being worse."""

    name: str
    now: Floats
    before: Floats


@dataclass(frozen=True)
class MetricRows:
    """`now` and `before` are the rows that count (indices), `values_*` what is measured of each: seconds, 0/1, dollars.

    The excess is counted in the first of the `scales`; the others help to tell apart what is slow from what is tail.
    """

    metric: Metric
    now: NDArray[np.int64]
    before: NDArray[np.int64]
    values_now: Floats
    values_before: Floats
    scales: tuple[Scale, ...]


def metric_rows(metric: str, now: pl.DataFrame, before: pl.DataFrame, output: str = "") -> MetricRows:
    """The rows of both stretches that say something about the metric. Raises BadData where there are none.

    `output` is the column of the answers, for `accuracy` (the only output where it is not given).
    """
    known = _metric(metric)
    a, b = (_values(known, frame, output) for frame in (now, before))
    here, there = (np.flatnonzero(np.isfinite(part)) for part in (a, b))
    for rows, frame, when in ((here, now, "in the window"), (there, before, "in the baseline")):
        if not len(rows):
            raise BadData(_nothing_there(known, frame, when))
    return MetricRows(
        known,
        here,
        there,
        a[here],
        b[there],
        _scales(known, a[here], b[there], _served(now)[here], _served(before)[there]),
    )


def _metric(name: str) -> Metric:
    for known in METRICS:
        if name == known:
            return known
    raise BadData(unknown("metric", name, METRICS))


def _nothing_there(metric: Metric, frame: pl.DataFrame, when: str) -> str:
    if not frame.height:
        return f"there are no records {when}: choose another stretch of time (`roadworthy log` shows where rows are)"
    needs = {"accuracy": "labels that have arrived", "cost": "`usd` (prices in the project file)"}
    return f"none of the {frame.height:,} records {when} has {needs.get(metric, '`seconds.total`')}"


def _values(metric: Metric, frame: pl.DataFrame, output: str) -> Floats:
    """What is measured of each row, larger being worse; NaN where it says nothing."""
    if metric == "errors":
        return _present(frame, "error").astype(np.float64)
    if metric == "accuracy":
        return _wrong(frame, output)
    return column(frame, "usd" if metric == "cost" else "seconds.total")


def column(frame: pl.DataFrame, name: str) -> Floats:
    """A column of numbers, NaN for null; NaN throughout where the frame lacks it."""
    import polars as pl

    if name not in frame.columns or frame[name].dtype == pl.Null:
        return np.full(frame.height, np.nan)
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)


def _present(frame: pl.DataFrame, name: str) -> NDArray[np.bool_]:
    if name not in frame.columns:
        return np.zeros(frame.height, bool)
    return frame[name].is_not_null().to_numpy().astype(bool)


def _wrong(frame: pl.DataFrame, output: str) -> Floats:
    """1 where the answer is not the label: the likeliest class, or a probability on the wrong side of a half."""
    import polars as pl

    outputs = [c for c in frame.columns if c.startswith("outputs.")]
    name = f"outputs.{output}" if output else next(iter(outputs), "")
    labels = column(frame, "label")
    if name not in frame.columns:
        return np.full(frame.height, np.nan)
    answers = frame[name]
    if answers.dtype in (pl.List, pl.Array):
        told = answers.list.arg_max() if answers.dtype == pl.List else answers.arr.arg_max()
        return _differs(told.cast(pl.Float64).fill_null(float("nan")).to_numpy(), labels)
    chances = column(frame, name)
    return _differs(np.where(np.isnan(chances), np.nan, chances >= 0.5), labels)


def _differs(told: Any, labels: Floats) -> Floats:
    known = np.isfinite(told) & np.isfinite(labels)
    return np.where(known, told != labels, np.nan)


def _served(frame: pl.DataFrame) -> Floats:
    """Seconds without the wait in the queue: who waits behind a slow request is not slow himself."""
    queue = np.nan_to_num(column(frame, "seconds.queue"))
    return np.asarray(np.maximum(column(frame, "seconds.total") - queue, 1e-6))


def _scales(metric: Metric, now: Floats, before: Floats, served: Floats, served_before: Floats) -> tuple[Scale, ...]:
    if metric in ("errors", "accuracy"):
        return (Scale("share", now, before),)
    if metric == "cost":
        return (Scale("dollars", now, before),)
    # What makes all slower by as many seconds, and what makes all slower as many times: each is even in one of these.
    logs = Scale("log of served seconds", np.log(served), np.log(served_before))
    plain = _capped("served seconds", served, served_before, 0.99)
    whole = _capped("seconds", now, before, 0.99)
    if _rise(plain) > SERVED_SHARE * _rise(whole):
        now, before = served, served_before
    if metric == "mean":
        return _capped("seconds", now, before, 0.999), logs, plain
    limit = float(np.quantile(before, LEVELS[metric]))
    return Scale("slow", *((part > limit).astype(np.float64) for part in (now, before))), logs, plain


def _rise(scale: Scale) -> float:
    return float(scale.now.mean() - scale.before.mean())


def _capped(name: str, now: Floats, before: Floats, level: float) -> Scale:
    """A few answers that took minutes must not decide where milliseconds went."""
    most = float(np.quantile(np.concatenate([now, before]), level))
    return Scale(name, np.minimum(now, most), np.minimum(before, most))


def measured(rows: MetricRows, which: Literal["now", "before"], clumping: float = 1.0, where: str = "") -> Measurement:
    """The metric of one of the stretches, its interval widened for rows that come in clumps (see `clumping_of`)."""
    values = rows.values_now if which == "now" else rows.values_before
    return measure(rows.metric, values, clumping, where)


def measure(metric: Metric, values: Floats, clumping: float = 1.0, where: str = "") -> Measurement:
    """The metric of these values, 99 % sure. Percentiles have the interval of order statistics (David & Nagaraja)."""
    name = NAMES[metric]
    if not len(values):
        return nothing(name, _unit(metric), where)
    if metric in LEVELS:
        return _percentile(name, values, LEVELS[metric], clumping, where)
    if metric in ("errors", "accuracy"):
        n = max(1, round(len(values) / clumping))
        share = proportion(name, round(float(values.mean()) * n), n, where, CONFIDENCE)
        found = replace(share, value=float(values.mean()), n=len(values))
        return found if metric == "errors" else _turned(found)
    times = 1000.0
    found = mean(name, values * times, where, _unit(metric), CONFIDENCE)
    half = (found.high - found.value) * math.sqrt(clumping)
    return replace(found, low=found.value - half, high=found.value + half)


def _turned(wrong: Measurement) -> Measurement:
    return replace(wrong, value=1 - wrong.value, low=1 - wrong.high, high=1 - wrong.low)


def _unit(metric: Metric) -> str:
    return "1" if metric in ("errors", "accuracy") else "usd" if metric == "cost" else "ms"


def _percentile(name: str, values: Floats, level: float, clumping: float, where: str) -> Measurement:
    n = len(values)
    half = z_of(CONFIDENCE) * math.sqrt(level * (1 - level) * clumping / n)
    low, value, high = np.quantile(values, np.clip([level - half, level, level + half], 0.0, 1.0)) * 1000.0
    # Above the largest value nothing is known.
    top = math.inf if level + half >= 1.0 and n * (1 - level) < 1 else float(high)
    return Measurement(name, float(value), n, float(low), top, "ms", where, {"confidence": CONFIDENCE})


def clumping_of(values: Floats, at: Floats) -> float:
    """By how much the mean of stretches of time varies more than that of as many rows drawn by chance (at least 1).

    The design effect (Kish 1965): rows that were served together share their fortune, and say less than they are many.
    """
    if len(values) < 5 * BLOCKS or not float(values.var()):
        return 1.0
    ordered = values[np.argsort(at, kind="stable")]
    means = np.array([part.mean() for part in np.array_split(ordered, BLOCKS)])
    return max(1.0, float(means.var(ddof=1)) * len(values) / BLOCKS / float(values.var()))


def increase(now: Measurement, before: Measurement, spread: float = 0.0) -> Measurement:
    """How much worse it is than before: a difference of two that are independent (MOVER, Zou & Donner 2008).

    `spread` is how far the metric differs from one stretch to the next anyhow, where several earlier ones are known.
    """
    sign = -1.0 if now.name == "accuracy" else 1.0
    value = sign * (now.value - before.value)
    (a, b), (c, d) = _arms(now, sign), _arms(before, sign)
    low, high = value - math.hypot(a, d, spread), value + math.hypot(b, c, spread)
    return Measurement(f"{now.name}_increase", value, now.n, low, high, now.unit, now.where, now.conditions)


def _arms(m: Measurement, sign: float) -> tuple[float, float]:
    """How far the interval reaches down and up, in the direction of worse."""
    down, up = m.value - m.low, m.high - m.value
    return (down, up) if sign > 0 else (up, down)


def spread_of(metric: Metric, values: Floats, at: Floats, periods: Sequence[tuple[float, float]]) -> float:
    """How far a stretch may lie from the mean of earlier ones, of which there must be three (Student's t)."""
    each = [measure(metric, values[(at >= since) & (at < until)]) for since, until in periods]
    known = [m.value for m in each if m.n]
    if len(known) < 3:
        return 0.0
    freedom, z = len(known) - 1, z_of(CONFIDENCE)
    # Cornish and Fisher's expansion of Student's quantile.
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return t * float(np.std(known, ddof=1)) * math.sqrt(1 + 1 / len(known))
