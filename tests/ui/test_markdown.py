from __future__ import annotations

import re

import msgspec
import pytest

from roadworthy.core.stats import nothing
from roadworthy.evaluate.reports.baseline import BaselineDiff
from roadworthy.evaluate.reports.compare import Comparison
from roadworthy.evaluate.reports.report import GapReport
from roadworthy.ui.document import Badge, Block, Code, Document, Note, Section, Table
from roadworthy.ui.gap_document import gap_document
from roadworthy.ui.gap_words import gap_summary
from roadworthy.ui.markdown import markdown_of
from roadworthy.ui.report import compare_markdown, gap_markdown


def tables(text: str) -> list[list[int]]:
    """How many cells each line of each table has."""
    found: list[list[int]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append(len(re.findall(r"(?<!\\)\|", line)))
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def document(*blocks: Block) -> Document:
    return Document("kind", "name", Badge("pass", "fine"), "lead", "", (), (Section("A", blocks),), "end")


def test_the_summary_tells_claim_production_and_the_costliest_corruption(gap_report: GapReport) -> None:
    assert gap_summary(gap_report) == (
        "What is required is not met (AUC). "
        "AUC 0.783 was claimed and reproduced. Production gives AUC 0.711 [0.701, 0.721]. "
        "The costliest of the corruptions, missing weather, moves it by −0.050."
    )


def test_the_summary_names_cause_mix_load_and_what_is_left(rich: GapReport) -> None:
    summary = gap_summary(rich)
    assert "Accuracy 0.940 was claimed and not reproduced (labels without the '.' at their end)." in summary
    assert "With the damage that its own sample shows, 0.791 [0.778, 0.803]." in summary
    assert (
        "The costliest of the corruptions, cut short, moves it by −0.520. The answers get worse under load." in summary
    )
    assert summary.endswith("is 0.787 [0.745, 0.825].")


def test_unlabelled_production_is_said(gap_report: GapReport) -> None:
    assert "Production has no labels yet." in gap_summary(
        msgspec.structs.replace(gap_report, production=(nothing("auc"),))
    )


@pytest.mark.parametrize("which", ["gap_report", "rich", "bare", "extreme"])
def test_every_table_has_as_many_cells_as_its_head(which: str, request: pytest.FixtureRequest) -> None:
    found = tables(gap_markdown(request.getfixturevalue(which)))
    assert bool(found) == (which != "bare")
    assert all(len(set(table)) == 1 for table in found)


def test_markdown_has_every_heading_and_table_that_the_page_has(rich: GapReport, diff: BaselineDiff) -> None:
    text = gap_markdown(rich, diff)
    for section in gap_document(rich, diff).sections:
        assert f"\n## {section.title}\n" in text
    assert "| claimed | claim | 0.940 [0.936, 0.944] | – | – |" in text
    assert "| Accuracy | lang=fr | ✕ fail | 0.710 [0.675, 0.742] |" in text
    assert "```yaml\nmodel:\n  preprocessing:\n" in text


def test_an_invalid_run_is_shouted(gap_report: GapReport) -> None:
    text = gap_markdown(gap_report)
    assert "✕ INVALID run the generator lagged" in text
    assert "**Measured, but not valid: these numbers describe the generator, not the model**" in text
    assert (
        "| missing weather | 5 | 20,000 | 0.660 [0.650, 0.670] | −0.050 [−0.060, −0.040] | 812 | 401 | < 0.001 |"
        in (text.replace("&lt;", "<"))
    )


def test_what_a_model_says_is_no_tag_no_link_and_no_edge_of_a_table(extreme: GapReport) -> None:
    text = gap_markdown(extreme)
    assert "<script" not in re.sub(r"`[^`]*`", "", text)
    assert "<img" not in re.sub(r"`[^`]*`", "", text)
    assert not re.search(r"(?<!\\)\]\(", re.sub(r"`[^`]*`", "", text))
    text.encode("utf-8")


def test_a_comparison_has_a_column_for_each_model(comparison: Comparison) -> None:
    text = compare_markdown(comparison)
    assert "| Requirement | logistic &lt;b> | boosting | mlp | mlp-int8 |" in text
    assert all(len(set(table)) == 1 for table in tables(text))


def test_names_with_underscores_stay_readable() -> None:
    written = markdown_of(document(Note("p99_ms of my_model_2 and _this_ * that")))
    assert "p99_ms of my_model_2 and \\_this\\_ \\* that" in written


def test_code_stays_in_its_cell() -> None:
    table = Table("", ("What",), [(Code("a | b ` c\nd"),)])
    assert "| `a \\| b ' c d` |" in markdown_of(document(table))
