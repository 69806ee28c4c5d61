from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from roadworthy.core.measure import Measurement
from roadworthy.evaluate.report import GapReport
from roadworthy.ui.report import Life, Month, gap_page, life_page


@pytest.fixture(params=["life", "gap"])
def html(request: pytest.FixtureRequest, life: Life, gap_report: GapReport) -> str:
    return life_page(life) if request.param == "life" else gap_page(gap_report)


def test_a_page_loads_nothing_from_anywhere(html: str, page: Any) -> None:
    read = page(html)
    assert read.outside == []
    assert "script" not in read.tags
    assert not re.search(r"url\(|@import|https?://", html)


def test_a_page_is_well_formed_and_every_reference_has_one_target(html: str, page: Any) -> None:
    read = page(html)
    assert read.open == []
    assert len(read.ids) == len(set(read.ids))
    assert set(read.references) <= set(read.ids)


def test_a_page_knows_the_dark_the_paper_and_its_language(html: str) -> None:
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert '<html lang="en">' in html


def test_no_class_is_without_style_and_every_chart_has_a_table(html: str, page: Any) -> None:
    assert page(html).tags.count("svg") == html.count("<summary>The numbers</summary>") > 0
    used = {name for names in re.findall(r'class="([^"]+)"', html) for name in names.split()}
    styled = set(re.findall(r"\.([a-z][a-z0-9-]*)", html[: html.index("</style>")]))
    assert used - styled <= {"chart", "wide", "pass", "fail", "wait"}


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


def test_a_gap_page_shows_every_part(gap_report: GapReport, page: Any) -> None:
    text = page(gap_page(gap_report)).text
    for words in (
        "does not meet what is required",
        "AUC 0.783 was claimed and reproduced.",
        "Production gives AUC 0.711 [0.701, 0.721].",
        "missing weather",
        "origin=JFK",
        "TimeoutError: <slow>",
        "Overloaded: full|now",
        "invalid run",
        "$0.000025",
        "[9, ∞]",
        "seed",
    ):
        assert words in text


def test_a_bare_gap_report_is_a_page_too(gap_report: GapReport, page: Any) -> None:
    bare = msgspec.structs.replace(
        gap_report, reproductions=(), slices=(), spoilt=(), load=None, cost=None, verdicts=(), failures=()
    )
    text = page(gap_page(bare)).text
    assert "sets no requirement" in text
    assert "No slice has enough rows." in text
    assert "Under load" not in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(life: Life, scheme: str) -> None:
    """WCAG AA asks for a contrast of 4.5 for text."""
    css = life_page(life)
    start = css.index("prefers-color-scheme: dark") if scheme == "dark" else 0
    colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", css[start : css.index("}", start)]))
    pairs = [("ink", "paper"), ("muted", "paper"), ("muted", "card"), ("s1", "card"), ("s2", "card"), ("s4", "card")]
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
