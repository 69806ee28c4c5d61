"""How a router fares on its traffic: the chart of its escalation, and each segment's escalation and quality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing
from roadworthy.route.traffic.charts import Chart, chart_of, loss_chart_of
from roadworthy.route.traffic.replayed import share_of
from roadworthy.route.traffic.traffic import Traffic
from roadworthy.route.traffic.values import difference, value


class SegmentOfTraffic(Struct, frozen=True, omit_defaults=True):
    """One segment: how much of it goes to the strong model, what it gets right, and what it loses to that model."""

    segment: str
    rows: int
    strong_share: Measurement
    quality: Measurement
    loss: Measurement


class WatchedRouter(Struct, frozen=True, omit_defaults=True):
    """The charts (of all traffic first, then of each planned segment), the segments, and the loss they have.

    `worst_over_mean` is nothing where no segment's loss is known or the mean loss is none.
    """

    rows: int
    compared: int
    charts: tuple[Chart, ...]
    loss: Measurement
    segments: tuple[SegmentOfTraffic, ...]
    worst_over_mean: Measurement


def watched(
    traffic: Traffic,
    planned: float,
    planned_segments: Mapping[str, float] | None = None,
    planned_losses: Mapping[str, float] | None = None,
    tolerance: float = 0.02,
    alpha: float = 0.01,
    stretch_seconds: float = 0.0,
    least: int = 30,
) -> WatchedRouter:
    """The router of recorded traffic against its plan.

    `planned_losses` are what rows that are left to the weak model may lose on average, by segment ("": all of them);
    a segment's own chart sees a change long before that of all. All charts together alarm falsely with at most `alpha`.
    Rows within `stretch_seconds` are one piece of evidence (0:
    those of one request).
    """
    plans = dict(planned_segments or {})
    losses = dict(planned_losses or {})
    each = alpha / (1 + len(plans) + len(losses))
    charts = [_chart(traffic, planned, tolerance, each, stretch_seconds, "")]
    for segment, share in plans.items():
        charts.append(_chart(_of(traffic, segment), share, tolerance, each, stretch_seconds, segment))
    charts += loss_charts(traffic, losses, tolerance, alpha * len(losses) / (1 + len(plans) + len(losses)))
    segments = tuple(
        _segment(traffic, name, rows) for name, rows in _rows_by_segment(traffic).items() if int(rows.sum()) >= least
    )
    loss = _loss(traffic, "")
    return WatchedRouter(traffic.n, int(traffic.compared.sum()), tuple(charts), loss, segments, _worst(segments, loss))


def loss_charts(
    traffic: Traffic, planned: Mapping[str, float], tolerance: float = 0.02, alpha: float = 0.01
) -> list[Chart]:
    """A chart for each planned segment ("" for all rows): what rows that were left to the weak model, and compared,
    lost to the strong one. Together they alarm falsely with at most `alpha`."""
    each = alpha / max(1, len(planned))
    return [_loss_chart(_of(traffic, name), loss, tolerance, each, name) for name, loss in planned.items()]


def _loss_chart(traffic: Traffic, planned: float, tolerance: float, alpha: float, where: str) -> Chart:
    # A row whose cheap answer was not good enough was wanted by the strong model; a stand-in was compared with nothing.
    rows = traffic.compared & ~traffic.wanted
    losses = traffic.strong_right[rows] - traffic.weak_right[rows]
    return loss_chart_of(losses, traffic.requests[rows], traffic.at[rows], planned, tolerance, alpha, where)


def _of(traffic: Traffic, segment: str) -> Traffic:
    return traffic.take(np.asarray(traffic.segments == segment, bool)) if segment else traffic


def _chart(
    traffic: Traffic, planned: float, tolerance: float, alpha: float, stretch_seconds: float, where: str
) -> Chart:
    groups: NDArray[Any] = traffic.requests
    if stretch_seconds > 0:
        groups = np.floor(traffic.at / stretch_seconds).astype(np.int64)
    return chart_of(traffic.wanted, groups, traffic.at, planned, tolerance, alpha, where)


def _rows_by_segment(traffic: Traffic) -> dict[str, NDArray[np.bool_]]:
    names = sorted(set(traffic.segments.tolist()) - {""})
    return {name: np.asarray(traffic.segments == name, bool) for name in names}


def _segment(traffic: Traffic, name: str, rows: NDArray[np.bool_]) -> SegmentOfTraffic:
    part = traffic.take(rows)
    share = share_of(part, part.wanted, name)
    return SegmentOfTraffic(name, part.n, share, value(part, part.wanted, where=name), _loss(part, name))


def _loss(traffic: Traffic, where: str) -> Measurement:
    """What is lost against the strong model alone; positive is worse."""
    gained = difference(traffic, traffic.wanted, np.ones(traffic.n, bool), where=where)
    told = gained.conditions
    return Measurement("loss", -gained.value, gained.n, -gained.high, -gained.low, "1", where, told)


def _worst(segments: tuple[SegmentOfTraffic, ...], loss: Measurement) -> Measurement:
    known = [one.loss for one in segments if one.loss.n]
    if not known or not loss.value > 0:
        return nothing("worst_segment_over_mean")
    worst = max(known, key=lambda one: one.value)
    low, high = worst.low / loss.value, worst.high / loss.value
    return Measurement("worst_segment_over_mean", worst.value / loss.value, worst.n, low, high, where=worst.where)
