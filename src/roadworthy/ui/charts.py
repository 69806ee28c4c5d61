"""Charts draws SVG on the server: it reads without JavaScript, in the dark and on paper, and has a table twin.

Colours are the page's CSS variables; series differ by marker and dash too, for those who see no colours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from roadworthy.core.measure import Measurement
from roadworthy.ui.drawing import (
    Scale,
    cell,
    dot,
    figure,
    grid_x,
    grid_y,
    labels_x,
    marker,
    scale_for,
    scale_of,
    short,
    table_of,
    text,
)
from roadworthy.ui.words import interval, number, signed


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
class Spot:
    """One mark of a scatter chart. `faint` ones are there to be seen and not to be chosen."""

    name: str
    x: Measurement
    y: Measurement
    colour: int = 1
    faint: bool = False


def line_chart(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    note: str = "",
    reference: float = math.nan,
    among: Sequence[Measurement] = (),
) -> str:
    """A line with an interval band for each series, named at its end. `labels` stand below, one a value.

    `reference` is a dashed line; `among` are the numbers of other charts that shall have the same scale.
    """
    width, height, left, right, top, bottom = 360, 240, 44, 84, 14, 26
    marks = [*(m for s in series for m in s.values), *among]
    y = scale_of([*marks, *_at(reference)], height - bottom, top)
    step = (width - left - right) / max(len(labels) - 1, 1)
    xs = [left + step * k for k in range(len(labels))]
    drawn = [grid_y(y, left, width - right), labels_x(labels, xs, height - 8)]
    if math.isfinite(reference):
        drawn.append(_reference(left, width - right, y(reference), y(reference)))
    drawn += [_band(s, xs, y) for s in series]
    drawn += [_line(s, xs, y) for s in series]
    drawn += _end_names(series, width - right + 10, y, top, height - bottom)
    rows = [(label, *(cell(s.values[k]) for s in series)) for k, label in enumerate(labels)]
    table = table_of(("", *(s.name for s in series)), rows)
    return figure(title, note or _spoken(title, labels, series), width, height, "".join(drawn), table)


def waterfall_chart(title: str, bars: Sequence[Bar], note: str = "", better: int = 1) -> str:
    """Levels from top to bottom, each with its interval, its rows and the fall or rise from where it starts.

    What is worse is drawn as a fall: `better` is -1 where less is better.
    """
    width, left, right, row, top = 960, _names_width(b.name for b in bars), 236, 40, 8
    height = top + row * len(bars) + 34
    x = scale_of((b.level for b in bars), left, width - right)
    drawn = [grid_x(x, top, height - 26)]
    for k, bar in enumerate(bars):
        drawn.append(_bar(bar, x, top + row * k + row / 2, left - 12, width - right + 14, better))
    rows = [(b.name, number(b.level.value, b.level.unit), interval(b.level), _rows(b.level), _moved(b)) for b in bars]
    table = table_of(("", "Level", "Interval", "Rows", "Change"), rows)
    spoken = "; ".join(f"{b.name} {number(b.level.value, b.level.unit)}" for b in bars)
    return figure(title, note or spoken, width, height, "".join(drawn), table, wide=True)


def interval_chart(
    title: str, rows: Sequence[tuple[str, Measurement]], reference: float = math.nan, note: str = ""
) -> str:
    """A dot with its interval for each row, and a dashed line at `reference` if there is one."""
    width, left, right, row, top = 960, _names_width(name for name, _ in rows), 120, 28, 8
    height = top + row * len(rows) + 34
    x = scale_of([*(m for _, m in rows), *_at(reference)], left, width - right)
    drawn = [grid_x(x, top, height - 26)]
    if math.isfinite(reference):
        drawn.append(_reference(x(reference), x(reference), top, height - 26))
    for k, (name, m) in enumerate(rows):
        y = top + row * k + row / 2
        drawn += [text(left - 12, y + 4, short(name), "end"), dot(m, x, y, 1)]
        drawn.append(text(width - right + 14, y + 4, number(m.value, m.unit), "start", "value"))
    table = table_of(("", title), [(name, cell(m)) for name, m in rows])
    spoken = "; ".join(f"{name} {number(m.value, m.unit)}" for name, m in rows)
    return figure(title, note or spoken, width, height, "".join(drawn), table, wide=True)


def stages_chart(title: str, stages: Sequence[tuple[str, Measurement]], note: str = "") -> str:
    """Stretches of time one after the other, each beginning where the one before it ends."""
    width, left, right, row, top = 960, _names_width(name for name, _ in stages), 120, 28, 8
    height = top + row * len(stages) + 34
    lengths = [m.value if math.isfinite(m.value) else 0.0 for _, m in stages]
    x = scale_for([0.0, sum(lengths)], left, width - right)
    drawn, at = [grid_x(x, top, height - 26)], 0.0
    for k, ((name, m), length) in enumerate(zip(stages, lengths, strict=True)):
        y, wide = top + row * k + row / 2, max(x(at + length) - x(at), 1.5)
        drawn.append(f'<rect class="stage" x="{x(at):.1f}" y="{y - 8:.1f}" width="{wide:.1f}" height="16" rx="2"/>')
        drawn += [text(left - 12, y + 4, short(name), "end")]
        drawn.append(text(width - right + 14, y + 4, number(m.value, m.unit), "start", "value"))
        at += length
    table = table_of(("", title), [(name, cell(m)) for name, m in stages])
    spoken = "; ".join(f"{name} {number(m.value, m.unit)}" for name, m in stages)
    return figure(title, note or spoken, width, height, "".join(drawn), table, wide=True)


def scatter_chart(
    title: str, axes: tuple[str, str], spots: Sequence[Spot], front: Sequence[str] = (), note: str = ""
) -> str:
    """Marks with intervals both ways; a line joins those that are named in `front`, from left to right."""
    width, height, left, right, top, bottom = 960, 380, 90, 150, 16, 52
    known = [s for s in spots if math.isfinite(s.x.value) and math.isfinite(s.y.value)]
    x, y = scale_of([s.x for s in known], left, width - right), scale_of([s.y for s in known], height - bottom, top)
    drawn = [grid_x(x, top, height - bottom), grid_y(y, left, width - right)]
    drawn.append(text((left + width - right) / 2, height - 8, axes[0], "middle", "tick"))
    drawn.append(f'<g transform="rotate(-90 20 {height / 2:g})">{text(20, height / 2, axes[1], "middle", "tick")}</g>')
    joined = sorted((s for s in known if s.name in front), key=lambda s: s.x.value)
    path = " ".join(f"{x(s.x.value):.1f},{y(s.y.value):.1f}" for s in joined)
    drawn += [f'<polyline class="front" points="{path}"/>'] if len(joined) > 1 else []
    drawn += [_cross(s, x, y) for s in known]
    drawn += _spot_names(known, x, y)
    table = table_of(("", *axes), [(s.name or "–", cell(s.x), cell(s.y)) for s in spots])
    spoken = "; ".join(f"{s.name} {number(s.x.value, s.x.unit)}, {number(s.y.value, s.y.unit)}" for s in spots)
    return figure(title, note or spoken, width, height, "".join(drawn), table, wide=True)


def _cross(spot: Spot, x: Scale, y: Scale) -> str:
    a, b, css = x(spot.x.value), y(spot.y.value), f"bounds s{spot.colour}"
    across = f'<line class="{css}" x1="{x(spot.x.low):.1f}" x2="{x(spot.x.high):.1f}" y1="{b:.1f}" y2="{b:.1f}"/>'
    along = f'<line class="{css}" x1="{a:.1f}" x2="{a:.1f}" y1="{y(spot.y.low):.1f}" y2="{y(spot.y.high):.1f}"/>'
    return across + along + marker(a, b, spot.colour, hollow=spot.faint)


def _spot_names(spots: Sequence[Spot], x: Scale, y: Scale) -> list[str]:
    """Each name beside its mark, moved down where another one is in the way."""
    taken: list[tuple[float, float]] = []
    drawn = []
    for spot in sorted((s for s in spots if s.name), key=lambda s: y(s.y.value)):
        a, b = x(spot.x.value) + 9, y(spot.y.value) - 7
        while any(abs(a - c) < 130 and abs(b - d) < 15 for c, d in taken):
            b += 15
        taken.append((a, b))
        drawn.append(text(a, b, short(spot.name, 22), "start", "name"))
    return drawn


def _names_width(names: Iterable[str]) -> float:
    """The room that the longest of these names takes at the left, about 7.4 a letter."""
    return 36 + 7.4 * max((len(short(name)) for name in names), default=4)


def _at(value: float) -> list[Measurement]:
    return [Measurement("", value, 1, value, value)] if math.isfinite(value) else []


def _reference(x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line class="reference" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'


def _rows(m: Measurement) -> str:
    return f"{m.n:,}" if m.n else "–"


def _moved(bar: Bar) -> str:
    return "" if math.isnan(bar.start) else signed(bar.level.value - bar.start, bar.level.unit)


def _spoken(title: str, labels: Sequence[str], series: Sequence[Series]) -> str:
    if not labels:
        return f"{title}: nothing measured"
    ends = (f"{s.name} from {number(s.values[0].value)} to {number(s.values[-1].value)}" for s in series)
    return f"{title}, {labels[0]} to {labels[-1]}: {'; '.join(ends)}"


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
        drawn += [marker(*point, series.colour) for point in points]
    return "".join(drawn)


def _end_names(series: Sequence[Series], x: float, y: Scale, top: float, bottom: float) -> list[str]:
    """Each line's name at its end, pushed apart where two would overlap."""
    ends = [(y(m.value), s, m) for s in series for m in [_last(s)] if m is not None]
    drawn, floor = [], top + 6.0
    for k, (at, s, m) in enumerate(sorted(ends, key=lambda end: end[0])):
        left_below = 30.0 * (len(ends) - 1 - k)
        at = min(max(at, floor), bottom - 14 - left_below)
        drawn.append(text(x, at, s.name, "start", f"name s{s.colour}"))
        drawn.append(text(x, at + 14, number(m.value), "start", "tick"))
        floor = at + 30.0
    return drawn


def _last(series: Series) -> Measurement | None:
    return next((m for m in reversed(series.values) if math.isfinite(m.value)), None)


def _bar(bar: Bar, x: Scale, y: float, names: float, values: float, better: int) -> str:
    m = bar.level
    drawn = [
        text(names, y + 4, short(bar.name), "end"),
        text(values, y + 4, number(m.value, m.unit), "start", "value"),
        text(values + 130, y + 4, f"n {m.n:,}" if m.n else "", "start", "tick"),
    ]
    if math.isfinite(bar.start) and math.isfinite(m.value):
        a, b = x(bar.start), x(m.value)
        worse = "fall" if (m.value - bar.start) * (better or 1) < 0 else "rise"
        width = max(abs(b - a), 1.5)
        drawn.append(
            f'<rect class="{worse}" x="{min(a, b):.1f}" y="{y - 9:.1f}" width="{width:.1f}" height="18" rx="2"/>'
        )
        drawn.append(f'<line class="from" x1="{a:.1f}" x2="{a:.1f}" y1="{y - 31:.1f}" y2="{y + 9:.1f}"/>')
        drawn.append(text(values + 64, y + 4, signed(m.value - bar.start), "start", "tick"))
    return "".join([*drawn, dot(m, x, y, 3 if bar.kind == "claim" else 1)])
