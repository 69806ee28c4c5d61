"""`roadworthy route` learns which rows the dear model is worth, and says what the router did and cost."""

from __future__ import annotations

import pytest

from roadworthy.route.routers.router import Router

CASCADE = "policy: {cascade: {audit: 0.5}}"
ROUTED = "policy: {routed: {audit: 0.5, usd_per_hour: 100.0}}"


@pytest.fixture
def routed(two, call):
    """The clinic with two models and a router that was fitted to a table."""
    file = two / "roadworthy.yaml"
    file.write_text(file.read_text().replace(CASCADE, ROUTED))
    told = call("route", "fit", "--rows", "production", "--share", "0.3", "--project", two, "--json")
    assert told.code == 0, told.err
    return two


def test_a_router_is_learnt_from_a_table_and_from_its_own_traffic(call, routed, answered):
    assert Router.read(routed / "model" / "policy.json").file.settings.share == 0.3
    assert "Gap recovered" in (routed / ".roadworthy" / "route.html").read_text()
    assert call("release", "--project", routed).code == 0
    asked = answered(routed, 1200)
    long = ("--days", "5000", "--project", routed)
    seen = call("route", "report", *long, "--json")
    assert seen.code in (0, 1, 3), seen.err
    assert seen.body["ledger"]["rows"] == asked
    assert {"small", "large"} <= {line["at"] for line in seen.body["ledger"]["lines"]}
    again = routed / "again.json"
    learnt = call("route", "fit", "--out", again, *long)
    assert learnt.code == 0, learnt.err
    tried = call("route", "replay", again, *long, "--margin", "0.2", "--json")
    assert tried.code in (0, 3), tried.err
    assert tried.body["rows"] == asked


def test_what_cannot_be_learnt_or_replayed_is_refused(call, routed):
    assert "which router?" in call("route", "replay", "--project", routed).err
    table = ("route", "fit", "--rows", "lab", "--project", routed)
    assert "no tag 'nobody'" in call(*table, "--tag", "nobody").err
    assert "must be between 0 and 1, got 1.5" in call(*table, "--share", "1.5").err
    assert call("release", "--project", routed).code == 0
    assert "has no record in this stretch" in call("route", "report", "--project", routed).err
    assert "records was routed between" in call("route", "fit", "--project", routed).err


def test_one_model_needs_no_router(call, released):
    out = released / "r.json"
    refused = call("route", "fit", "--rows", "production", "--out", out, "--project", released)
    assert refused.code == 2
    assert "two models or more" in refused.err


def test_a_router_learnt_from_traffic_reads_the_tag_that_the_requests_have(call, two, answered):
    file = two / "roadworthy.yaml"
    file.write_text(file.read_text().replace(CASCADE, ROUTED))
    table = ("route", "fit", "--rows", "production", "--tag", "ward", "--project", two)
    assert call(*table).code == 0
    assert call("release", "--project", two).code == 0
    answered(two, 600)
    long, again = ("--days", "5000", "--project", two), two / "again.json"
    learnt = call("route", "fit", "--out", again, *long)
    assert learnt.code == 0, learnt.err
    assert Router.read(again).file.tag == "ward"
    tried = call("route", "replay", again, *long, "--json")
    assert tried.body["strong_share"]["value"] < 0.9  # a tag that nobody has makes each row odd, and the dear model's
    assert "no request had a tag 'wart' (they have: ward)" in call("route", "fit", "--tag", "wart", *long).err


def test_a_report_about_a_release_without_a_router_is_refused(call, two, answered):
    assert call("cascade", "fit", "--agreement", "0.6", "--rows", "production", "--project", two).code == 0
    assert call("release", "--project", two).code == 0
    answered(two, 40)
    refused = call("route", "report", "--days", "5000", "--project", two)
    assert refused.code == 2
    assert "answers by the policy 'cascade'" in refused.err
