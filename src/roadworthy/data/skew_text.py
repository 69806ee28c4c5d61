"""Skew and consistency as a person reads them in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from roadworthy.core.measure import Measurement
from roadworthy.data.consistency import Consistency
from roadworthy.data.skew import SkewReport

STYLES = {"pass": "green", "wait": "yellow", "fail": "bold red"}


def skew_text(report: SkewReport) -> RenderableType:
    """What is skewed, worst first, with examples; what is not is counted."""
    head = f"{report.training:,} training rows against {report.serving:,} served, {report.joined:,} rows on both sides"
    calm = [skew for skew in report.found if skew.verdict.decision == "pass"]
    table = Table("", "check", "column", "what", "because", header_style="bold")
    for decision in ("fail", "wait"):
        for skew in report.found:
            if skew.verdict.decision == decision:
                because = "\n".join([skew.verdict.because, *(skew.examples if skew.check == "feature" else ())])
                table.add_row(Text(decision, STYLES[decision]), skew.check, Text(skew.column), skew.what, Text(because))
    tail = f"{len(calm)} of {len(report.found)} checks found nothing."
    return Group(Text(head, "bold"), *([table] if table.row_count else []), tail)


def consistency_text(found: Consistency) -> RenderableType:
    """A row a feature: its rates, how far apart, and examples where it failed."""
    head = f"{found.looked_at:,} of {found.rows:,} logged rows recomputed ({found.keys:,} keys)"
    table = Table("", "feature", header_style="bold")
    for title in ("match", "mismatch", "missing", "extra", "SMAPE", "median delta", "largest delta"):
        table.add_column(title, justify="right")
    lines = []
    for each in found.features:
        rates = (each.match, each.mismatch, each.missing, each.extra)
        deltas = {m.name: m.value for m in each.deltas}
        told = [f"{deltas[name]:.4g}" if name in deltas else "-" for name in ("delta p50", "largest delta")]
        decision = each.verdict.decision
        smape = f"{each.smape.value:.4f}" if each.smape.n else "-"
        table.add_row(Text(decision, STYLES[decision]), Text(each.feature), *map(_share, rates), smape, *told)
        lines += [Text(f"{each.feature}: {example}") for example in each.examples if decision == "fail"]
    if found.unknown:
        lines.append(Text(f"not recomputed: {', '.join(found.unknown)}"))
    return Group(Text(head, "bold"), table, *lines)


def _share(m: Measurement) -> str:
    return f"{m.value:.2%}" if m.n else "-"
