from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from msgspec.structs import replace

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.observe.alerts import DAY, Alert, Webhook, alert_of, history, keep, open_alerts, raised_since
from roadworthy.store.events import read_events
from roadworthy.store.state import State

FAIL, PASS, WAIT = (Verdict(decision, f"it is {decision}") for decision in ("fail", "pass", "wait"))


@pytest.fixture
def engine(tmp_path):
    with State.open(tmp_path / "state", "process") as state:
        yield state.engine


def alert(at=0.0, detector="psi", deployment="flights", evidence=()) -> Alert:
    return Alert(deployment, detector, "raised", at, "temp moved", at - DAY, at, at, at, "abc", evidence)


def test_an_alarm_is_raised_once_and_then_goes_on_quietly():
    first = alert_of(FAIL, alert(0.0), None, quiet_days=30)
    second = alert_of(FAIL, alert(7 * DAY), first, quiet_days=30)
    assert (first.status, second.status) == ("raised", "again")
    assert (second.first_at, second.told_at, second.at) == (0.0, 0.0, 7 * DAY)


def test_an_alarm_that_goes_on_is_told_again_after_the_quiet_time():
    later = alert_of(FAIL, alert(30 * DAY), alert(0.0), quiet_days=30)
    assert later.told_at == 30 * DAY


def test_an_alarm_ends_when_the_detector_passes():
    ended = alert_of(PASS, alert(7 * DAY), alert(0.0), quiet_days=30)
    assert (ended.status, ended.first_at, ended.told_at) == ("resolved", 0.0, 7 * DAY)


def test_waiting_ends_no_alarm_and_begins_none():
    assert alert_of(WAIT, alert(7 * DAY), alert(0.0), quiet_days=30) is None
    assert alert_of(WAIT, alert(), None, quiet_days=30) is None
    assert alert_of(PASS, alert(), None, quiet_days=30) is None


def test_alerts_are_read_back_as_they_were_written(engine):
    written = alert(evidence=(Measurement("psi", 0.4, 100, 0.3, 0.5, where="temp", conditions={"p": 1e-9}),))
    keep(engine, [written])
    assert history(engine, "flights") == [written]
    assert history(engine, "other") == []
    assert read_events(engine, kind="alert", subject="flights/psi")[0].at == written.at


def test_evidence_without_a_value_does_not_spoil_the_alert(engine):
    keep(engine, [alert(evidence=(Measurement("psi", float("nan"), 0), Measurement("psi", 0.4, 9)))])
    empty, found = history(engine, "flights")[0].evidence
    assert (empty.n, found.value) == (0, 0.4)


def test_only_what_is_not_resolved_is_open(engine):
    psi, calibration = alert(), alert(detector="calibration")
    keep(engine, [psi, calibration, replace(psi, status="resolved", at=DAY), alert(deployment="other")])
    assert open_alerts(engine, "flights") == {"calibration": calibration}


def test_retraining_hears_of_alarms_that_began_or_went_on_since(engine):
    psi, calibration = alert(), alert(detector="calibration")
    keep(
        engine,
        [
            psi,
            calibration,
            replace(psi, status="again", at=2 * DAY),
            replace(calibration, status="resolved", at=2 * DAY),
        ],
    )
    assert raised_since(engine, "flights", DAY) == ("psi",)
    assert raised_since(engine, "flights", -1.0) == ("calibration", "psi")
    assert raised_since(engine, "flights", 2 * DAY) == ()


def test_a_sink_hears_only_what_is_due(engine):
    heard = []
    quiet = replace(alert(7 * DAY), status="again", told_at=0.0)
    keep(engine, [alert(), quiet, replace(alert(8 * DAY), status="resolved")], [heard.append])
    assert [a.status for a in heard] == ["raised", "resolved"]
    assert len(history(engine, "flights")) == 3


@pytest.fixture
def listener():
    """A web server on loopback that keeps what is posted, and answers 500 to what comes to /broken."""
    posted = []

    class Page(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if self.path == "/broken" else 204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", posted
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_webhook_posts_the_alert_with_a_sentence(engine, listener):
    url, posted = listener
    keep(engine, [alert()], [Webhook(url)])
    assert posted[0]["text"].splitlines()[0] == "flights/psi raised: temp moved"
    assert posted[0]["key"] == "flights/psi"
    assert posted[0]["because"] == "temp moved"
    assert read_events(engine, kind="alert_undelivered") == []


def test_a_webhook_that_fails_is_written_down_left_alone_and_stops_nobody(engine, listener):
    url, posted = listener
    keep(engine, [alert(), alert(detector="calibration")], [Webhook(url + "/broken"), Webhook(url)])
    lost = read_events(engine, kind="alert_undelivered")
    assert [event.subject for event in lost] == ["flights/psi"]
    assert "500" in lost[0].data["error"]
    assert "/broken" in lost[0].data["sink"]
    assert len(posted) == 3


def test_a_webhook_that_nobody_answers_is_written_down(engine):
    keep(engine, [alert()], [Webhook("http://127.0.0.1:1/", timeout_seconds=1.0)])
    assert "URLError" in read_events(engine, kind="alert_undelivered")[0].data["error"]


def test_a_webhook_needs_a_web_address():
    with pytest.raises(ValueError, match="must start with http"):
        Webhook("file:///etc/passwd")
