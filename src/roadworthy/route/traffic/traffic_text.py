"""A replayed rule and a watched router as tables for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.route.traffic.replayed import Replayed
from roadworthy.route.traffic.watched import WatchedRouter


def replayed_text(report: Replayed) -> RenderableType:
    """What the rule would have done, beside what was recorded."""
    head = Text(
        f"{report.rule} over {report.rows:,} recorded rows, worth {report.effective_rows:,.0f} without weights\n"
    )
    would = _table("had it chosen", (report.strong_share, report.quality, report.usd_per_row))
    was = _table("as recorded", report.as_was)
    against = _table("the rule less", report.against)
    parts: list[RenderableType] = [head, would, Text(""), was, Text(""), against]
    if report.segments:
        parts += [Text(""), _table("by segment", report.segments)]
    return Group(*parts, Text(""), _said(report.verdict))


def watched_text(report: WatchedRouter) -> RenderableType:
    """The charts, and the segments with the greatest loss first."""
    head = Text(f"{report.rows:,} routed rows, of which {report.compared:,} were compared\n")
    charts: list[RenderableType] = [_said(chart.verdict, chart.where) for chart in report.charts]
    table = Table("segment", "rows", "strong", "quality", "loss", "interval", box=None, header_style="bold")
    order = sorted(report.segments, key=lambda one: -one.loss.value if one.loss.n else math.inf)
    for one in order:
        cells = (_number(one.strong_share), _number(one.quality), _number(one.loss), _interval(one.loss))
        table.add_row(one.segment, f"{one.rows:,}", *cells)
    losses = _table("against the strong model alone", (report.loss, report.worst_over_mean))
    below: list[RenderableType] = [Text(""), table] if order else []
    return Group(head, *charts, Text(""), losses, *below)


def _table(title: str, found: Iterable[Measurement]) -> Table:
    table = Table(title, "", "value", "interval", "n", box=None, header_style="bold", pad_edge=False)
    for one in found:
        table.add_row(one.name, one.where, _number(one), _interval(one), f"{one.n:,}")
    return table


def _said(verdict: Verdict, where: str = "") -> Text:
    return Text(f"{verdict.decision}{f' ({where})' if where else ''}: {verdict.because}")


def _number(found: Measurement) -> str:
    if math.isnan(found.value):
        return "not known"
    return f"{found.value:.3g}" + ("" if found.unit == "1" else f" {found.unit}")


def _interval(found: Measurement) -> str:
    if not (math.isfinite(found.low) or math.isfinite(found.high)):
        return ""
    return f"[{found.low:.3g}, {found.high:.3g}]"
