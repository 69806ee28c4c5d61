"""Bars of letters: a share of traffic, an interval against its bounds, evidence against what is enough, a course."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from roadworthy.core.measure import Measurement

# How much of an interval is drawn beyond its bounds, in distances between them.
_BEYOND = 1.5
_BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Signs:
    """The letters to draw with, which a terminal of plain ASCII has too."""

    rest: str = "─"
    interval: str = "━"
    value: str = "●"
    zero: str = "┊"
    crossed: str = "┿"
    passes: str = "┃"
    fails: str = "‖"
    full: str = "█"
    empty: str = "░"
    half: str = "▒"


PLAIN = Signs("-", "=", "o", ":", ":", "|", "!", "#", ".", "+")


@dataclass(frozen=True)
class Reach:
    """The stretch of numbers that a bar shows: bounds, value and zero, and of the interval what is near them."""

    low: float
    high: float

    @classmethod
    def of(cls, measured: Sequence[Measurement]) -> Reach:
        """Of one measurement, or of all those of a course, which share a scale."""
        marks = [mark for m in measured for mark in marks_of(m).values()]
        marks += [m.value for m in measured if math.isfinite(m.value)]
        # Zero belongs to a difference; beside rates of 97 and 98 % it would leave no room for them.
        if not marks or min(marks) < 0.5 * max(marks):
            marks.append(0.0)
        low, high = min(marks), max(marks)
        room = _BEYOND * ((high - low) or abs(high) or 1.0)
        lows = [m.low for m in measured if math.isfinite(m.low)]
        highs = [m.high for m in measured if math.isfinite(m.high)]
        low, high = min([low, *(max(v, low - room) for v in lows)]), max([high, *(min(v, high + room) for v in highs)])
        air = 0.04 * (high - low) or 1.0
        return cls(low - air, high + air)

    def place(self, value: float, width: int) -> int:
        """The letter of a value, those outside at the end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return min(int(share * width), width - 1)


def marks_of(m: Measurement) -> dict[str, float]:
    """The bounds that a gate draws around a measurement: `allowed`, `fails_above`."""
    found = {name: m.conditions.get(name) for name in ("allowed", "fails_above")}
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}


def interval_bar(m: Measurement, width: int, signs: Signs) -> Text:
    """The interval on a line with zero and its bounds: it passes left of the first, and fails right of the last."""
    reach = Reach.of([m])
    letters = [(signs.rest, "dim")] * width
    inside = range(reach.place(m.low, width), reach.place(m.high, width) + 1)
    for k in inside:
        letters[k] = (signs.interval, "cyan")
    if reach.low < 0 < reach.high:
        zero = reach.place(0.0, width)
        letters[zero] = (signs.crossed, "cyan") if zero in inside else (signs.zero, "dim")
    for name, mark in sorted(marks_of(m).items(), reverse=True):
        told = (signs.passes, "green") if name == "allowed" else (signs.fails, "red")
        letters[reach.place(mark, width)] = told
    letters[reach.place(m.value, width)] = (signs.value, "bold")
    return Text.assemble(*letters)


def share_of_enough(m: Measurement) -> float:
    """How far evidence has come, 1 being enough. Odds multiply, and so count by their logarithm."""
    enough = float(m.conditions["enough"])
    if enough <= 1 or m.name.startswith("log"):
        return min(1.0, max(0.0, m.value / enough)) if enough else 1.0
    return min(1.0, max(0.0, math.log(max(m.value, 1.0)) / math.log(enough)))


def evidence_bar(m: Measurement, width: int, signs: Signs) -> Text:
    """Filled from the left; full means enough to fail."""
    share = share_of_enough(m)
    full = width if share >= 1 else min(round(share * width), width - 1)
    style = "red" if share >= 1 else "yellow" if share >= 0.5 else "cyan"
    return Text.assemble((signs.full * full, style), (signs.empty * (width - full), "dim"))


def shares_bar(shares: Sequence[tuple[float, str]], width: int, signs: Signs) -> Text:
    """Parts of one whole side by side, each with its style; none that is there at all is left out."""
    letters = (signs.empty, signs.full, signs.half)
    bar, left, whole = Text(), width, sum(share for share, _ in shares) or 1.0
    for k, (share, style) in enumerate(shares):
        rest = sum(1 for later, _ in shares[k + 1 :] if later > 0)
        size = left if k == len(shares) - 1 else min(max(round(share / whole * width), int(share > 0)), left - rest)
        bar.append(letters[k % 3] * size, style)
        left -= size
    return bar


def course_line(points: Sequence[Measurement], width: int, plain: bool) -> str:
    """The upper bounds (or the evidence) over time as blocks, all on one scale; empty in plain ASCII."""
    values = [share_of_enough(m) if "enough" in m.conditions else m.high for m in points]
    finite = [v for v in values if math.isfinite(v)]
    if plain or len(finite) < 2:
        return ""
    low, high = min(0.0, *finite), max(finite)
    # One early bound that is far off would flatten all others.
    high = min(high, low + 8 * (sorted(finite)[len(finite) // 2] - low or 1.0))
    steps = [min(7, max(0, int(8 * (min(v, high) - low) / ((high - low) or 1.0)))) if v == v else 0 for v in values]
    return "".join(_BLOCKS[step] for step in steps[-width:])
