"""Report renders what was found: a self-contained HTML page for a person, Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

from roadworthy.core.measure import Decision, Measurement
from roadworthy.evaluate.reports.baseline import BaselineDiff
from roadworthy.evaluate.reports.compare import Comparison
from roadworthy.evaluate.reports.report import GapReport
from roadworthy.ui import words
from roadworthy.ui.charts import Series, line_chart
from roadworthy.ui.compare_document import compare_document
from roadworthy.ui.gap_document import gap_document
from roadworthy.ui.gap_words import find
from roadworthy.ui.markdown import markdown_of
from roadworthy.ui.page import html_of, render

# Whether more of it is better; a metric that is not listed is shown without a winner.
BETTER = {"auc": 1, "accuracy": 1, "ece": -1, "log_loss": -1}


class Month(Struct, frozen=True):
    """One month, named `2013-05`: the same metrics of the frozen and of the managed model."""

    name: str
    frozen: tuple[Measurement, ...]
    managed: tuple[Measurement, ...]


class RolloutLine(Struct, frozen=True):
    """One candidate: the stage that it reached, what became of it and why, and how many requests it answered."""

    at: float
    candidate: str
    stage: str
    outcome: Literal["promoted", "rolled back", "stopped", "running"]
    because: str
    touched: int = 0
    digest: str = ""
    expected: str = ""

    @property
    def decision(self) -> Decision:
        """The outcome as the colour of its badge."""
        decisions: Mapping[str, Decision] = {"promoted": "pass", "running": "wait"}
        return decisions.get(self.outcome, "fail")


class AlarmLine(Struct, frozen=True):
    """One alarm: when, which detector, and what it saw."""

    at: float
    detector: str
    because: str


class Life(Struct, frozen=True):
    """The whole life of a deployment. `total` holds the metrics over all months; `made_at` is Unix seconds."""

    title: str
    months: tuple[Month, ...]
    rollouts: tuple[RolloutLine, ...] = ()
    alarms: tuple[AlarmLine, ...] = ()
    headline: tuple[Measurement, ...] = ()
    total: Month | None = None
    summary: str = ""
    note: str = ""
    made_at: float = 0.0


class Pair(NamedTuple):
    frozen: Measurement
    managed: Measurement
    better: bool


class Row(NamedTuple):
    name: str
    pairs: tuple[Pair, ...]
    n: int


def gap_page(report: GapReport, diff: BaselineDiff | None = None) -> str:
    """The gap report as a page, with what has changed since a baseline where there is one."""
    return html_of(gap_document(report, diff))


def gap_markdown(report: GapReport, diff: BaselineDiff | None = None) -> str:
    """The gap report as GitHub Markdown."""
    return markdown_of(gap_document(report, diff))


def compare_page(found: Comparison) -> str:
    """Several models side by side as a page."""
    return html_of(compare_document(found))


def compare_markdown(found: Comparison) -> str:
    """Several models side by side as GitHub Markdown."""
    return markdown_of(compare_document(found))


def life_page(life: Life) -> str:
    """The life of a deployment: frozen against managed, every candidate, every alarm."""
    metrics = list(dict.fromkeys(m.name for month in life.months for m in (*month.frozen, *month.managed)))
    labels = [words.month_name(month.name) for month in life.months]
    charts = [line_chart(words.metric_name(name), labels, _series(life.months, name)) for name in metrics]
    return render(
        "life.html",
        life=life,
        metrics=metrics,
        charts=charts,
        rows=[_row(month, metrics) for month in life.months],
        total=None if life.total is None else _row(life.total, metrics),
        released=_released(life.rollouts),
    )


def _series(months: Sequence[Month], name: str) -> list[Series]:
    managed = tuple(find(month.managed, name) for month in months)
    frozen = tuple(find(month.frozen, name) for month in months)
    return [Series("frozen", frozen, 2), Series("managed", managed, 1)]


def _row(month: Month, metrics: Sequence[str]) -> Row:
    pairs = tuple(_pair(find(month.frozen, name), find(month.managed, name)) for name in metrics)
    return Row(words.month_name(month.name), pairs, max((p.managed.n for p in pairs), default=0))


def _pair(frozen: Measurement, managed: Measurement) -> Pair:
    """Better only beyond doubt: in the metric's own direction, with intervals that do not overlap."""
    way = BETTER.get(managed.name, 0)
    apart = managed.low > frozen.high if way > 0 else managed.high < frozen.low
    return Pair(frozen, managed, bool(way) and apart)


def _released(lines: Sequence[RolloutLine]) -> str:
    promoted = sum(line.outcome == "promoted" for line in lines)
    bad = [line for line in lines if line.decision == "fail"]
    touched = words.count(sum(line.touched for line in bad), "request")
    ended = f"{words.count(len(bad), 'candidate')} stopped or rolled back, having answered {touched}"
    return f"{words.count(promoted, 'candidate')} promoted; {ended}." if lines else "Nothing was rolled out."
