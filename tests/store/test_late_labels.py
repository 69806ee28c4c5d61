"""Labels are told in the order in which they came, each once."""

from __future__ import annotations

from pathlib import Path

from roadworthy.core.record import Label, Record
from roadworthy.store import late_labels
from roadworthy.store.late_labels import LateLabels
from roadworthy.store.records import RecordLog


def test_labels_come_in_the_order_of_their_arrival(log: RecordLog, monkeypatch) -> None:
    monkeypatch.setattr(late_labels, "AT_ONCE", 2)
    log.write([Record(f"r{k}", float(k), "a", "stable", {}, {}) for k in range(9)])
    log.write_labels([Label("r1", 1.0, 50.0)])
    late = LateLabels(log)
    began = late.position()
    log.write_labels([Label(f"r{k}", float(k), 10.0 - k) for k in (5, 3, 4, 2, 1)])
    found, after = late.since(began)
    assert sorted((label.id, label.value, label.at) for label in found) == [
        ("r2", 2.0, 8.0), ("r3", 3.0, 7.0), ("r4", 4.0, 6.0), ("r5", 5.0, 5.0),
    ]  # fmt: skip
    assert late.since(after) == ([], after)
    assert after == late.position()
    # One that overtook its record counts from when both are there.
    log.write_labels([Label("late", 1.0, 5.0)])
    assert late.since(after) == ([], after)
    log.write([Record("late", 9.0, "a", "stable", {}, {})])
    log.write_labels([Label("r6", 1.0, 5.0)])
    assert {label.id for label in late.since(after)[0]} == {"late", "r6"}


def test_an_empty_log_has_none(tmp_path: Path) -> None:
    log = RecordLog(tmp_path / "records.db", "process")
    assert LateLabels(log).position() == 0
    assert LateLabels(log).since(0) == ([], 0)
    log.close()
