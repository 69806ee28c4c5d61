"""Charts of what a model knows of itself: stated against true, risk against coverage, and who answered what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from roadworthy.core.calibration import Bin
from roadworthy.core.measure import Measurement
from roadworthy.core.risk_coverage import RiskCoverage
from roadworthy.ui.charts import Spot
from roadworthy.ui.curves import Curve, curve_chart, exact
from roadworthy.ui.drawing import cell, figure, short, table_of, text
from roadworthy.ui.words import percent

# Of fewer rows than this the share of errors may be anything, and would take all the room of the chart.
LEAST_ROWS = 50
COLOURS = 4
# Where a name stands above its part of a bar: about so many letters of so wide.
LETTER = 7.4


def reliability_chart(title: str, diagrams: Mapping[str, Sequence[Bin]]) -> str:
    """How often what was stated came true, with the diagonal on which it does as often as stated."""
    lines = [
        Curve(name, tuple(one.stated for one in bins), tuple(one.rate for one in bins), colour)
        for colour, (name, bins) in enumerate(diagrams.items(), 1)
    ]
    ends = [x for line in lines for x in line.x] or [0.0, 1.0]
    low, high = min(ends), max(ends)
    diagonal = Curve("as stated", (low, high), (exact(low), exact(high)), 3, faint=True)
    return curve_chart(title, ("stated probability", "came true"), [diagonal, *lines])


def risk_chart(title: str, curves: Mapping[str, RiskCoverage], chosen: Sequence[Spot] = ()) -> str:
    """The errors among what is answered, against how much is answered, the surest rows first."""
    lines = [_risk(name, found, colour) for colour, (name, found) in enumerate(curves.items(), 1)]
    return curve_chart(title, ("share answered, the surest first", "errors among them"), lines, chosen)


def _risk(name: str, found: RiskCoverage, colour: int) -> Curve:
    n = found.risk.n
    points = [p for p in found.points if p.coverage * n >= LEAST_ROWS] or list(found.points)
    y = tuple(Measurement("risk", p.risk, round(p.coverage * n), p.low, p.high) for p in points)
    return Curve(name, tuple(p.coverage for p in points), y, colour)


def share_chart(title: str, bars: Mapping[str, Sequence[tuple[str, Measurement]]]) -> str:
    """One bar for each name, cut into shares that add up to 1; each part is named above where there is room."""
    width, left, right, row, top = 960.0, 110.0, 24.0, 62, 6
    drawn = []
    for k, (name, parts) in enumerate(bars.items()):
        y, at = top + row * k + 26, left
        drawn.append(text(left - 12, y + 16, short(name, 12), "end"))
        for colour, (part, share) in enumerate(parts):
            wide = share.value * (width - left - right) if share.n else 0.0
            drawn += _part(at, y, wide, f"{part} {percent(share.value)}", colour % COLOURS + 1) if wide > 0 else []
            at += wide
    rows = [(name, part, cell(share)) for name, parts in bars.items() for part, share in parts]
    spoken = "; ".join(f"{name}: {part} {share}" for name, part, share in rows)
    height = top + row * len(bars) + 6
    return figure(title, spoken, width, height, "".join(drawn), table_of(("", "Model", "Share"), rows), wide=True)


def _part(x: float, y: float, wide: float, name: str, colour: int) -> list[str]:
    letters = int(wide / LETTER)
    said = [text(x + 2, y - 7, short(name, letters), "start", f"name s{colour}")] if letters >= len(name) // 2 else []
    return [f'<rect class="mark s{colour}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="22"/>', *said]
