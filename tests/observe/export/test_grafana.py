"""The dashboard is one that Grafana can place and query."""

from __future__ import annotations

import json

import pytest

from roadworthy.core.spec import Application, Columns, Data, Field, ModelSpec, Monitor, Slo, Spec
from roadworthy.observe.export.grafana import COLUMNS, dashboard


@pytest.fixture(scope="module")
def made() -> dict:
    spec = Spec(
        Application("toy", "binary", {"x": Field()}),
        Data(Columns("y"), "a", "b"),
        ModelSpec(),
        monitor=Monitor(slos=(Slo("availability"), Slo("acme", where="tenant=acme"))),
    )
    return json.loads(dashboard(spec))


def test_it_has_a_row_for_each_thing_that_an_operator_asks(made):
    rows = [panel["title"] for panel in made["panels"] if panel["type"] == "row"]
    assert rows == [
        "Overview",
        "Latency",
        "Traffic and errors",
        "Queue and batches",
        "Cache",
        "Error budgets",
        "Drift and quality",
        "Log and traces",
    ]
    titles = [panel["title"] for panel in made["panels"]]
    assert "availability: budget left" in titles
    assert not any("acme" in title for title in titles)


def test_no_two_panels_lie_on_each_other(made):
    taken = set()
    for panel in made["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells


def test_each_panel_has_an_id_of_its_own_and_a_query(made):
    ids = [panel["id"] for panel in made["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in made["panels"]:
        queries = panel.get("targets", [])
        assert panel["type"] == "row" or queries
        assert len({query["refId"] for query in queries}) == len(queries)
        assert all('job="$job"' in query["expr"] for query in queries)


def test_alerts_are_marked_on_the_charts(made):
    assert [mark["name"] for mark in made["annotations"]["list"]] == ["Alerts", "Alarms", "Releases"]
    assert [variable["name"] for variable in made["templating"]["list"]] == ["source", "job", "release"]


def test_a_dashboard_made_again_replaces_the_one_before(made):
    assert made["uid"] == "roadworthy-" + made["uid"].removeprefix("roadworthy-")
    assert len(made["uid"]) <= 40
    assert "id" not in made


def test_without_objectives_there_are_no_budgets():
    asked = Application("toy", "binary", {"x": Field()})
    spec = Spec(asked, Data(Columns("y"), "a", "b"), ModelSpec(), monitor=Monitor(slos=()))
    assert "Error budgets" not in [panel["title"] for panel in json.loads(dashboard(spec))["panels"]]
