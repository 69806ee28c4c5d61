"""The answer to "why did it get worse" as a document: the causes first, then what they were read from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo

from roadworthy.core.measure import Measurement
from roadworthy.observe.root_cause.why import Why
from roadworthy.observe.root_cause.why_text import clock, sentences
from roadworthy.ui.charts import Bar, Series, interval_chart, line_chart, waterfall_chart
from roadworthy.ui.document import Badge, Block, Cell, Charts, Code, Document, Note, Section, Table, Tile, section
from roadworthy.ui.words import count, interval, metric_name, number, percent

# A window shorter than this has minutes and seconds below its course.
SHORT_SECONDS = 1200.0
OUTCOME = {"fail": "got worse", "pass": "did not get worse", "wait": "not enough to tell"}


def why_document(found: Why, name: str, zone: tzinfo = UTC) -> Document:
    """Everything that the analysis of deployment `name` holds; a part with nothing in it has no heading."""
    parts = (_causes(found), _course(found, zone), _stages(found), _slices(found), _mix(found))
    rest = (_changes(found, zone), _saturation(found), _exemplars(found, zone))
    return Document(
        kind=f"why {metric_name(found.now.name)}",
        name=name,
        badge=Badge(found.verdict.decision, OUTCOME[found.verdict.decision]),
        lead=" ".join(sentences(found, zone)),
        facts=f"compared with {found.baseline}",
        tiles=tuple(_tiles(found, zone)),
        sections=tuple(part for part in (*parts, *rest) if part is not None),
        below="Shares are of the whole increase. This page is one file and loads nothing from anywhere.",
    )


def _tiles(found: Why, zone: tzinfo) -> Iterator[Tile]:
    yield Tile("In the window", number(found.now.value, found.now.unit), interval(found.now))
    yield Tile("In the baseline", number(found.before.value, found.before.unit), interval(found.before))
    if found.onset is not None:
        yield Tile("Began at", f"{datetime.fromtimestamp(found.onset, zone):%H:%M:%S}", clock(found.onset, zone))
    if found.causes:
        first = found.causes[0]
        yield Tile("First cause", first.what or first.kind, f"{percent(first.share)} of the increase")


def _causes(found: Why) -> Section | None:
    rows: list[tuple[Cell, ...]] = [
        (c.kind, Code(c.what) if c.what else "–", percent(c.share), c.confidence, c.sentence, "; ".join(c.evidence))
        for c in found.causes
    ]
    head = ("Kind", "What", "Share", "How sure", "In words", "Evidence")
    notes = [Note(note) for note in found.notes]
    return section("Causes", [Table("", head, rows, head[:2] + head[3:]), *notes])


def _course(found: Why, zone: tzinfo) -> Section | None:
    """The metric minute by minute, the baseline as a dashed line."""
    if not any(point.measured.n for point in found.series):
        return None
    style = "%H:%M" if found.until - found.since >= SHORT_SECONDS else "%M:%S"
    labels = [format(datetime.fromtimestamp(p.at, zone), style) for p in found.series]
    # A slot with a handful of rows has bounds that would hide all others.
    shown = tuple(_bounded(p.measured, found) for p in found.series)
    name = metric_name(found.now.name)
    line = Series(found.metric, shown)
    chart = line_chart(f"{name} over the window", labels, [line], reference=found.before.value)
    rows: list[tuple[Cell, ...]] = [(label, p.measured) for label, p in zip(labels, found.series, strict=True)]
    twin = Table("", ("At", name), rows)
    began = f" It began at {clock(found.onset, zone)}." if found.onset is not None else ""
    return section(
        "The course", [Charts((chart,), side_by_side=True, twin=twin)], f"The dashed line is the baseline.{began}"
    )


def _bounded(m: Measurement, found: Why) -> Measurement:
    if not m.n:
        return m
    top = 3 * max(p.measured.value for p in found.series if p.measured.n)
    return Measurement(m.name, m.value, m.n, max(m.low, 0.0), min(m.high, top), m.unit)


def _stages(found: Why) -> Section | None:
    bars = [Bar(s.stage, s.now, s.before.value) for s in found.stages]
    rows: list[tuple[Cell, ...]] = [(s.stage, s.before, s.now, percent(s.share)) for s in found.stages]
    table = Table("", ("Stage", "Before", "Now", "Share of the excess"), rows)
    figures = (waterfall_chart("Time by stage", bars, better=-1),) if bars else ()
    aside = "Mean times of the rows that decide the metric: for a percentile, those beyond it."
    return section("Stages", [Charts(figures), table], aside)


def _slices(found: Why) -> Section | None:
    rows: list[tuple[Cell, ...]] = [
        (Code(s.where), percent(s.share_of_excess), percent(s.share_of_rows), f"{s.rows:,}", f"{s.rows_before:,}",
         percent(s.likeness), ", ".join(s.aliases))
        for s in found.slices
    ]  # fmt: skip
    head = ("Slice", "Of the excess", "Of the rows", "Rows", "Before", "The others moved by", "The same rows")
    shares = [(s.where, _certain(100 * s.share_of_excess, s.rows)) for s in found.slices]
    figures = (interval_chart("Share of the excess by slice", shares),) if shares else ()
    aside = "Slices in one and two dimensions that got worse more than the other rows, the surest first."
    return section("Slices", [Charts(figures), Table("", head, rows, ("Slice", "The same rows"))], aside)


def _certain(value: float, rows: int) -> Measurement:
    """A share as a mark without an interval."""
    return Measurement("share", value, rows, value, value, "%")


def _mix(found: Why) -> Section | None:
    if found.split is None:
        return None
    strata = f" (by {', '.join(found.split.strata)})" if found.split.strata else ""
    said = f"Of the increase {percent(found.split.mix)} is mix{strata} and {percent(found.split.rate)} is rate."
    rows: list[tuple[Cell, ...]] = [
        (d.dimension, percent(d.mix), percent(d.rate), Code(d.value) if d.value else "–",
         percent(d.share_before), percent(d.share_now), d.follows)
        for d in found.mixes
    ]  # fmt: skip
    head = ("Dimension", "Mix", "Rate", "Value that grew", "Share before", "Share now", "Follows")
    aside = "Mix: more of the kinds of requests that were bad before. Rate: requests of one kind got worse."
    return section("Mix or rate", [Note(said), Table("", head, rows, ("Dimension", "Follows"))], aside)


def _changes(found: Why, zone: tzinfo) -> Section | None:
    rows: list[tuple[Cell, ...]] = [
        (clock(c.change.at, zone), c.change.kind, c.change.text, f"{c.score:.2f}", "yes" if c.matches else "")
        for c in found.changes
    ]
    head = ("At", "Kind", "What", "Fit", "About the slice")
    return section(
        "Changes", [Table("", head, rows, head[:3])], "How well each fits the onset and the slice, 1 at best."
    )


def _saturation(found: Why) -> Section | None:
    rows: list[tuple[Cell, ...]] = [
        (metric_name(r.name), r.before, r.now, "yes" if r.moved else "") for r in found.saturation
    ]
    blocks: list[Block | None] = [Table("", ("Reading", "Before", "Now", "Beyond chance"), rows)]
    return section("Saturation", blocks, "The machine, and what the rows say of queues, batches and the cache.")


def _exemplars(found: Why, zone: tzinfo) -> Section | None:
    names = list(dict.fromkeys(stage for e in found.exemplars for stage in e.stages))
    rows: list[tuple[Cell, ...]] = [
        (Code(e.id), clock(e.at, zone), *(_milliseconds(e.stages.get(stage)) for stage in names), Code(e.release[:12]),
         e.error)
        for e in found.exemplars
    ]  # fmt: skip
    head = ("Request", "At", *names, "Release", "Error")
    aside = f"{count(len(rows), 'request')} of the first cause's rows, with where their time went."
    return section("Requests to look at", [Table("", head, rows, ("Request", "At", "Release", "Error"))], aside)


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else number(1000 * seconds, "ms")
