"""The gap report as a document: the order in which a person wants to know things."""

from __future__ import annotations

from collections.abc import Iterator

from roadworthy.evaluate.reports.baseline import BaselineDiff
from roadworthy.evaluate.reports.report import GapReport
from roadworthy.ui import gap_certainty, gap_quality, gap_serving
from roadworthy.ui.baseline_section import since_baseline
from roadworthy.ui.document import Badge, Document, Section, Tile
from roadworthy.ui.gap_words import OUTCOME, find, gap_summary
from roadworthy.ui.words import UNKNOWN, interval, metric_name, moment, number

PARTS = (
    gap_quality.requirements,
    gap_quality.waterfall,
    gap_quality.claims,
    gap_quality.production,
    gap_certainty.certainty,
    gap_certainty.who_answered,
    gap_quality.corruptions,
    gap_quality.mix,
    gap_quality.repairs,
    gap_quality.edges,
    gap_serving.load,
    gap_serving.search,
    gap_serving.quality,
    gap_serving.equalities,
    gap_serving.cold,
    gap_serving.memory,
    gap_serving.cost,
    gap_serving.failures,
    gap_serving.how,
)


def gap_document(report: GapReport, diff: BaselineDiff | None = None) -> Document:
    """Everything that the report holds; a part that was left out has no heading."""
    parts: list[Section | None] = [part(report) for part in PARTS]
    if diff is not None:
        parts.insert(1, since_baseline(diff))
    owner = f"owner: {report.owner}" if report.owner else ""
    return Document(
        kind="the gap",
        name=report.name,
        badge=Badge(report.decision, OUTCOME[report.decision]),
        lead=gap_summary(report),
        facts=" · ".join(filter(None, (report.meaning, owner))),
        tiles=tuple(_tiles(report)),
        sections=tuple(part for part in parts if part is not None),
        below=_below(report.made_at, report.settings.get("seed", UNKNOWN)),
    )


def _below(made_at: float, seed: object) -> str:
    when = f" on {moment(made_at)} UTC" if made_at else ""
    return f"Measured by Roadworthy{when}, seed {seed}. This page is one file and loads nothing from anywhere."


def _tiles(report: GapReport) -> Iterator[Tile]:
    name = metric_name(report.headline)
    for where, measured in (("in production", report.production), ("in the lab", report.lab)):
        m = find(measured, report.headline)
        if m.n:
            yield Tile(f"{name} {where}", number(m.value, m.unit), interval(m))
    if report.load and report.load.valid:
        slow = report.load.find("p99_ms")
        at = f"at {number(report.load.rate, 'rps')}" if report.load.rate else report.load.scenario
        yield Tile("Latency p99", number(slow.value, slow.unit), at)
    elif report.load:
        yield Tile("Latency p99", UNKNOWN, "the load run was not valid")
    if report.search and report.search.max_rate.n:
        m = report.search.max_rate
        yield Tile("Largest rate", number(m.value, m.unit), interval(m))
    if report.cost and report.cost.n:
        yield Tile("Cost per 1,000", number(report.cost.value, "usd"), interval(report.cost))
