"""A chart of curves: numbers along both axes, a band around each curve, and marks for what was chosen on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from roadworthy.core.measure import Measurement
from roadworthy.ui.charts import Spot
from roadworthy.ui.drawing import (
    Scale,
    cell,
    figure,
    grid_x,
    grid_y,
    marker,
    scale_for,
    scale_of,
    short,
    table_of,
    text,
)
from roadworthy.ui.words import number

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 340, 78, 128, 14, 52
# A curve may have thousands of points; its table has as many as somebody reads.
MOST_ROWS = 40


@dataclass(frozen=True)
class Curve:
    """A named curve: a measurement `y` at each `x`, in the order of `x`. `colour` is 1 to 4; `faint` is a reference."""

    name: str
    x: tuple[float, ...]
    y: tuple[Measurement, ...]
    colour: int = 1
    faint: bool = False


def exact(value: float) -> Measurement:
    """A number without an interval, as a point of a curve."""
    return Measurement("", value, 1, value, value)


def curve_chart(
    title: str, axes: tuple[str, str], curves: Sequence[Curve], spots: Sequence[Spot] = (), note: str = ""
) -> str:
    """The curves with their bands and names, and the spots on top. Points that are not finite are left out."""
    known = [_finite(curve) for curve in curves]
    marks = [m for curve in known for m in curve.y]
    x = scale_for([*(v for curve in known for v in curve.x), *(s.x.value for s in spots)], LEFT, WIDTH - RIGHT)
    y = scale_of([*marks, *(s.y for s in spots)], HEIGHT - BOTTOM, TOP)
    drawn = [grid_x(x, TOP, HEIGHT - BOTTOM), grid_y(y, LEFT, WIDTH - RIGHT), *_axis_names(axes)]
    drawn += [_band(curve, x, y) for curve in known if not curve.faint]
    drawn += [_line(curve, x, y) for curve in known]
    drawn += _names(known, y)
    drawn += [_spot(spot, x, y) for spot in spots]
    spoken = "; ".join(f"{c.name} from {number(c.y[0].value)} to {number(c.y[-1].value)}" for c in known if c.y)
    return figure(title, note or spoken, WIDTH, HEIGHT, "".join(drawn), _table(axes, known, spots))


def _finite(curve: Curve) -> Curve:
    kept = [(a, m) for a, m in zip(curve.x, curve.y, strict=True) if math.isfinite(a) and math.isfinite(m.value)]
    return Curve(curve.name, tuple(a for a, _ in kept), tuple(m for _, m in kept), curve.colour, curve.faint)


def _axis_names(axes: tuple[str, str]) -> list[str]:
    middle = (TOP + HEIGHT - BOTTOM) / 2
    upright = f'<g transform="rotate(-90 18 {middle:g})">{text(18, middle, axes[1], "middle", "tick")}</g>'
    return [text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, axes[0], "middle", "tick"), upright]


def _band(curve: Curve, x: Scale, y: Scale) -> str:
    inside = [(a, m) for a, m in zip(curve.x, curve.y, strict=True) if math.isfinite(m.low) and math.isfinite(m.high)]
    upper = [f"{x(a):.1f},{y(m.high):.1f}" for a, m in inside]
    lower = [f"{x(a):.1f},{y(m.low):.1f}" for a, m in reversed(inside)]
    return f'<polygon class="band s{curve.colour}" points="{" ".join(upper + lower)}"/>' if inside else ""


def _line(curve: Curve, x: Scale, y: Scale) -> str:
    path = " ".join(f"{x(a):.1f},{y(m.value):.1f}" for a, m in zip(curve.x, curve.y, strict=True))
    css = "reference" if curve.faint else f"line s{curve.colour}"
    return f'<polyline class="{css}" fill="none" points="{path}"/>'


def _names(curves: Sequence[Curve], y: Scale) -> list[str]:
    """Each curve's name at its right end, pushed down where two would overlap."""
    drawn, floor = [], 0.0
    for curve in sorted((c for c in curves if c.y), key=lambda c: y(c.y[-1].value)):
        at = max(y(curve.y[-1].value) + 4, floor)
        drawn.append(text(WIDTH - RIGHT + 8, at, short(curve.name, 18), "start", f"name s{curve.colour}"))
        floor = at + 15
    return drawn


def _spot(spot: Spot, x: Scale, y: Scale) -> str:
    a, b = x(spot.x.value), y(spot.y.value)
    name = text(a + 8, b + 15, short(spot.name, 28), "start", "name") if spot.name else ""
    return marker(a, b, spot.colour, hollow=spot.faint) + name


def _table(axes: tuple[str, str], curves: Sequence[Curve], spots: Sequence[Spot]) -> str:
    rows = [
        (curve.name, number(curve.x[k]), cell(curve.y[k]))
        for curve in curves
        for k in range(0, len(curve.x), max(1, math.ceil(len(curve.x) / MOST_ROWS)))
    ]
    rows += [(spot.name or "–", cell(spot.x), cell(spot.y)) for spot in spots]
    return table_of(("", *axes), rows)
