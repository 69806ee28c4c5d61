from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest

from roadworthy.evaluate.reports.report import GapReport, read_json, write_json
from roadworthy.evaluate.reports.schema import schema
from roadworthy.testing.certain_reports import with_certainty
from roadworthy.testing.reports import rich_report

FILE = Path(__file__).parents[3] / "docs" / "gap-report.schema.json"


def bare(report: GapReport) -> GapReport:
    """The same with every section that may be left out left out."""
    required = [f.name for f in msgspec.structs.fields(GapReport) if f.required]
    empty = {name: () for name in required if isinstance(getattr(report, name), tuple)}
    return GapReport(**{name: getattr(report, name) for name in required} | empty | {"load": None, "cost": None})


def test_the_schema_in_docs_is_that_of_the_report() -> None:
    stale = "the report has changed: `python -m roadworthy.evaluate.reports.schema > docs/gap-report.schema.json`"
    assert FILE.read_text(encoding="utf-8") == schema(), stale


def test_the_module_prints_the_schema() -> None:
    printed = subprocess.check_output([sys.executable, "-m", "roadworthy.evaluate.reports.schema"], text=True)
    assert printed == schema()


@pytest.mark.parametrize("report", [with_certainty(rich_report()), bare(rich_report())], ids=["full", "bare"])
def test_a_report_is_valid_by_its_schema_and_comes_back_the_same(report: GapReport) -> None:
    text = write_json(report)
    jsonschema_rs.validator_for(json.loads(schema())).validate(json.loads(text))
    assert write_json(read_json(text)) == text


def test_a_report_with_an_unknown_step_is_refused() -> None:
    body = json.loads(write_json(rich_report()))
    body["waterfall"][0]["kind"] = "guess"
    assert not jsonschema_rs.validator_for(json.loads(schema())).is_valid(body)
