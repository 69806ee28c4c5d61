"""Charts draws SVG on the server: it reads without JavaScript, in the dark and on paper, and has a table twin.

Colours are the page's CSS variables; series differ by marker and dash too, for those who see no colours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from roadworthy.core.measure import Measurement
from roadworthy.ui.words import interval, number, signed

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One line: a name and one measurement a label, n=0 where there is none. `colour` is 1 to 4."""

    name: str
    values: tuple[Measurement, ...]
    colour: int = 1


@dataclass(frozen=True)
class Bar:
    """One row of a waterfall: the level, and the level that it `start`s from (NaN: none)."""

    name: str
    level: Measurement
    start: float = math.nan
    kind: str = ""


@dataclass(frozen=True)
class Scale:
    """Maps `low`..`high` of the data onto `start`..`end` of the drawing; `ticks` are round numbers inside."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def line_chart(title: str, labels: Sequence[str], series: Sequence[Series], note: str = "") -> str:
    """A line with an interval band for each series, named at its end. `labels` stand below, one a value."""
    width, height, left, right, top, bottom = 360, 240, 38, 84, 14, 26
    y = scale_of((m for s in series for m in s.values), height - bottom, top)
    step = (width - left - right) / max(len(labels) - 1, 1)
    xs = [left + step * k for k in range(len(labels))]
    drawn = [_grid_y(y, left, width - right), _labels_x(labels, xs, height - 8)]
    drawn += [_band(s, xs, y) for s in series]
    drawn += [_line(s, xs, y) for s in series]
    drawn += _end_names(series, width - right + 10, y, top, height - bottom)
    rows = [(label, *(_cell(s.values[k]) for s in series)) for k, label in enumerate(labels)]
    table = table_of(("", *(s.name for s in series)), rows)
    return _figure(title, note or _spoken(title, labels, series), width, height, "".join(drawn), table)


def waterfall_chart(title: str, bars: Sequence[Bar], note: str = "") -> str:
    """Levels from top to bottom, each with its interval and the fall or rise from where it starts."""
    width, left, right, row, top = 960, 250, 170, 40, 8
    height = top + row * len(bars) + 34
    x = scale_of((b.level for b in bars), left, width - right)
    drawn = [_grid_x(x, top, height - 26)]
    for k, bar in enumerate(bars):
        drawn.append(_bar(bar, x, top + row * k + row / 2, left - 12, width - right + 14))
    rows = [(b.name, _cell(b.level), "" if math.isnan(b.start) else signed(b.level.value - b.start)) for b in bars]
    table = table_of(("", "Level", "Change"), rows)
    spoken = "; ".join(f"{b.name} {number(b.level.value, b.level.unit)}" for b in bars)
    return _figure(title, note or spoken, width, height, "".join(drawn), table, wide=True)


def interval_chart(
    title: str, rows: Sequence[tuple[str, Measurement]], reference: float = math.nan, note: str = ""
) -> str:
    """A dot with its interval for each row, and a dashed line at `reference` if there is one."""
    width, left, right, row, top = 960, 250, 170, 28, 8
    height = top + row * len(rows) + 34
    marks = [m for _, m in rows] + ([] if math.isnan(reference) else [Measurement("", reference, 1)])
    x = scale_of(marks, left, width - right)
    drawn = [_grid_x(x, top, height - 26)]
    if not math.isnan(reference):
        at = x(reference)
        drawn.append(f'<line class="reference" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{height - 26}"/>')
    for k, (name, m) in enumerate(rows):
        y = top + row * k + row / 2
        drawn += [_text(left - 12, y + 4, _short(name), "end"), _dot(m, x, y, 1)]
        drawn.append(_text(width - right + 14, y + 4, number(m.value, m.unit), "start", "value"))
    table = table_of(("", title), [(name, _cell(m)) for name, m in rows])
    spoken = "; ".join(f"{name} {number(m.value, m.unit)}" for name, m in rows)
    return _figure(title, note or spoken, width, height, "".join(drawn), table, wide=True)


def table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table; the first cell of a row is its heading, the rest are numbers."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def scale_of(measured: Iterator[Measurement] | Sequence[Measurement], start: float, end: float) -> Scale:
    """A scale that holds every value and every finite bound, with some air and three to six round ticks."""
    spans = [[m.value, *(b for b in (m.low, m.high) if math.isfinite(b))] for m in measured if math.isfinite(m.value)]
    values = [v for span in spans for v in span] or [0.0, 1.0]
    low, high = min(values), max(values)
    air = 0.06 * (high - low) or abs(high) * 0.1 or 0.5
    low, high = (low - air if low < 0 or low - air > 0 else 0.0), high + air
    ticks = _ticks(low, high)
    return Scale(low, high, start, end, ticks)


def _ticks(low: float, high: float) -> tuple[float, ...]:
    rough = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * k for k in (1, 2, 2.5, 5, 10) if size * k >= rough)
    return tuple(step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1))


def _figure(title: str, spoken: str, width: float, height: float, drawn: str, table: str, *, wide: bool = False) -> str:
    name = "c-" + re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return (
        f'<figure class="chart{" wide" if wide else ""}"><figcaption>{escape(title)}</figcaption><div class="scroll">'
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(spoken)}</desc>{drawn}</svg></div>'
        f"<details><summary>The numbers</summary>{table}</details></figure>"
    )


def _spoken(title: str, labels: Sequence[str], series: Sequence[Series]) -> str:
    if not labels:
        return f"{title}: nothing measured"
    ends = (f"{s.name} from {number(s.values[0].value)} to {number(s.values[-1].value)}" for s in series)
    return f"{title}, {labels[0]} to {labels[-1]}: {'; '.join(ends)}"


def _cell(m: Measurement) -> str:
    return f"{number(m.value, m.unit)} {interval(m)}".strip()


def _grid_y(y: Scale, left: float, right: float) -> str:
    lines = (f'<line class="grid" x1="{left}" x2="{right}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>' for t in y.ticks)
    return "".join(lines) + "".join(_text(left - 8, y(t) + 4, _tick(t, y.ticks), "end", "tick") for t in y.ticks)


def _grid_x(x: Scale, top: float, bottom: float) -> str:
    lines = (f'<line class="grid" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{top}" y2="{bottom}"/>' for t in x.ticks)
    return "".join(lines) + "".join(_text(x(t), bottom + 18, _tick(t, x.ticks), "middle", "tick") for t in x.ticks)


def _tick(value: float, ticks: Sequence[float]) -> str:
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(value) or 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{digits + (round(step * 10**digits, 6) % 1 > 0)}f}".replace("-", "−")


def _labels_x(labels: Sequence[str], xs: Sequence[float], y: float) -> str:
    every = math.ceil(len(labels) / 9)
    return "".join(
        _text(x, y, label, "middle", "tick")
        for k, (x, label) in enumerate(zip(xs, labels, strict=True))
        if k % every == 0
    )


def _runs(series: Series, xs: Sequence[float]) -> Iterator[list[tuple[float, Measurement]]]:
    """The stretches without a hole: a line never crosses a month in which nothing was measured."""
    run: list[tuple[float, Measurement]] = []
    for x, m in zip(xs, series.values, strict=True):
        if math.isfinite(m.value):
            run.append((x, m))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _band(series: Series, xs: Sequence[float], y: Scale) -> str:
    drawn = []
    for run in _runs(series, xs):
        upper = [f"{x:.1f},{y(m.high):.1f}" for x, m in run]
        lower = [f"{x:.1f},{y(m.low):.1f}" for x, m in reversed(run)]
        drawn.append(f'<polygon class="band s{series.colour}" points="{" ".join(upper + lower)}"/>')
    return "".join(drawn)


def _line(series: Series, xs: Sequence[float], y: Scale) -> str:
    drawn = []
    for run in _runs(series, xs):
        points = [(x, y(m.value)) for x, m in run]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        drawn.append(f'<polyline class="line s{series.colour}" points="{path}"/>')
        drawn += [_marker(point, series.colour) for point in points]
    return "".join(drawn)


def _marker(point: Point, colour: int) -> str:
    x, y = point
    if colour % 2:
        return f'<circle class="mark s{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>'
    return f'<rect class="mark s{colour}" x="{x - 2.9:.1f}" y="{y - 2.9:.1f}" width="5.8" height="5.8"/>'


def _end_names(series: Sequence[Series], x: float, y: Scale, top: float, bottom: float) -> list[str]:
    """Each line's name at its end, pushed apart where two would overlap."""
    ends = [(y(m.value), s, m) for s in series for m in [_last(s)] if m is not None]
    drawn, floor = [], top + 6.0
    for k, (at, s, m) in enumerate(sorted(ends, key=lambda end: end[0])):
        left_below = 30.0 * (len(ends) - 1 - k)
        at = min(max(at, floor), bottom - 14 - left_below)
        drawn.append(_text(x, at, s.name, "start", f"name s{s.colour}"))
        drawn.append(_text(x, at + 14, number(m.value), "start", "tick"))
        floor = at + 30.0
    return drawn


def _last(series: Series) -> Measurement | None:
    return next((m for m in reversed(series.values) if math.isfinite(m.value)), None)


def _bar(bar: Bar, x: Scale, y: float, names: float, values: float) -> str:
    m = bar.level
    drawn = [
        _text(names, y + 4, _short(bar.name), "end"),
        _text(values, y + 4, number(m.value, m.unit), "start", "value"),
    ]
    if math.isfinite(bar.start) and math.isfinite(m.value):
        a, b = x(bar.start), x(m.value)
        worse = "fall" if m.value < bar.start else "rise"
        width = max(abs(b - a), 1.5)
        drawn.append(
            f'<rect class="{worse}" x="{min(a, b):.1f}" y="{y - 9:.1f}" width="{width:.1f}" height="18" rx="2"/>'
        )
        drawn.append(f'<line class="from" x1="{a:.1f}" x2="{a:.1f}" y1="{y - 31:.1f}" y2="{y + 9:.1f}"/>')
        drawn.append(_text(values + 64, y + 4, signed(m.value - bar.start), "start", "tick"))
    return "".join([*drawn, _dot(m, x, y, 3 if bar.kind == "claim" else 1)])


def _dot(m: Measurement, x: Scale, y: float, colour: int) -> str:
    if not math.isfinite(m.value):
        return ""
    low, high = x(m.low), x(m.high)
    bounds = f'<line class="bounds s{colour}" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return bounds + f'<circle class="mark s{colour}" cx="{x(m.value):.1f}" cy="{y:.1f}" r="4.2"/>'


def _text(x: float, y: float, text: str, anchor: str, css: str = "") -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _short(name: str) -> str:
    return name if len(name) <= 34 else name[:33] + "…"
