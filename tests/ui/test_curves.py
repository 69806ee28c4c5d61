from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from roadworthy.core.measure import Measurement
from roadworthy.ui.charts import Spot
from roadworthy.ui.curves import MOST_ROWS, Curve, curve_chart


def m(value: float, half: float = 0.02) -> Measurement:
    return Measurement("quality", value, 100, value - half, value + half)


def parts(figure: str, css: str) -> list[ET.Element]:
    return [e for e in ET.fromstring(figure).iter() if css in (e.get("class") or "").split()]


SHARES = (0.0, 0.25, 0.5, 1.0)
ROUTER = Curve("router", SHARES, tuple(m(0.6 + 0.2 * math.sqrt(s)) for s in SHARES))
RANDOM = Curve("random", (0.0, 1.0), (m(0.6, 0), m(0.8, 0)), 2, faint=True)
CHOSEN = Spot("chosen", m(0.25, 0), m(0.7))


def test_each_curve_is_drawn_and_named_and_a_reference_has_no_band():
    figure = curve_chart("Cost and quality", ("share sent on", "accuracy"), [ROUTER, RANDOM], [CHOSEN])
    assert [len(parts(figure, css)) for css in ("line", "reference", "band")] == [1, 1, 1]
    words = [e.text for e in ET.fromstring(figure).iter("text")]
    assert {"router", "random", "chosen", "share sent on", "accuracy"} <= set(words)


def test_a_point_further_right_and_better_lies_further_right_and_higher():
    line = parts(curve_chart("", ("", ""), [ROUTER]), "line")[0]
    points = [tuple(map(float, p.split(","))) for p in (line.get("points") or "").split()]
    assert points == sorted(points, key=lambda p: p[0])
    assert points == sorted(points, key=lambda p: -p[1])


def test_points_that_are_not_known_are_left_out():
    holes = Curve("holes", SHARES, (m(0.5), m(math.nan), m(0.7), m(math.inf)))
    line = parts(curve_chart("", ("", ""), [holes]), "line")[0]
    assert len((line.get("points") or "").split()) == 2


def test_a_long_curve_has_a_table_that_somebody_reads():
    xs = tuple(k / 999 for k in range(1000))
    figure = curve_chart("", ("", ""), [Curve("long", xs, tuple(m(x) for x in xs))])
    assert MOST_ROWS / 2 < figure.count("<tr>") <= MOST_ROWS + 2


def test_nothing_to_draw_is_drawn_as_nothing():
    assert "<svg" in curve_chart("empty", ("", ""), [])
