"""`roadworthy gap` measures a cascade over HTTP like any model: load, crowd, memory, cold start, and its price."""

from __future__ import annotations

import msgspec

from roadworthy.evaluate.reports.report import read_json

OPTIONS = ("--load-seconds", "0.5", "--search-seconds", "0", "--crowd-rows", "40", "--starts", "1", "--no-edges")


def test_a_cascade_goes_through_the_gap_report_like_any_model(call, two):
    fitted = call("cascade", "fit", "--rows", "production", "--agreement", "0.97", "--project", two)
    assert fitted.code == 0, fitted.err
    file = two / "roadworthy.yaml"
    required = "    - {metric: usd_per_1k, at_least: 0.1}\ndata:\n  columns"
    file.write_text(file.read_text().replace("data:\n  columns", required, 1))
    told = call("gap", "--rows", "200", *OPTIONS, "--project", two, "--json")
    assert told.code in (0, 3), told.err
    report = read_json(msgspec.json.encode(told.body))
    production = next(one for one in report.answered_by if one.where == "production")
    assert [one.name for one in production.members] == ["small", "large"]
    assert 0 < production.escalation.value < 0.9
    assert production.agreement.n > 0
    verdicts = {verdict.of: verdict.decision for verdict in report.verdicts}
    assert verdicts["usd_per_1k"] == "pass"
    assert report.cost.value > 0.1  # the machine alone would be some millionths of a dollar
    assert report.load.measured
    assert report.under_load.levels[-1].error_rate.value == 0.0
    assert report.memory.peak.value > 0
    assert report.cold.starts[0].because == ""
    page = (two / ".roadworthy" / "gap.html").read_text()
    assert "Who answered" in page
    assert "Sent on beyond the cheapest model" in (two / ".roadworthy" / "gap.md").read_text()
