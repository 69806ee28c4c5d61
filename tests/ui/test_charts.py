from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ET

import pytest

from roadworthy.core.measure import Measurement
from roadworthy.ui.charts import (
    Bar,
    Series,
    Spot,
    interval_chart,
    line_chart,
    scatter_chart,
    stages_chart,
    waterfall_chart,
)
from roadworthy.ui.drawing import scale_of


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
        stages_chart("AUC <i>", [("load", m(0.7))]),
        scatter_chart("AUC <i>", ("price", "AUC"), [Spot("one", m(1.0), m(0.7))]),
    ],
    ids=["line", "waterfall", "interval", "stages", "scatter"],
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


def test_marks_of_a_scatter_chart_differ_by_shape_and_by_fill() -> None:
    spots = [Spot("one", m(1.0), m(0.7)), Spot("two", m(2.0), m(0.8), 2), Spot("three", m(3.0), m(0.6), 1, faint=True)]
    figure = scatter_chart("AUC by price", ("price", "AUC"), spots, ["one", "two"])
    assert [e.tag for e in parts(figure, "mark")] == ["circle", "rect"]
    assert len(parts(figure, "hollow")) == 1
    assert len(parts(figure, "bounds")) == 6
    [front] = parts(figure, "front")
    assert len((front.get("points") or "").split()) == 2


def test_names_of_marks_in_one_place_are_moved_apart() -> None:
    figure = scatter_chart("x", ("a", "b"), [Spot(f"n{k}", m(1.0), m(0.7)) for k in range(4)])
    heights = sorted(float(e.get("y", "0")) for e in parts(figure, "name"))
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 15


def test_a_mark_without_a_place_is_in_the_table_only() -> None:
    far = Measurement("p99_ms", math.inf, 9, 5.0, math.inf, "ms")
    figure = scatter_chart("x", ("a", "b"), [Spot("lost", far, m(0.7)), Spot("here", m(1.0), m(0.7))])
    assert len(parts(figure, "mark")) == 1
    assert "∞" in figure


def test_each_stage_begins_where_the_one_before_it_ends() -> None:
    lengths = [("import", m(300.0)), ("load", m(100.0)), ("unknown", m(math.nan)), ("warm", m(50.0))]
    bars = parts(stages_chart("start", lengths), "stage")
    ends = [float(b.get("x", "0")) + float(b.get("width", "0")) for b in bars]
    assert [float(b.get("x", "0")) for b in bars][1:] == pytest.approx([ends[0], ends[1], ends[1]], abs=0.2)


def test_a_fall_of_a_loss_is_a_rise() -> None:
    bars = [Bar("a", m(0.5)), Bar("b", m(0.4), 0.5)]
    assert len(parts(waterfall_chart("loss", bars, better=-1), "rise")) == 1


def test_charts_of_one_family_share_a_scale() -> None:
    alone = parts(line_chart("a", ["0", "1"], [Series("x", (m(0.7), m(0.6)))]), "mark")
    beside = parts(line_chart("a", ["0", "1"], [Series("x", (m(0.7), m(0.6)))], among=[m(0.1)]), "mark")
    assert float(alone[1].get("cy", "0")) > float(beside[1].get("cy", "0"))


def test_a_reference_that_is_unknown_is_not_drawn() -> None:
    assert parts(line_chart("a", ["0"], [Series("x", (m(0.7),))], reference=0.8), "reference")
    assert not parts(line_chart("a", ["0"], [Series("x", (m(0.7),))], reference=math.nan), "reference")


def test_two_charts_of_one_title_have_ids_of_their_own() -> None:
    one, other = (interval_chart("AUC", [("x", m(v))]) for v in (0.7, 0.8))
    ids = [e.get("id") for figure in (one, other) for e in ET.fromstring(figure).iter() if e.get("id")]
    assert len(ids) == len(set(ids)) == 4


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
