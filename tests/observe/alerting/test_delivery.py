from __future__ import annotations

import pytest
from msgspec.structs import replace

from roadworthy.core.errors import Denied
from roadworthy.observe.alerting.delivery import deliver, undelivered, wants, write_with_dues
from roadworthy.observe.alerts import acknowledge, keep, open_alerts, resolve
from roadworthy.store.events import read_events
from roadworthy.store.state import State
from roadworthy.testing.sinks import alert

T0 = 1_700_000_000.0


class Receiver:
    """A sink that can be down, as a receiver is."""

    def __init__(self, name="one", severities=(), deployments=()):
        self.name, self.severities, self.deployments = name, severities, deployments
        self.heard, self.tries, self.wrong = [], 0, None

    def __repr__(self):
        return self.name

    def __call__(self, told):
        self.tries += 1
        if self.wrong:
            raise self.wrong
        self.heard.append((told.detector, told.status))


@pytest.fixture
def engine(tmp_path):
    with State.open(tmp_path / "state", "process") as state:
        yield state.engine


def raised(at=T0, name="slo", status="raised"):
    return replace(alert(status, at), detector=name, told_at=at)


def test_an_alert_raised_while_the_receiver_was_down_arrives_afterwards_once_and_in_order(engine):
    receiver = Receiver()
    receiver.wrong = ConnectionRefusedError("down")
    keep(engine, [raised()], [receiver])
    for minute in range(1, 50):
        deliver(engine, [receiver], T0 + 60 * minute)
    (waiting,) = undelivered(engine, T0 + 3000)
    assert (waiting.alert, waiting.error) == ("flights/slo", "ConnectionRefusedError: down")
    receiver.wrong = None
    keep(engine, [raised(T0 + 3000, status="resolved")], [receiver])
    for minute in range(51, 130):
        deliver(engine, [receiver], T0 + 60 * minute)
    assert receiver.heard == [("slo", "raised"), ("slo", "resolved")]
    assert undelivered(engine, T0 + 7800) == []


def test_a_receiver_that_is_down_is_asked_less_and_less(engine):
    receiver = Receiver()
    receiver.wrong = OSError("down")
    keep(engine, [raised()], [receiver])
    for minute in range(1, 121):
        deliver(engine, [receiver], T0 + 60 * minute)
    assert receiver.tries == 8  # after 0, 1, 3, 7, 15, 31, 61, 91 minutes
    assert len(read_events(engine, kind="alert_undelivered")) == 8


def test_a_process_that_died_before_it_told_tells_when_it_is_back(engine):
    receiver = Receiver()
    write_with_dues(engine, raised(), [receiver])
    assert [a.error for a in deliver(engine, [receiver], T0 + 600)] == [""]
    assert receiver.heard == [("slo", "raised")]
    assert deliver(engine, [receiver], T0 + 660) == []


def test_a_receiver_that_is_new_does_not_hear_of_the_past(engine):
    keep(engine, [raised()], [Receiver()])
    late = Receiver("late")
    deliver(engine, [late], T0 + 60)
    assert late.heard == []


def test_after_a_week_an_alert_is_given_up(engine):
    receiver = Receiver()
    receiver.wrong = OSError("down")
    keep(engine, [raised()], [receiver])
    receiver.wrong = None
    assert deliver(engine, [receiver], T0 + 8 * 86_400) == []


def test_alerts_go_where_the_settings_say(engine):
    pager, mail = Receiver("pager", ("page",)), Receiver("mail", deployments=("clinic",))
    ticket = replace(raised(name="psi"), severity="ticket")
    keep(engine, [raised(), ticket, replace(raised(name="x"), deployment="clinic")], [pager, mail])
    assert pager.heard == [("slo", "raised"), ("x", "raised")]
    assert mail.heard == [("x", "raised")]
    assert wants(print, ticket), "a plain function hears of everything"


def test_a_secret_that_is_missing_stops_nobody(engine):
    poor, other = Receiver("poor"), Receiver("other")
    poor.wrong = Denied("the environment has no 'KEY'")
    keep(engine, [raised()], [poor, other])
    assert other.heard == [("slo", "raised")]
    assert read_events(engine, kind="alert_undelivered")[0].data["error"] == "Denied: the environment has no 'KEY'"


def test_what_is_not_due_is_told_to_nobody(engine):
    receiver = Receiver()
    keep(engine, [replace(raised(), told_at=T0 - 60)], [receiver])
    assert receiver.heard == []


def test_who_acknowledges_is_told_and_who_resolves_ends_it(engine):
    receiver = Receiver()
    keep(engine, [raised()], [receiver])
    acknowledge(engine, "flights", "slo", T0 + 60, "mira", [receiver])
    assert open_alerts(engine, "flights")["slo"].acknowledged_by == "mira"
    ended = resolve(engine, "flights", "slo", T0 + 120, "mira", "rolled back", [receiver])
    assert ended.because == "called over by mira: rolled back"
    assert [status for _, status in receiver.heard] == ["raised", "acknowledged", "resolved"]
    with pytest.raises(LookupError, match="no open alarm named 'slo'"):
        resolve(engine, "flights", "slo", T0 + 180, "mira")
