from __future__ import annotations

import pytest
from msgspec import json

from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Verdict
from roadworthy.core.record import Record
from roadworthy.core.spec import Monitor, Slo
from roadworthy.observe.alerting.minutes import Minute, Watching, name_of, rules_of, sinks_of, watch_minutes
from roadworthy.observe.alerting.silences import silence
from roadworthy.observe.alerts import CauseTable, acknowledge, history, open_alerts
from roadworthy.observe.rules.seasonal import Seasonal
from roadworthy.store.state import State

T0 = 1_699_999_200.0


class Said:
    """A rule that says what it is told to."""

    def __init__(self, severity="page", title="toy", days=1.0):
        self.severity, self.title, self.days, self.decision = severity, title, days, "pass"

    def __call__(self, series, now):
        return Verdict(self.decision, f"it says {self.decision}", self.title)


@pytest.fixture
def state(tmp_path):
    with State.open(tmp_path / "state", "process") as found:
        yield found


def minute_of_requests(state, k, failing=0, n=100):
    rows = [
        Record(
            f"{k:04d}-{i:04d}",
            T0 + 60 * k + i / 2,
            "r1",
            "stable",
            {},
            {"p": 0.3},
            seconds={"total": 0.05},
            error="RuntimeError: boom" if i < failing else None,
        )
        for i in range(n)
    ]
    state.records.write(rows)


def watched(*rules, **more):
    told = []
    watching = Watching("flights", {name_of(r): r for r in rules}, (told.append,), **more)
    return watching, told


def statuses(told):
    return [(alert.detector, alert.status) for alert in told]


def test_a_burst_is_paged_and_its_end_is_told(state):
    watching = Watching.of("flights", Monitor(slos=(Slo("availability"),), runbook="https://runbooks/"))
    told = []
    watching = Watching("flights", watching.rules, (told.append,), watching.runbook)
    for k in range(100):
        minute_of_requests(state, k, failing=10 if 30 <= k < 45 else 0)
        found = watch_minutes(state, watching, T0 + 60 * (k + 1), cause=lambda alert: CauseTable("tenant=acme"))
        assert found.records == 100
    # The ticket went with the page while that was on; what the burst took of the day's budget outlasts it.
    ticket = ("slo-availability-ticket", "again")
    assert statuses(told) == [("slo-availability", "raised"), ("slo-availability", "resolved"), ticket]
    raised, resolved, _ = told
    assert raised.at - (T0 + 60 * 30) <= 300
    assert (raised.severity, raised.runbook) == ("page", "https://runbooks/slo-availability")
    assert raised.cause == CauseTable("tenant=acme")
    assert resolved.first_at == raised.at
    assert json.decode(json.encode(found), type=Minute) == found


def test_an_alarm_that_goes_on_is_told_again_after_its_quiet_time(state):
    rule = Said()
    watching, told = watched(rule)
    rule.decision = "fail"
    for k in range(0, 5 * 60, 10):
        watch_minutes(state, watching, T0 + 60 * k)
    assert [alert.at - T0 for alert in told] == [0, 4 * 3600]
    assert len(history(state.engine, "flights")) == 2, "what is no news is not kept"


def test_waiting_ends_no_alarm(state):
    rule = Said()
    watching, told = watched(rule)
    for k, decision in enumerate(("fail", "wait", "fail", "pass", "wait")):
        rule.decision = decision
        watch_minutes(state, watching, T0 + 60 * k)
    assert statuses(told) == [("toy", "raised"), ("toy", "resolved")]


def test_alarms_that_begin_together_are_told_as_one(state):
    page, other, ticket = Said(), Said(title="other"), Said("ticket", "ticket")
    watching, told = watched(ticket, page, other)
    for rule in (page, other, ticket):
        rule.decision = "fail"
    watch_minutes(state, watching, T0)
    (first,) = told
    assert (first.detector, first.also) == ("toy", ("flights/other", "flights/ticket"))
    page.decision = "pass"
    watch_minutes(state, watching, T0 + 60)
    assert statuses(told) == [("toy", "raised"), ("toy", "resolved"), ("other", "again")]
    other.decision = ticket.decision = "pass"
    watch_minutes(state, watching, T0 + 120)
    assert statuses(told)[3:] == [("other", "resolved")], "nobody was told of the ticket, nor need hear of its end"


def test_a_page_that_begins_much_later_is_told_by_itself(state):
    early, late, ticket = Said(), Said(title="late"), Said("ticket", "ticket")
    watching, told = watched(early, late, ticket)
    early.decision = "fail"
    watch_minutes(state, watching, T0)
    late.decision = ticket.decision = "fail"
    watch_minutes(state, watching, T0 + 3600)
    assert statuses(told) == [("toy", "raised"), ("late", "raised")]
    watch_minutes(state, watching, T0 + 4 * 3600)
    assert statuses(told)[2:] == [("toy", "again")], "what was told by itself stays so"


def test_a_page_is_told_though_a_ticket_is_open(state):
    page, ticket = Said(), Said("ticket", "ticket")
    watching, told = watched(page, ticket)
    ticket.decision = "fail"
    watch_minutes(state, watching, T0)
    page.decision = "fail"
    watch_minutes(state, watching, T0 + 60)
    assert statuses(told) == [("ticket", "raised"), ("toy", "raised")]


def test_a_silenced_alarm_is_kept_and_told_when_the_silence_ends(state):
    rule = Said()
    watching, told = watched(rule)
    held = silence(state, "rule=toy", T0, T0 + 300, "mira", "a drill")
    rule.decision = "fail"
    for k in range(5):
        watch_minutes(state, watching, T0 + 60 * k)
    assert told == []
    (kept,) = history(state.engine, "flights")
    assert (kept.status, kept.silenced) == ("raised", held.seq)
    watch_minutes(state, watching, T0 + 300)
    assert statuses(told) == [("toy", "again")]
    assert told[0].first_at == T0


def test_the_end_of_an_alarm_that_was_told_is_told_in_a_silence_too(state):
    rule = Said()
    watching, told = watched(rule)
    rule.decision = "fail"
    watch_minutes(state, watching, T0)
    silence(state, "deployment=*", T0 + 30, T0 + 900, "mira", "a drill")
    rule.decision = "pass"
    watch_minutes(state, watching, T0 + 60)
    assert statuses(told) == [("toy", "raised"), ("toy", "resolved")]


def test_an_alarm_that_somebody_looks_after_is_told_no_more(state):
    rule = Said()
    watching, told = watched(rule)
    rule.decision = "fail"
    watch_minutes(state, watching, T0)
    acknowledge(state.engine, "flights", "toy", T0 + 30, "mira")
    watch_minutes(state, watching, T0 + 86_400)
    assert statuses(told) == [("toy", "raised")]
    assert open_alerts(state.engine, "flights")["toy"].acknowledged_by == "mira"


def test_a_rule_or_a_cause_that_fails_stops_nobody(state):
    class Broken(Said):
        def __call__(self, series, now):
            raise ZeroDivisionError("oh")

    rule = Said()
    watching, told = watched(Broken(title="broken"), rule)
    rule.decision = "fail"
    found = watch_minutes(state, watching, T0, cause=lambda alert: 1 / 0)
    assert [(look.rule, look.verdict.decision) for look in found.looks] == [("broken", "wait"), ("toy", "fail")]
    assert "ZeroDivisionError: oh" in found.looks[0].verdict.because
    assert told[0].cause.summary == "the cause was not found: ZeroDivisionError: division by zero"


def test_a_receiver_that_was_down_hears_at_a_later_minute(state):
    rule, down, heard = Said(), [True], []

    def receiver(alert):
        if down:
            raise OSError("down")
        heard.append(alert.status)

    watching = Watching("flights", {"toy": rule}, (receiver,))
    rule.decision = "fail"
    watch_minutes(state, watching, T0)
    down.clear()
    found = watch_minutes(state, watching, T0 + 61)
    assert heard == ["raised"]
    assert [attempt.error for attempt in found.late] == [""]


def test_a_rule_narrowed_to_a_tag_sees_its_rows_only(state):
    class Counting(Said):
        where = "tenant=acme"

        def __call__(self, series, now):
            return Verdict("pass", f"{series.count('requests').sum():.0f}", self.title)

    rows = [
        Record(f"{i}", T0 + i, "r1", "stable", {}, {}, tags={"tenant": "acme" if i < 3 else "bolt"}) for i in range(10)
    ]
    state.records.write(rows)
    watching, _ = watched(Counting())
    (look,) = watch_minutes(state, watching, T0 + 60).looks
    assert (look.rule, look.verdict.because) == ("toy-tenant=acme", "3")


def test_a_project_file_names_rules_objectives_and_sinks():
    monitor = Monitor(
        slos=(Slo("availability"),),
        rules=({"seasonal": {"metric": "p99"}}, "seasonal", "silence_of_traffic"),
        sinks=({"pagerduty": {"key": "env:K"}},),
        webhook="http://127.0.0.1:1/",
    )
    assert set(rules_of(monitor)) == {
        "slo-availability",
        "slo-availability-ticket",
        "seasonal-p99",
        "seasonal-traffic",
        "silence-of-traffic",
    }
    assert rules_of(monitor)["seasonal-p99"] == Seasonal("p99")
    assert [type(s).__name__ for s in sinks_of(monitor)] == ["Webhook", "PagerDuty"]


def test_two_rules_of_one_name_are_refused():
    with pytest.raises(SpecError, match="two rules are called 'seasonal-traffic'"):
        rules_of(Monitor(rules=("seasonal", {"seasonal": {"least": 0.5}})))
