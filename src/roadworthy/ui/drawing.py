"""Drawing holds what every chart is made of: a scale, a grid, marks, words and the figure around them."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape as html_escape

from roadworthy.core.measure import Measurement
from roadworthy.ui.words import interval, number, visible

# Nine names stand side by side below a chart; of longer ones five.
LETTERS_OF_NINE = 4


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


def scale_of(measured: Iterable[Measurement], start: float, end: float) -> Scale:
    """A scale that holds every value and every finite bound, with some air and three to six round ticks."""
    spans = [[m.value, *(b for b in (m.low, m.high) if math.isfinite(b))] for m in measured if math.isfinite(m.value)]
    return scale_for([v for span in spans for v in span], start, end)


def scale_for(values: Sequence[float], start: float, end: float) -> Scale:
    """A scale that holds the finite ones of these values."""
    finite = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    air = 0.06 * (high - low) or abs(high) * 0.1 or 0.5
    low, high = (low - air if low < 0 or low - air > 0 else 0.0), high + air
    return Scale(low, high, start, end, _ticks(low, high))


def table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table; the first cell of a row is its heading, the rest are numbers."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' if cell else "<td></td>" for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def figure(title: str, spoken: str, width: float, height: float, drawn: str, table: str, *, wide: bool = False) -> str:
    """The drawing with its title, its description for those who hear it, and its numbers to be unfolded."""
    said = escape(short(title, 160))
    # Charts of the same title may share a page, and ids may not.
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower())[:40].strip("-")
    name = f"c-{slug}-{zlib.crc32((said + drawn).encode()):08x}"
    return (
        f'<figure class="chart{" wide" if wide else ""}"><figcaption>{said}</figcaption>'
        f'<div class="scroll" tabindex="0" role="group" aria-label="{said}, a drawing">'
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{said}</title><desc id="{name}-d">{escape(short(spoken, 2000))}</desc>{drawn}'
        "</svg></div>"
        f'<details><summary>The numbers</summary><div class="scroll" tabindex="0" role="group" '
        f'aria-label="{said}, the numbers">{table}</div></details></figure>'
    )


def cell(m: Measurement) -> str:
    """A number with its interval, as it stands in a chart's table."""
    return f"{number(m.value, m.unit)} {interval(m)}".strip()


def grid_y(y: Scale, left: float, right: float) -> str:
    """Lines across with their numbers at the left."""
    lines = (f'<line class="grid" x1="{left}" x2="{right}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>' for t in y.ticks)
    return "".join(lines) + "".join(text(left - 8, y(t) + 4, tick(t, y.ticks), "end", "tick") for t in y.ticks)


def grid_x(x: Scale, top: float, bottom: float) -> str:
    """Lines from top to bottom with their numbers below."""
    lines = (f'<line class="grid" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{top}" y2="{bottom}"/>' for t in x.ticks)
    return "".join(lines) + "".join(text(x(t), bottom + 18, tick(t, x.ticks), "middle", "tick") for t in x.ticks)


def tick(value: float, ticks: Sequence[float]) -> str:
    """A round number with as many digits as its neighbours need."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(value) or 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{digits + (round(step * 10**digits, 6) % 1 > 0)}f}".replace("-", "−")


def labels_x(labels: Sequence[str], xs: Sequence[float], y: float) -> str:
    """The names below, as many as there is room for."""
    longest = max(map(len, labels), default=0)
    every = math.ceil(len(labels) / (9 if longest <= LETTERS_OF_NINE else 5))
    return "".join(
        text(x, y, label, "middle", "tick")
        for k, (x, label) in enumerate(zip(xs, labels, strict=True))
        if k % every == 0
    )


def marker(x: float, y: float, colour: int, *, hollow: bool = False) -> str:
    """A dot, or for every other colour a square: series differ without their colours too."""
    css = f"{'hollow' if hollow else 'mark'} s{colour}"
    if colour % 2:
        return f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="3.4"/>'
    return f'<rect class="{css}" x="{x - 3.1:.1f}" y="{y - 3.1:.1f}" width="6.2" height="6.2"/>'


def dot(m: Measurement, x: Scale, y: float, colour: int) -> str:
    """A value on a row with its interval; nothing where it is unknown or infinite."""
    if not math.isfinite(m.value):
        return ""
    low, high = x(m.low), x(m.high)
    bounds = f'<line class="bounds s{colour}" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return bounds + f'<circle class="mark s{colour}" cx="{x(m.value):.1f}" cy="{y:.1f}" r="4.2"/>'


def text(x: float, y: float, words: str, anchor: str, css: str = "") -> str:
    """Words at a place."""
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def escape(words: str) -> str:
    """The words as they may stand in HTML and in XML."""
    return html_escape(visible(words))


def short(name: str, most: int = 34) -> str:
    """A name that fits beside a row."""
    return name if len(name) <= most else name[: most - 1] + "…"


def _ticks(low: float, high: float) -> tuple[float, ...]:
    rough = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * k for k in (1, 2, 2.5, 5, 10) if size * k >= rough)
    return tuple(step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1))
