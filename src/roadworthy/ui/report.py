"""Report renders what was found as one self-contained HTML page, without a script or an outside file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from roadworthy.core.errors import MissingExtra
from roadworthy.core.measure import Decision, Measurement
from roadworthy.core.stats import nothing
from roadworthy.evaluate.report import Failure, GapReport
from roadworthy.ui import words
from roadworthy.ui.charts import Bar, Series, interval_chart, line_chart, waterfall_chart
from roadworthy.ui.markdown import gap_markdown as gap_markdown
from roadworthy.ui.markdown import gap_summary

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


def life_page(life: Life) -> str:
    """The life of a deployment: frozen against managed, every candidate, every alarm."""
    metrics = list(dict.fromkeys(m.name for month in life.months for m in (*month.frozen, *month.managed)))
    labels = [words.month_name(month.name) for month in life.months]
    charts = [line_chart(words.metric_name(name), labels, _series(life.months, name)) for name in metrics]
    return _render(
        "life.html",
        life=life,
        metrics=metrics,
        charts=charts,
        rows=[_row(month, metrics) for month in life.months],
        total=None if life.total is None else _row(life.total, metrics),
        released=_released(life.rollouts),
    )


def gap_page(report: GapReport) -> str:
    """The gap report: claim, lab, production, slices, corruptions, load, cost and verdicts."""
    bars = [Bar(rung.name, rung.measured, rung.start, rung.kind) for rung in report.waterfall]
    return _render(
        "gap.html",
        report=report,
        summary=gap_summary(report),
        tiles=_tiles(report),
        waterfall=waterfall_chart(f"{words.metric_name(report.headline)}, step by step", bars),
        slice_charts=_slice_charts(report),
        failures=_all_failures(report),
        nan=math.nan,
    )


def _render(template: str, **given: Any) -> str:
    try:
        import jinja2
    except ImportError as gone:
        raise MissingExtra("the HTML report", "jinja2", "report") from gone
    world = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    world.filters |= {f.__name__: f for f in (words.number, words.signed, words.interval, words.moment, words.count)}
    world.filters |= {"metric_name": words.metric_name, "p_value": words.p_value, "thousands": lambda n: f"{n:,}"}
    return world.get_template(template).render(given)


def _find(measured: Sequence[Measurement], name: str) -> Measurement:
    return next((m for m in measured if m.name == name), nothing(name))


def _series(months: Sequence[Month], name: str) -> list[Series]:
    managed = tuple(_find(month.managed, name) for month in months)
    frozen = tuple(_find(month.frozen, name) for month in months)
    return [Series("frozen", frozen, 2), Series("managed", managed, 1)]


def _row(month: Month, metrics: Sequence[str]) -> Row:
    pairs = tuple(_pair(_find(month.frozen, name), _find(month.managed, name)) for name in metrics)
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


def _tiles(report: GapReport) -> list[tuple[str, str, str]]:
    name = words.metric_name(report.headline)
    production, lab = _find(report.production, report.headline), _find(report.lab, report.headline)
    tiles = [(f"{name} in production", words.number(production.value, production.unit), words.interval(production))]
    tiles.append((f"{name} in the lab", words.number(lab.value, lab.unit), words.interval(lab)))
    if report.load:
        slow = _find(report.load.measured, "p99_ms")
        tiles.append(
            ("Latency p99", words.number(slow.value, slow.unit), f"at {words.number(report.load.rate, 'rps')}")
        )
    if report.cost:
        tiles.append(("Cost per 1,000", words.number(report.cost.value, "usd"), words.interval(report.cost)))
    return tiles


def _slice_charts(report: GapReport) -> list[str]:
    whole = _find(report.production, report.headline).value
    groups: dict[str, list[tuple[str, Measurement]]] = {}
    for part in report.slices:
        group, _, value = part.where.partition("=")
        groups.setdefault(group, []).append((value, _find(part.measured, report.headline)))
    name = words.metric_name(report.headline)
    return [interval_chart(f"{name} by {group}", rows, whole) for group, rows in groups.items()]


def _all_failures(report: GapReport) -> list[Failure]:
    loaded = report.load.failures.items() if report.load else ()
    return [*report.failures, *(Failure("load", because, rows) for because, rows in loaded)]
