"""Draws the evidence of a gate: an interval against its bounds, odds against what is enough, and their course."""

from __future__ import annotations

from collections.abc import Sequence

from roadworthy.core.measure import Measurement
from roadworthy.rollout.views.bars import Reach, marks_of, share_of_enough
from roadworthy.rollout.views.view_text import bounds_text, evidence_text
from roadworthy.ui.drawing import Scale, escape, figure, grid_x, grid_y, scale_for, table_of, text
from roadworthy.ui.words import metric_name, visible

_WIDTH, _HEIGHT = 360.0, 26.0
_RING = ("value", "value inside")
_NAMES = {"allowed": "passes ≤", "fails_above": "fails >"}
# An early look at a handful of rows would flatten all that follow.
_SETTLED = 4


def evidence_svg(m: Measurement) -> str:
    """One measurement as a bar; what it shows is said in its label, and stands beside it as text."""
    drawn = _odds(m) if "enough" in m.conditions else _interval(m)
    said = escape(f"{measured_name(m)} {evidence_text(m)} {bounds_text(m)}".strip())
    return (
        f'<svg class="rollout-bar" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{said}"'
        f' preserveAspectRatio="none">{drawn}</svg>'
    )


def course_chart(title: str, points: Sequence[Measurement]) -> str:
    """How the interval narrowed (or the odds grew) with the rows, the bounds being lines across."""
    odds = "enough" in points[-1].conditions
    width, height, left, right, top, bottom = 400.0, 220.0, 52.0, 92.0, 14.0, 44.0
    x = scale_for([0.0, *(float(m.n) for m in points)], left, width - right)
    y = _scale(points, odds, height - bottom, top)
    drawn = [grid_y(y, left, width - right), grid_x(x, top, height - bottom)]
    drawn.append(text((left + width - right) / 2, height - 6, "requests or labels of the candidate", "middle", "tick"))
    drawn += [_band(points, x, y)] if not odds else []
    path = " ".join(f"{x(m.n):.1f},{y(_level(m, odds)):.1f}" for m in points)
    drawn.append(f'<polyline class="line s1" points="{path}"/>')
    drawn += _bounds(points[-1], odds, y, left, width - right)
    table = table_of(("n", measured_name(points[-1])), [(f"{m.n:,}", evidence_text(m)) for m in points])
    spoken = f"{title}: from {evidence_text(points[0])} at {points[0].n:,} to {evidence_text(points[-1])}"
    return figure(
        title, f"{spoken} at {points[-1].n:,}. {bounds_text(points[-1])}", width, height, "".join(drawn), table
    )


def measured_name(m: Measurement) -> str:
    """What the measurement is called.

    >>> measured_name(Measurement("auc_difference"))
    'AUC difference'
    """
    return visible(metric_name(m.name).replace("Auc ", "AUC "))


def _interval(m: Measurement) -> str:
    reach = Reach.of([m])
    x = Scale(reach.low, reach.high, 4.0, _WIDTH - 4.0, ())
    middle = _HEIGHT / 2
    drawn = [f'<line class="rest" x1="0" x2="{_WIDTH:g}" y1="{middle:g}" y2="{middle:g}"/>']
    if reach.low < 0 < reach.high:
        drawn.append(_upright("zero", x(0.0), 5))
    low, high, at = x(m.low), x(m.high), x(m.value)
    drawn.append(f'<line class="within" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:g}" y2="{middle:g}"/>')
    drawn += [_upright(name, x(mark), 1) for name, mark in marks_of(m).items()]
    # A line of no length with round ends is a dot, and stays one where the bar is stretched to its place.
    drawn += [f'<line class="{css}" x1="{at:.1f}" x2="{at:.1f}" y1="{middle:g}" y2="{middle:g}"/>' for css in _RING]
    return "".join(drawn)


def _odds(m: Measurement) -> str:
    share, height = share_of_enough(m), _HEIGHT - 14
    whole = f'<rect class="empty" x="0" y="7" width="{_WIDTH:g}" height="{height:g}" rx="3"/>'
    css = "full enough" if share >= 1 else "full"
    return whole + f'<rect class="{css}" x="0" y="7" width="{share * _WIDTH:.1f}" height="{height:g}" rx="3"/>'


def _upright(css: str, x: float, inset: float) -> str:
    return f'<line class="{css}" x1="{x:.1f}" x2="{x:.1f}" y1="{inset:g}" y2="{_HEIGHT - inset:g}"/>'


def _scale(points: Sequence[Measurement], odds: bool, bottom: float, top: float) -> Scale:
    if odds:
        return scale_for([0.0, 100.0], bottom, top)
    reach = Reach.of(points[len(points) // _SETTLED :])
    return scale_for([reach.low, reach.high], bottom, top)


def _level(m: Measurement, odds: bool) -> float:
    return 100 * share_of_enough(m) if odds else m.value


def _band(points: Sequence[Measurement], x: Scale, y: Scale) -> str:
    upper = [f"{x(m.n):.1f},{y(m.high):.1f}" for m in points]
    lower = [f"{x(m.n):.1f},{y(m.low):.1f}" for m in reversed(points)]
    return f'<polygon class="band s1" points="{" ".join(upper + lower)}"/>'


def _bounds(m: Measurement, odds: bool, y: Scale, left: float, right: float) -> list[str]:
    """The bounds as lines, named at their ends; names of near lines are pushed apart."""
    marks = {"enough": 100.0} if odds else marks_of(m)
    drawn, floor = [], 0.0
    for name, mark in sorted(marks.items(), key=lambda it: -it[1]):
        said = "enough to fail" if odds else f"{_NAMES[name]} {mark:.3g}"
        place = max(y(mark) + 4, floor)
        drawn.append(f'<line class="bound {name}" x1="{left:g}" x2="{right:g}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>')
        drawn.append(text(right + 6, place, said, "start", "tick"))
        floor = place + 15
    return drawn
