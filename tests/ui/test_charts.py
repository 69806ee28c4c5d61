from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ET

import pytest

from roadworthy.core.measure import Measurement
from roadworthy.ui.charts import Bar, Series, interval_chart, line_chart, scale_of, waterfall_chart


def m(value: float, half: float = 0.01) -> Measurement:
    return Measurement("auc", value, 0 if math.isnan(value) else 100, value - half, value + half)


def parts(figure: str, css: str) -> list[ET.Element]:
    """The drawn elements of a class; parsing also proves that the figure is well formed."""
    return [e for e in ET.fromstring(figure).iter() if css in (e.get("class") or "").split()]


def texts(figure: str) -> list[str]:
    return [e.text or "" for e in ET.fromstring(figure).iter("text")]


LINES = [Series("frozen", (m(0.75), m(0.69), m(0.66)), 2), Series("managed", (m(0.76), m(0.74), m(0.73)), 1)]


def test_each_series_has_a_line_a_band_and_its_name() -> None:
    figure = line_chart("AUC", ["May", "Jun", "Jul"], LINES)
    assert len(parts(figure, "line")) == len(parts(figure, "band")) == 2
    assert {"frozen", "managed", "May", "Jun", "Jul"} <= set(texts(figure))


def test_series_differ_by_marker_and_not_by_colour_alone() -> None:
    marks = parts(line_chart("AUC", ["May", "Jun", "Jul"], LINES), "mark")
    assert {e.tag for e in marks if "s1" in e.get("class", "")} == {"circle"}
    assert {e.tag for e in marks if "s2" in e.get("class", "")} == {"rect"}


def test_a_month_without_a_measurement_leaves_a_hole() -> None:
    figure = line_chart("AUC", list("abcd"), [Series("x", (m(0.7), m(math.nan), m(0.7), m(0.6)))])
    assert len(parts(figure, "line")) == 2
    assert "–" in figure


def test_names_at_the_end_never_overlap() -> None:
    same = [Series(name, (m(0.7), m(0.7)), k + 1) for k, name in enumerate(["one", "two", "three"])]
    heights = sorted(float(e.get("y", "0")) for e in parts(line_chart("AUC", ["a", "b"], same), "name"))
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 28


@pytest.mark.parametrize(
    "figure",
    [
        line_chart("AUC <i>", ["May", "Jun", "Jul"], LINES),
        waterfall_chart("AUC <i>", [Bar("claimed", m(0.78)), Bar("lab", m(0.7), 0.78)]),
        interval_chart("AUC <i>", [("JFK & co", m(0.7))], 0.72),
    ],
    ids=["line", "waterfall", "interval"],
)
def test_every_chart_is_spoken_and_has_a_table_twin(figure: str) -> None:
    root = ET.fromstring(figure)
    svg = next(root.iter("svg"))
    assert svg.get("role") == "img"
    named = (svg.get("aria-labelledby") or "").split()
    assert [e.get("id") for e in (next(root.iter("title")), next(root.iter("desc")))] == named
    assert next(root.iter("title")).text == "AUC <i>"
    assert next(root.iter("desc")).text
    assert len(list(next(root.iter("tbody")))) >= 1


def test_a_fall_and_a_rise_look_different() -> None:
    figure = waterfall_chart("AUC", [Bar("a", m(0.8)), Bar("b", m(0.7), 0.8), Bar("c", m(0.75), 0.7)])
    assert (len(parts(figure, "fall")), len(parts(figure, "rise"))) == (1, 1)
    assert {"−0.100", "+0.050"} <= set(texts(figure))


def test_a_corruption_that_could_not_be_measured_is_a_dash() -> None:
    figure = waterfall_chart("AUC", [Bar("a", m(0.8)), Bar("b", m(math.nan), 0.8)])
    assert "–" in texts(figure)
    assert not parts(figure, "fall")


def test_long_names_are_shortened() -> None:
    assert any(t.endswith("…") and len(t) <= 34 for t in texts(interval_chart("AUC", [("x" * 60, m(0.5))])))


def test_nothing_measured_still_draws() -> None:
    ET.fromstring(line_chart("AUC", [], []))
    ET.fromstring(line_chart("AUC", ["May"], [Series("x", (m(math.nan),))]))
    ET.fromstring(waterfall_chart("AUC", []))
    ET.fromstring(interval_chart("AUC", []))


@pytest.mark.parametrize("values", [[0.5], [0.0, 0.0], [1e-6, 2e-6], [0.66, 0.78], [-3, 4], [1e6, 5e6]])
def test_a_scale_holds_its_values_and_has_a_few_round_ticks(values: list[float]) -> None:
    scale = scale_of([m(v, 0) for v in values], 0, 100)
    assert scale.low <= min(values) <= max(values) <= scale.high
    assert 2 <= len(scale.ticks) <= 7
    assert all(scale.low <= t <= scale.high for t in scale.ticks)


def test_open_bounds_stay_inside_the_drawing() -> None:
    figure = interval_chart("p99", [("now", Measurement("p99_ms", 12.0, 50, 9.0, math.inf, "ms"))])
    assert all(0 <= float(e.get("x2", "0")) <= 960 for e in parts(figure, "bounds"))
