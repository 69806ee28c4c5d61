from __future__ import annotations

from datetime import datetime

import pytest
from msgspec.structs import replace

from roadworthy.observe.sinks.alertmanager import Alertmanager
from roadworthy.testing.sinks import alert


def posted(inbox, told, **settings):
    Alertmanager(inbox.url, **settings)(told)
    path, (body,) = inbox.posted[-1]
    assert path == "/api/v2/alerts"
    return body


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_labels_name_the_alarm_and_annotations_tell_it(inbox):
    body = posted(inbox, alert())
    assert body["labels"] == {
        "alertname": "slo-availability",
        "deployment": "flights",
        "severity": "page",
        "tenant": "acme",
    }
    assert body["annotations"]["runbook_url"] == "https://runbooks.example.org/slo-availability"
    assert "81 %" in body["annotations"]["description"]
    assert body["generatorURL"] == "https://runbooks.example.org/slo-availability"


def test_an_alarm_that_goes_on_lasts_and_one_that_is_over_has_ended(inbox):
    on, over = posted(inbox, alert(), firing_hours=2.0), posted(inbox, alert("resolved"))
    assert seconds(on["startsAt"]) == seconds(over["startsAt"]) == alert().first_at
    assert seconds(on["endsAt"]) == alert().at + 7200
    assert seconds(over["endsAt"]) == alert().at
    assert on["labels"] == over["labels"], "or it would be another alert"


def test_a_tag_becomes_a_name_that_prometheus_allows(inbox):
    assert posted(inbox, replace(alert(), where="2nd-äge=x"))["labels"]["_2nd__ge"] == "x"
    assert set(posted(inbox, replace(alert(), where="", runbook=""))["labels"]) == {
        "alertname",
        "deployment",
        "severity",
    }


def test_an_address_that_is_none_is_refused():
    with pytest.raises(ValueError, match="must start with http"):
        Alertmanager("localhost:9093")
