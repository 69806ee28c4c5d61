"""What the gap's page says of certainty and of several models: numbers, charts, and why something is not there."""

from __future__ import annotations

import re

import numpy as np
import pytest
from msgspec.structs import replace

from roadworthy.core.stats import proportion
from roadworthy.evaluate.certainty.certainty import Certainty
from roadworthy.evaluate.certainty.held import held
from roadworthy.evaluate.told import Told
from roadworthy.ui.certainty_charts import LEAST_ROWS, reliability_chart, risk_chart, share_chart
from roadworthy.ui.document import Fold, Note, Table
from roadworthy.ui.gap_certainty import certainty, who_answered
from roadworthy.ui.markdown import markdown_of
from roadworthy.ui.report import gap_markdown, gap_page


def blocks(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def table(section, title):
    return next(block for block in blocks(section, Table) if block.title == title)


def test_both_sections_stand_on_the_page_and_in_markdown(rich, page):
    html, markdown = gap_page(rich), gap_markdown(rich)
    for title in ("Does it know when it does not know", "Who answered"):
        assert title in page(html).text
        assert f"## {title}" in markdown
    for title in ("Reliability", "Risk and coverage", "Who answered, as a share of the rows"):
        assert f"<figcaption>{title}</figcaption>" in html


def test_lab_and_production_stand_side_by_side(rich):
    section = certainty(rich)
    numbers = table(section, "How sure, against how right")
    assert numbers.head == ("", "Lab", "Production")
    words = [row[0] for row in numbers.rows]
    assert words[0] == "Calibration error of the likeliest class, freed of noise"
    assert ("Brier score (less is better)" in words, "Rows" in words) == (True, True)
    assert numbers.rows[0][1:] == tuple(one.errors[0] for one in rich.certainty)
    flagged = table(section, "How right the rest is when some are flagged")
    assert [row[0] for row in flagged.rows][:3] == ["nobody", "the least sure 1 %", "the least sure 5 %"]
    assert flagged.rows[0][1].value == pytest.approx(1 - rich.certainty[0].curve.risk.value)


def test_sets_show_what_was_promised_and_the_worst_class_first(rich):
    section = certainty(rich)
    shown = table(section, "Prediction sets and intervals")
    assert shown.head[4] == "Names in a set"
    assert [row[2] for row in shown.rows] == ["0.900", "0.900"]
    assert shown.rows[1][3].decision == rich.certainty[1].held.verdict.decision
    classes = table(section, "By class, the least held first").rows
    lab = [row[2].value for row in classes if row[1] == "lab"]
    assert lab == sorted(lab)
    assert table(section, "Rows that the model abstains from").rows[0][0] == "lab"


def test_a_regression_has_its_intervals_and_a_reason_instead_of_curves(rich):
    truth = np.linspace(0, 1, 50)
    kept = held(truth, Told(intervals=np.stack([truth - 1, truth + 1], axis=1)), target=None)
    why = "a predicted number is near or far"
    section = certainty(replace(rich, certainty=(Certainty("production", 50, held=kept, unsaid=(why,)),)))
    shown = table(section, "Prediction sets and intervals")
    assert (shown.head[4], shown.rows[0][2], shown.rows[0][3]) == ("Mean width", "nobody said", "–")
    assert [note.text for note in blocks(section, Note)] == [f"Not measured: {why}."]
    assert len(section.blocks) == 2


def test_what_is_missing_says_why_once_and_where(rich):
    both = tuple(Certainty(where, 0, unsaid=("no labels",)) for where in ("lab", "production"))
    section = certainty(replace(rich, certainty=both))
    assert [block.text for block in section.blocks] == ["Not measured: no labels."]
    one = (Certainty("lab", 9), both[1])
    assert certainty(replace(rich, certainty=one)).blocks[0].text == "Not measured in the production rows: no labels."


def test_an_older_report_has_neither_section(gap_report):
    assert (certainty(gap_report), who_answered(gap_report)) == (None, None)
    assert "Who answered" not in gap_page(gap_report)


def test_each_model_is_shown_with_its_share_its_quality_and_its_price(rich):
    section = who_answered(rich)
    models = table(section, "By model, the cheapest first")
    assert models.head == ("Model", "Where", "Answered", "Accuracy there", "US dollars per 1,000")
    assert [(row[0], row[1]) for row in models.rows][:2] == [("small", "lab"), ("large", "lab")]
    together = table(section, "All together")
    assert together.rows[0][0] == "Sent on beyond the cheapest model"
    assert blocks(section, Fold)


def test_a_chart_of_shares_fills_its_width_and_names_what_has_room():
    parts = [
        ("small", proportion("s", 900, 1000)),
        ("large", proportion("s", 99, 1000)),
        ("x", proportion("s", 1, 1000)),
    ]
    drawn = share_chart("Who", {"lab": parts})
    parts_drawn = re.findall(r'<rect class="mark s\d" x="([^"]*)" y="[^"]*" width="([^"]*)"', drawn)
    starts, widths = ([float(part[k]) for part in parts_drawn] for k in (0, 1))
    assert sum(widths) == pytest.approx(960 - 110 - 24, abs=0.2)
    assert starts[1:] == pytest.approx([starts[0] + widths[0], starts[0] + widths[0] + widths[1]], abs=0.2)
    assert "small 90 %" in drawn
    assert re.search(r">large 9\.9 %</text>", drawn)
    assert not re.search(r">x 0\.1 %</text>", drawn)
    assert "<td>x</td>" in drawn


def test_a_curve_begins_where_its_rows_are_enough(rich):
    curve = rich.certainty[0].curve
    drawn = risk_chart("Risk", {"lab": curve})
    least = min(p.coverage for p in curve.points if p.coverage * curve.risk.n >= LEAST_ROWS)
    first = re.search(r'<th scope="row">lab</th><td>([0-9.]+)</td>', drawn)
    assert float(first[1]) == pytest.approx(least, abs=0.001)


def test_a_diagram_has_its_diagonal_and_a_name_for_each_table(rich):
    drawn = reliability_chart("Reliability", {one.where: one.diagram for one in rich.certainty})
    assert all(f">{name}</text>" in drawn for name in ("as stated", "lab", "production"))


def test_markdown_has_the_diagram_as_a_table(rich):
    from roadworthy.ui.gap_document import gap_document

    text = markdown_of(gap_document(rich))
    assert "| Where | Stated | Came true | Rows |" in text
    assert text.count("| production | 0.") >= len(rich.certainty[1].diagram)


def test_the_price_of_the_models_is_not_told_as_that_of_the_machine(rich):
    told = replace(rich.cost, conditions={"models": "2 USD per 1,000 rows, as the answers tell"})
    text = gap_markdown(replace(rich, cost=told))
    assert "With models 2 USD per 1,000 rows, as the answers tell." in text
    assert "in vain or not" in text
