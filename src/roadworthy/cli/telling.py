"""Telling: what a person sees in the terminal at the end of a life."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table

from roadworthy.core.measure import Measurement
from roadworthy.ui.report import Life, Month
from roadworthy.ui.words import month_name

if TYPE_CHECKING:
    from roadworthy.cli.living import Told


def life_text(told: Told) -> RenderableType:
    """Frozen against managed month by month, the rollouts that mattered, and where the page is."""
    life = told.life
    lines = [f"  {m.name} {m.value:+.4f} [{m.low:+.4f}, {m.high:+.4f}] (n={m.n:,})" for m in life.headline]
    ending = f"Report with charts: {told.page}\nGap report: {told.page.parent / 'gap.html'}"
    return Group(months_table(life), *lines, "", rollouts_table(life), "", ending)


def months_table(life: Life) -> Table:
    """One row a month: AUC, calibration error and log loss of both, each with its 95 % interval."""
    table = Table("month", "n", header_style="bold", title="frozen model against managed model", title_justify="left")
    for metric in ("AUC", "ECE", "log loss"):
        table.add_column(f"{metric} frozen", justify="right")
        table.add_column(f"{metric} managed", justify="right")
    for month in (*life.months, *([life.total] if life.total else ())):
        table.add_row(month_name(month.name), f"{month.managed[0].n:,}", *_cells(month))
    return table


def rollouts_table(life: Life) -> Table:
    """The scenarios one by one, the ordinary candidates as one line."""
    table = Table("candidate", "when", "outcome", "answered", "because", header_style="bold")
    ordinary = [line for line in life.rollouts if not line.expected]
    promoted = sum(line.outcome == "promoted" for line in ordinary)
    answered = sum(line.touched for line in ordinary)
    table.add_row("retrained", "", f"{promoted} of {len(ordinary)} promoted", f"{answered:,}", "")
    for line in life.rollouts:
        if line.expected or line.outcome == "rolled back":
            when = f"{datetime.fromtimestamp(line.at, UTC):%-d %b}"
            table.add_row(line.candidate, when, f"{line.outcome}, {line.stage}", f"{line.touched:,}", line.because)
    return table


def _cells(month: Month) -> list[str]:
    pairs = zip(month.frozen, month.managed, strict=True)
    return [_cell(m) for pair in pairs for m in pair]


def _cell(m: Measurement) -> str:
    return f"{m.value:.3f} ±{(m.high - m.low) / 2:.3f}" if m.n else "-"
