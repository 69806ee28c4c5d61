"""Quality as a person reads it in a terminal: what labels, confidence and the audit say, and what to make of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import chain

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from roadworthy.core.calibration import Bin
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.worse_slices import WorseSlice
from roadworthy.observe.quality.quality import Point, Quality

STYLES = {"pass": "green", "wait": "yellow", "fail": "bold red"}


def quality_text(found: Quality) -> RenderableType:
    """The verdicts first, then the numbers behind them."""
    arrival, audit = found.arrival, found.audit
    head = f"{found.rows:,} answers from {_day(found.since)} to {_day(found.until)}, as of {_day(found.now)}"
    labels = (
        f"Labels: {_share(arrival.labelled)} of {arrival.mature:,} mature rows; {arrival.young:,} rows are too young"
        f"{_due(found)}."
    )
    drawn = f"Audit: {audit.drawn:,} of {audit.rows:,} rows were drawn by chance, {audit.labelled:,} of those labelled."
    parts: list[RenderableType] = [Text(head, "bold"), Text(labels), Text(drawn)]
    if found.disputed.n and found.disputed.value > 0:
        parts.append(Text(f"Disputed: {_share(found.disputed)} of the labels are contradicted by another one."))
    parts += ["", _verdicts(found.verdicts), "", _measured(found)]
    if found.reliability:
        parts += ["", _reliability(found.reliability)]
    for title, slices in (("where answers are worse", found.slices), ("where labels do not come", found.missing)):
        if slices:
            parts += ["", _slices(title, slices)]
    for tag, values in found.by.items():
        parts += ["", _by(tag, values)]
    if len(found.series) > 1:
        parts += ["", _series(found.series)]
    return Group(*parts)


def _verdicts(verdicts: Iterable[Verdict]) -> Table:
    table = Table("", "of", "because", header_style="bold")
    for verdict in verdicts:
        told = Text(verdict.decision, STYLES[verdict.decision])
        table.add_row(told, Text(verdict.of), Text(verdict.because))
    return table


def _measured(found: Quality) -> Table:
    """A row a metric: by labels, without them, by the audit, and by both."""
    table = Table("metric", header_style="bold")
    free = {str(m.conditions.get("estimator", "label-free")): m for m in found.label_free}
    for title in ("labels", *(f"{name} (no labels)" for name in free), "audit alone", "audit + confidence"):
        table.add_column(title, justify="right")
    names = dict.fromkeys(m.name for m in chain(found.measured, found.coverage, found.audit.estimates))
    for name in names:
        by_labels = next((m for m in (*found.measured, *found.coverage) if m.name == name), None)
        alone = next((m for m in found.audit.alone if m.name == name), None)
        both = next((m for m in found.audit.estimates if m.name == name), None)
        cells = [by_labels, *(m if m.name == name else None for m in free.values()), alone, both]
        table.add_row(Text(name), *(_cell(m) for m in cells))
    return table


def _reliability(bins: Iterable[Bin]) -> Table:
    table = Table("stated", "rows", "came true", "", header_style="bold", title="reliability", title_justify="left")
    for each in bins:
        off = "" if each.rate.low <= each.stated <= each.rate.high else "off"
        table.add_row(f"{each.stated:.3f}", f"{each.rate.n:,}", _cell(each.rate), Text(off, "yellow"))
    return table


def _slices(title: str, slices: Iterable[WorseSlice]) -> Table:
    table = Table("slice", "rows", "there", "elsewhere", "excess", "p", header_style="bold", title=title)
    table.title_justify = "left"
    for each in slices:
        cells = (_cell(each.loss), f"{each.elsewhere.value:.3f}", f"{each.excess:.1%}", f"{each.p:.1g}")
        table.add_row(Text(each.where), f"{each.loss.n:,}", *cells)
    return table


def _by(tag: str, values: Iterable[Measurement]) -> Table:
    table = Table(tag, "rows", "by labels", header_style="bold")
    for each in values:
        table.add_row(Text(each.where.partition("=")[2]), f"{each.n:,}", _cell(each))
    return table


def _series(points: Iterable[Point]) -> Table:
    table = Table("from", "rows", "labels", "no labels", "audit + confidence", header_style="bold")
    for point in points:
        cells = (_cell(point.measured), _cell(point.label_free), _cell(point.audited))
        table.add_row(_day(point.since), f"{point.rows:,}", *cells)
    return table


def _cell(m: Measurement | None) -> Text:
    # As Text: rich would take the brackets of an interval for its markup.
    if m is None or not m.n:
        return Text("-")
    return Text(f"{m.value:.3f} [{m.low:.3f}, {m.high:.3f}]")


def _share(m: Measurement) -> str:
    return f"{m.value:.1%}" if m.n else "none"


def _due(found: Quality) -> str:
    due = found.arrival.delay.due_seconds
    return f" (a label is due after {due / 3600:.1f} h)" if due == due else ""


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"
