from __future__ import annotations

import pytest
from msgspec.structs import replace

from roadworthy.core.errors import SpecError
from roadworthy.observe.base import sink
from roadworthy.observe.sinks.pagerduty import PagerDuty
from roadworthy.testing.sinks import alert


@pytest.fixture
def pager(inbox, monkeypatch):
    monkeypatch.setenv("PAGERDUTY_KEY", "r0ut1ng")
    return PagerDuty(url=inbox.url)


@pytest.mark.parametrize(
    ("status", "action"),
    [("raised", "trigger"), ("again", "trigger"), ("acknowledged", "acknowledge"), ("resolved", "resolve")],
)
def test_each_stage_of_an_alarm_is_an_action_on_one_incident(inbox, pager, status, action):
    pager(alert(status))
    ((_, event),) = inbox.posted
    assert (event["event_action"], event["dedup_key"]) == (action, "roadworthy/flights/slo-availability")
    assert event["routing_key"] == "r0ut1ng"
    assert ("payload" in event) == (action == "trigger")


def test_the_payload_has_what_the_api_asks_for(inbox, pager):
    pager(alert())
    event = inbox.posted[0][1]
    payload = event["payload"]
    assert (payload["severity"], payload["source"], payload["class"]) == ("critical", "roadworthy", "slo-availability")
    assert payload["timestamp"] == "2023-11-14T22:13:20.000+00:00"
    assert "81 %" in payload["custom_details"]["told"]
    assert event["links"][0]["href"] == alert().runbook


def test_long_texts_fit_and_long_keys_stay_apart(inbox, pager):
    for end in "ab":
        pager(replace(alert(), detector="x" * 400 + end, because="y" * 5000, severity="ticket"))
    keys = [event["dedup_key"] for _, event in inbox.posted]
    assert [len(key) for key in keys] == [255, 255]
    assert keys[0] != keys[1]
    assert len(inbox.posted[0][1]["payload"]["summary"]) == 1024
    assert inbox.posted[0][1]["payload"]["severity"] == "warning"


def test_a_key_that_is_written_out_is_refused_and_not_repeated():
    with pytest.raises(SpecError, match="write `key: env:NAME`") as refused:
        PagerDuty("abc123")
    assert "abc123" not in str(refused.value)
    with pytest.raises(SpecError, match="env:NAME"):
        sink.make({"pagerduty": {"key": "abc123"}})
