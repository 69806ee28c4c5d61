"""What the tending loop measures of a real state directory ends in the gauges under its own labels."""

from __future__ import annotations

from roadworthy.app.watched_parts import alarms, effects, log_parts, qualities
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.record import Record
from roadworthy.observe.alerts import Alert, keep
from roadworthy.store.events import write_event


def told(measured) -> dict[tuple[str, str, str], float]:
    return {(one.name, one.conditions.get("of", ""), one.where): one.value for one in measured}


def alert(detector: str, status: str, at: float) -> Alert:
    return Alert("toy", detector, status, at, "it moved", 0.0, at, at, at)


def test_the_rows_of_the_log_are_told_by_where_they_lie(state):
    empty = told(log_parts(state.records))
    assert empty["log_rows", "hot", ""] == empty["log_rows", "sealed", ""] == empty["log_dropped", "", ""] == 0
    state.records.write([Record(f"r{k}", 1.0, "ab" * 32, "stable", {}, {}) for k in range(7)])
    assert told(log_parts(state.records))["log_rows", "hot", ""] == 7
    assert all(one.n for one in log_parts(state.records))


def test_alarms_that_are_on_are_told_and_those_that_ended_are_not(state):
    keep(state.engine, [alert("psi", "raised", 1.0), alert("calibration", "raised", 1.0)])
    keep(state.engine, [alert("psi", "resolved", 2.0)])
    write_event(state.engine, 3.0, "alert_undelivered", "toy/calibration", {"error": "gone"})
    write_event(state.engine, 3.0, "alert_undelivered", "other/psi", {"error": "gone"})
    assert told(alarms(state.engine, "toy")) == {
        ("alerts_open", "calibration", ""): 1,
        ("alerts_undelivered", "", ""): 1,
    }


def test_evidence_becomes_an_effect_by_statistic_and_column():
    health = Measurement("text_health", 0.1, 50, where="answer", conditions={"of": "loops"})
    verdict = Verdict("pass", "calm", "drift", (Measurement("psi", 0.2, 99, 0.1, 0.3, where="carrier"), health))
    (moved, kept) = effects([verdict])
    assert (moved.name, moved.conditions["of"], moved.where, moved.low) == ("drift_effect", "psi", "carrier", 0.1)
    assert kept == health


def test_a_quality_keeps_its_slice_and_interval():
    (one,) = qualities([Measurement("accuracy", 0.9, 10, 0.8, 0.95, where="UA")])
    assert (one.name, one.conditions["of"], one.where, one.high) == ("quality", "accuracy", "UA", 0.95)
