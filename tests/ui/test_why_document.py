"""The page of an analysis, and the same in Markdown."""

from __future__ import annotations

import numpy as np
import pytest

from roadworthy.observe.root_cause.change_log import Change
from roadworthy.observe.root_cause.host import HostSample
from roadworthy.observe.root_cause.why import Stretches, Why, why
from roadworthy.testing.incidents import frame
from roadworthy.ui.markdown import markdown_of
from roadworthy.ui.page import html_of
from roadworthy.ui.why_document import why_document

WHEN = Stretches(3600.0, 4200.0, ((0.0, 3600.0),), "the hour before")
HOST = [HostSample(60.0 * k, busy=0.2 + 0.3 * (k >= 60), others=0.1 + 0.3 * (k >= 60)) for k in range(70)]


def diagnosed(metric: str = "p95", **fault) -> Why:
    rng = np.random.default_rng(0)
    then, now = frame(12_000, rng, 0.0, 3600.0), frame(4000, rng, 3600.0, 4200.0, **fault)
    return why(now, then, WHEN, metric, [Change(3590.0, "deploy", "stable <b>became</b> bb", "bb" * 32)], HOST)


@pytest.fixture(scope="module")
def slow() -> Why:
    return diagnosed(slow={"tenant": "acme"})


def test_the_page_tells_the_cause_first_and_has_every_part(slow):
    document = why_document(slow, "toy")
    assert document.title == "toy: why Latency p95"
    assert document.badge.text == "got worse"
    assert [s.title for s in document.sections] == [
        "Causes", "The course", "Stages", "Slices", "Mix or rate", "Changes", "Saturation", "Requests to look at",
    ]  # fmt: skip
    assert document.tiles[-1].value == "tenant=acme"


def test_the_page_is_whole_loads_nothing_and_lets_nobody_write_tags(slow):
    html = html_of(why_document(slow, "toy"))
    assert html.count("<svg") == html.count("</svg>") == 3
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "<b>became</b>" not in html
    assert "tenant=acme" in html


def test_markdown_has_the_tables_and_the_course_as_one(slow):
    text = markdown_of(why_document(slow, "toy"))
    assert "## Causes" in text
    assert "| At | Latency p95 |" in text
    assert "tenant=acme" in text


@pytest.mark.parametrize("metric", ["mean", "p99.9", "errors", "accuracy", "cost"])
def test_an_analysis_that_found_nothing_is_a_page_too(metric):
    document = why_document(diagnosed(metric), "toy")
    assert "Causes" not in [s.title for s in document.sections]
    assert html_of(document).startswith("<!doctype html>")


def test_an_analysis_of_few_rows_is_a_page_too():
    rng = np.random.default_rng(0)
    found = why(frame(3, rng, 3600.0, 4200.0), frame(3, rng, 0.0, 3600.0), WHEN, "p99")
    assert html_of(why_document(found, "toy"))
    assert markdown_of(why_document(found, "toy"))
