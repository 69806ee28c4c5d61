"""Markdown writes the gap report for a pull request or a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from roadworthy.core.measure import Measurement
from roadworthy.evaluate.report import GapReport, Spoilt
from roadworthy.ui.words import UNKNOWN, count, interval, metric_name, moment, number, p_value, signed


def gap_summary(report: GapReport) -> str:
    """The whole gap in two or three sentences.

    What was claimed and whether it holds, what production gives, and the corruption that costs the most.
    """
    name = metric_name(report.headline)
    sentences = [
        f"{metric_name(r.claim.metric)} {number(r.claim.value)} was claimed and {r.outcome}"
        for r in report.reproductions
    ]
    production = next(m for m in report.production if m.name == report.headline)
    sentences.append(f"production gives {name} {_both(production)}" if production.n else "production has no labels yet")
    bad = [s for s in report.spoilt if s.change.n and math.isfinite(s.change.value)]
    if bad:
        worst = max(bad, key=lambda s: abs(s.change.value))
        at = "" if worst.severity == 1 else f" at severity {worst.severity:g}"
        moved = signed(worst.change.value)
        sentences.append(f"the costliest of the corruptions, {worst.name}{at}, moves it by {moved}")
    return " ".join(s[0].upper() + s[1:] + "." for s in sentences)


def gap_markdown(report: GapReport) -> str:
    """The report as GitHub Markdown: summary, verdicts, levels, slices, corruptions, load."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: GapReport) -> Iterator[str]:
    yield from (f"# {report.name}: the gap ({report.decision})", "", gap_summary(report), "")
    yield from _section(
        "Requirements",
        ("Metric", "Verdict", "Why"),
        [(metric_name(v.of), v.decision, v.because) for v in report.verdicts],
    )
    yield from _section(
        "Claims",
        ("Claim", "Claimed", "Measured", "Outcome"),
        [
            (metric_name(r.claim.metric), number(r.claim.value), _both(r.measured), r.outcome)
            for r in report.reproductions
        ],
    )
    heads = [metric_name(m.name) for m in report.production]
    parts = [("lab", report.lab), ("production", report.production), *((s.where, s.measured) for s in report.slices)]
    levels = [(where, *(_both(m) for m in measured), f"{measured[0].n:,}") for where, measured in parts]
    yield from _section("Levels", ("Where", *heads, "Rows"), levels)
    yield from _section(
        "Corruptions",
        ("Corruption", "Severity", "Rows changed", f"Change of {metric_name(report.headline)}", "Broken", "Fixed", "p"),
        [_spoilt(s) for s in report.spoilt],
    )
    yield from _under_load(report)
    failed = [(f.where, f.because, f"{f.rows:,}") for f in report.failures]
    yield from _section("No answer", ("Where", "Why", "Rows"), failed)
    yield f"Measured {moment(report.made_at)} UTC, seed {report.settings.get('seed', UNKNOWN)}."


def _under_load(report: GapReport) -> Iterator[str]:
    if report.load is None:
        return
    rows = [(metric_name(m.name), _both(m)) for m in (*report.load.measured, report.capacity)]
    rows += [(metric_name(report.cost.name), _both(report.cost))] if report.cost else []
    yield from _section(f"Load at {number(report.load.rate, 'rps')}", ("Measure", "Value"), rows)
    valid = "Valid run" if report.load.valid else "**Invalid run**"
    yield from (f"{valid}: {report.load.because}. {count(sum(report.load.failures.values()), 'request')} failed.", "")


def _spoilt(s: Spoilt) -> tuple[str, ...]:
    moved = f"{signed(s.change.value)} {interval(s.change)}".strip()
    counts = (f"{s.flips.broken:,}", f"{s.flips.fixed:,}", p_value(s.flips.p))
    return (s.name, f"{s.severity:g}", f"{s.changed:,}", moved, *counts)


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield from (f"## {title}", "")
    yield from (_line(head), _line(["---"] * len(head)), *(_line(row) for row in rows), "")


def _line(cells: Sequence[str]) -> str:
    # A bar in a reason would end the cell, and a line break the table.
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"


def _both(m: Measurement) -> str:
    return f"{number(m.value, m.unit)} {interval(m)}".strip()
