from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from roadworthy.core.measure import Measurement
from roadworthy.evaluate.reports.baseline import BaselineDiff
from roadworthy.evaluate.reports.compare import Comparison, compare
from roadworthy.evaluate.reports.report import GapReport
from roadworthy.testing.reports import rich_report
from roadworthy.ui.report import Life, Month, compare_page, gap_page, life_page

PAGES = ["life", "gap", "rich", "bare", "extreme", "diff", "compare"]


@pytest.fixture
def html(which: str, request: pytest.FixtureRequest) -> str:
    if which == "life":
        return life_page(request.getfixturevalue("life"))
    if which == "compare":
        return compare_page(request.getfixturevalue("comparison"))
    if which == "diff":
        return gap_page(request.getfixturevalue("rich"), request.getfixturevalue("diff"))
    return gap_page(request.getfixturevalue("gap_report" if which == "gap" else which))


@pytest.mark.parametrize("which", PAGES)
def test_a_page_loads_nothing_from_anywhere(html: str, page: Any) -> None:
    read = page(html)
    assert read.outside == []
    assert not {"script", "img", "iframe", "object"} & set(read.tags)
    assert not re.search(r"url\(|@import", html)


@pytest.mark.parametrize("which", PAGES)
def test_a_page_is_well_formed_and_every_reference_has_one_target(html: str, page: Any) -> None:
    read = page(html)
    assert read.open == []
    assert len(read.ids) == len(set(read.ids))
    assert set(read.references) <= set(read.ids)


@pytest.mark.parametrize("which", PAGES)
def test_a_page_is_small_and_can_be_written_as_utf_8(html: str) -> None:
    assert len(html.encode("utf-8")) < 1_000_000
    assert not re.search(r"[\x00-\x08\x0b\x0e-\x1f\u202a-\u202e]", html)


@pytest.mark.parametrize("which", PAGES)
def test_a_page_knows_the_dark_the_paper_and_its_language(html: str) -> None:
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert '<html lang="en">' in html


@pytest.mark.parametrize("which", PAGES)
def test_no_class_is_without_style_and_every_chart_has_a_table(html: str, page: Any) -> None:
    assert page(html).tags.count("svg") == html.count("<summary>The numbers</summary>")
    used = {name for names in re.findall(r'class="([^"]+)"', html) for name in names.split()}
    styled = set(re.findall(r"\.([a-z][a-z0-9-]*)", html[: html.index("</style>")]))
    assert used - styled <= {"chart", "wide", "pass", "fail", "wait"}


@pytest.mark.parametrize("which", PAGES)
def test_no_nan_or_none_is_shown_to_a_person(html: str, page: Any) -> None:
    assert not re.search(r"\b(nan|None|inf|NaN)\b", page(html).text)
    drawn = re.findall(r' (?:x|y|x1|x2|y1|y2|cx|cy|width|height|points)="([^"]*)"', html)
    assert not [numbers for numbers in drawn if "nan" in numbers or "inf" in numbers]


@pytest.mark.parametrize("which", ["rich", "compare", "life"])
def test_what_scrolls_can_be_reached_by_keyboard(html: str) -> None:
    boxes = re.findall(r'<div class="(?:scroll|tablebox[^"]*)"[^>]*>', html)
    assert boxes
    assert all('tabindex="0"' in box and "aria-label=" in box for box in boxes)


def test_a_gap_page_has_its_parts_in_the_order_of_the_questions(rich: GapReport, diff: BaselineDiff) -> None:
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", gap_page(rich, diff)) == [
        "What the application requires",
        "Since the baseline",
        "From the claim to production",
        "What was claimed",
        "Production, slice by slice",
        "Does it know when it does not know",
        "Who answered",
        "When the inputs go wrong",
        "The damage that production really has",
        "What repairs give back",
        "At the edge",
        "Under load",
        "The largest rate",
        "Quality under load",
        "What must not matter",
        "Cold start",
        "Memory",
        "Cost",
        "What got no answer",
        "How it was measured",
    ]


def test_a_bare_report_has_no_empty_part(bare: GapReport, page: Any) -> None:
    html = gap_page(bare)
    assert "<h2" not in html
    assert "No requirement is set, so nothing was judged." in page(html).text
    assert "Production has no labels yet." in page(html).text


def test_a_gap_page_shows_what_was_found(rich: GapReport, page: Any) -> None:
    text = page(gap_page(rich)).text
    for words in (
        "does not meet what is required",
        "Of 3 requirements 1 is not met (Accuracy on lang=fr).",
        "not reproduced (labels without the '.' at their end)",
        "cause found",
        "lang=fr & length=long",
        "35 % [33 %, 37 %]",
        "preprocessing:",
        "the answer is not a number",
        "<script>alert(1)</script>",
        "99.4 %",
        "520 rps [508, 531]",
        "the caller of 'q-17' got an answer with the id 'q-19'",
        "alone against batches of 32",
        "it died with 137 while loading",
        "390 MB",
        "21 kB/s",
        "utilisation 0.5",
        "gamma cv 3",
        "Time taken by each step",
    ):
        assert words in text, words


def test_only_repairs_that_help_and_do_no_harm_are_to_be_pasted(rich: GapReport) -> None:
    html = gap_page(rich)
    listing = html[html.index("<pre") : html.index("</pre>")]
    assert "nfkc" in listing
    assert "invisible" in listing
    assert "lower" not in listing


def test_an_invalid_run_is_shown_as_such_and_its_numbers_greyed(gap_report: GapReport, page: Any) -> None:
    html = gap_page(gap_report)
    text = page(html).text
    assert "INVALID run" in text
    assert "these numbers describe the generator" in text
    assert 'class="tablebox faded"' in html
    assert text.index("INVALID run") < text.index("Latency p99", text.index("INVALID run"))
    assert "the load run was not valid" in text


def test_severities_are_levels_of_five(rich: GapReport, page: Any) -> None:
    html = gap_page(rich)
    curve = html[html.index("<figcaption>cut short</figcaption>") :]
    labels = re.findall(r'text-anchor="middle">(\d)</text>', curve[: curve.index("</svg>")])
    assert labels == ["0", "1", "2", "3", "4", "5"]


def test_long_lists_are_cut_and_say_so(extreme: GapReport, page: Any) -> None:
    text = page(gap_page(extreme)).text
    assert "101 more rows are in the JSON." in text
    assert "All 60 slices" in text


def test_a_baseline_says_what_became_worse(rich: GapReport, diff: BaselineDiff, page: Any) -> None:
    text = page(gap_page(rich, diff)).text
    assert "worse: accuracy (lab) from 0.9701 to 0.9101" in text
    assert "Decided otherwise" in text
    assert "moved by no more than noise" in text


def test_a_comparison_names_who_meets_what_is_required_and_who_is_beaten(comparison: Comparison, page: Any) -> None:
    text = page(compare_page(comparison)).text
    for words in (
        "4 models compared",
        "Every requirement is met by boosting, mlp and mlp-int8.",
        "The cheapest of those are tied, boosting, mlp and mlp-int8",
        "Beaten is logistic <b>, by boosting",
        "Accuracy in production against cost per 1,000",
        "where they overlap nobody wins",
    ):
        assert words in text, words


def test_a_comparison_of_twins_is_a_tie(page: Any) -> None:
    twins = compare({"one": rich_report(), "two": rich_report()})
    text = page(compare_page(twins)).text
    assert "The best Accuracy in production is a tie: one and two" in text
    assert "no model meets every requirement" in text.lower()


def test_a_life_shows_every_month_candidate_and_alarm(life: Life, page: Any) -> None:
    text = page(life_page(life)).text
    for words in ("May", "Jun", "May to June", "Flights & delays", "weekly-01", "celsius", "psi", "temp moved"):
        assert words in text
    assert "1 candidate promoted; 2 candidates stopped or rolled back, having answered 1,367 requests." in text
    assert "answered nobody" in text
    assert "log loss 0.214 <higher>" in text


def test_only_what_is_better_beyond_doubt_is_marked(life: Life) -> None:
    html = life_page(life)
    may, june = (html[html.index(f'<th scope="row">{m}</th><td class="edge">') :] for m in ("May", "Jun"))
    assert may[: may.index("</tr>")].count('"better"') == 1
    assert june[: june.index("</tr>")].count('"better"') == 3


def test_an_empty_life_says_so(page: Any) -> None:
    text = page(life_page(Life("Nothing yet", ()))).text
    assert "No candidate was released." in text
    assert "No detector raised an alarm." in text


def test_a_month_in_which_one_model_has_no_number_is_a_dash(page: Any) -> None:
    month = Month("2013-05", (Measurement("auc", 0.7, 10, 0.6, 0.8),), ())
    assert "–" in page(life_page(Life("Half", (month,)))).text


def test_a_smaller_loss_is_drawn_as_a_rise(rich: GapReport) -> None:
    lossy = msgspec.structs.replace(rich, headline="log_loss")
    assert 'class="rise"' in gap_page(lossy)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(life: Life, scheme: str) -> None:
    """WCAG AA asks for a contrast of 4.5 for text."""
    css = life_page(life)
    start = css.index("prefers-color-scheme: dark") if scheme == "dark" else 0
    colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", css[start : css.index("}", start)]))
    pairs = [("ink", "paper"), ("muted", "paper"), ("muted", "card"), ("s1", "card"), ("s2", "card"), ("s4", "card")]
    pairs += [("fail", "card"), ("ink", "soft"), ("s1", "soft")]
    pairs += [(name, f"{name}-soft") for name in ("pass", "fail", "wait")]
    for front, back in pairs:
        assert contrast(colours[front], colours[back]) >= 4.5, f"{front} on {back} in the {scheme} scheme"


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
