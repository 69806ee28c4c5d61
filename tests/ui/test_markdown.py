from __future__ import annotations

import msgspec

from roadworthy.core.stats import nothing
from roadworthy.evaluate.report import GapReport
from roadworthy.ui.markdown import gap_markdown, gap_summary


def test_the_summary_tells_claim_production_and_the_costliest_corruption(gap_report: GapReport) -> None:
    assert gap_summary(gap_report) == (
        "AUC 0.783 was claimed and reproduced. Production gives AUC 0.711 [0.701, 0.721]. "
        "The costliest of the corruptions, missing weather, moves it by −0.050."
    )


def test_unlabelled_production_is_said(gap_report: GapReport) -> None:
    assert "Production has no labels yet." in gap_summary(
        msgspec.structs.replace(gap_report, production=(nothing("auc"),))
    )


def test_every_table_has_as_many_cells_as_its_head(gap_report: GapReport) -> None:
    tables: list[list[int]] = [[]]
    for line in gap_markdown(gap_report).splitlines():
        if line.startswith("|"):
            tables[-1].append(line.replace("\\|", "").count("|"))
        elif tables[-1]:
            tables.append([])
    assert len(tables) == 7
    assert all(len(set(table)) <= 1 for table in tables)


def test_an_invalid_run_is_shouted(gap_report: GapReport) -> None:
    text = gap_markdown(gap_report)
    assert "**Invalid run**: the generator lagged. 3 requests failed." in text
    assert "| missing weather | 1 | 20,000 | −0.050 [−0.060, −0.040] | 812 | 401 | < 0.001 |" in text
    assert "| AUC | fail | auc 0.711 breaks auc at least 0.75 |" in text


def test_empty_parts_leave_no_heading(gap_report: GapReport) -> None:
    text = gap_markdown(msgspec.structs.replace(gap_report, spoilt=(), load=None, failures=(), verdicts=()))
    for heading in ("Corruptions", "Load", "No answer", "Requirements"):
        assert f"## {heading}" not in text
