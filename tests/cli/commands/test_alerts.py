"""`roadworthy alerts` lists what is on, and takes what a person does about it."""

from __future__ import annotations

import json
import time

import pytest
import yaml

from roadworthy.cli.opening import open_state
from roadworthy.core.project import read_project
from roadworthy.observe.alerts import Alert, keep


@pytest.fixture
def paged(clinic):
    """A clinic with a page that is on."""
    spec, now = read_project(clinic), time.time()
    with open_state(spec) as state:
        name, since = spec.application.name, now - 60
        alert = Alert(name, "slo-availability", "raised", now, "5 % fail", since, now, now, now, severity="page")
        keep(state.engine, [alert])
    return clinic


def test_an_open_page_is_exit_code_1(call, paged):
    told = call("alerts", "--project", paged)
    assert (told.code, "5 % fail" in told.out) == (1, True)


def test_no_alarm_is_exit_code_0(call, released):
    told = call("alerts", "--project", released)
    assert (told.code, "no alarm is on" in told.out) == (0, True)


def test_an_alarm_is_acknowledged_and_resolved(call, paged):
    assert call("alerts", "acknowledge", "slo-availability", "--by", "ana", "--project", paged).code == 0
    assert call("alerts", "resolve", "slo-availability", "--by", "ana", "--why", "fixed", "--project", paged).code == 0
    assert call("alerts", "--project", paged).code == 0
    statuses = [alert["status"] for alert in call("alerts", "history", "--project", paged, "--json").body]
    assert statuses == ["raised", "acknowledged", "resolved"]


def test_an_alarm_that_is_not_on_is_named(call, paged):
    told = call("alerts", "acknowledge", "slo-availabilty", "--project", paged)
    assert (told.code, "slo-availability" in told.err) == (2, True)


def test_a_silence_needs_a_reason_and_ends(call, paged):
    assert call("alerts", "silence", "rule=slo-*", "--project", paged).code == 2
    made = call("alerts", "silence", "rule=slo-*", "--why", "load test", "--hours", "1", "--project", paged, "--json")
    assert made.code == 0
    assert "load test" in call("alerts", "--project", paged).out
    assert call("alerts", "lift", made.body["seq"], "--project", paged).code == 0
    assert call("alerts", "lift", "rule", "--project", paged).code == 2


def test_a_test_needs_a_sink(call, released):
    assert call("alerts", "test", "--project", released).code == 2


def test_what_prometheus_and_grafana_read_is_printed(call, released):
    rules = yaml.safe_load(call("alerts", "rules", "--project", released, "--json").body["rules"])
    assert rules["groups"]
    dashboard = json.loads(call("alerts", "dashboard", "--project", released, "--json").body["dashboard"])
    assert dashboard["panels"]
    scrape = yaml.safe_load(
        call("alerts", "rules", "--scrape", "127.0.0.1:9000", "--project", released, "--json").body["rules"]
    )
    assert "127.0.0.1:9000" in str(scrape)
