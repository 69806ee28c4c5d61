"""Records go when their time is over, with their labels, but never those that somebody holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from roadworthy.core.errors import BadData, Missing
from roadworthy.core.record import Label, Record
from roadworthy.core.spec import Log
from roadworthy.store.events import read_events
from roadworthy.store.retention import DAY, hold, holds, lift, retain
from roadworthy.store.sealing import seal
from roadworthy.store.state import State

pytest.importorskip("polars")

KEEP = Log(keep_days=10.0, seal_rows=1, hot_minutes=0)
NOW = 100 * DAY


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """One segment a day of days 80 to 83, and hot rows of days 84 to 99; every row has a label."""
    with State.open(tmp_path / "state", "process") as opened:
        log = opened.records
        for day in range(80, 84):
            log.write([row(day, hour) for hour in range(24)])
            seal(log, KEEP, (day + 1) * DAY)
        log.write([row(day, 1) for day in range(84, 100)])
        log.write_labels([Label(r.id, 1.0, r.at) for r in log.read()])
        yield opened


def row(day: int, hour: int) -> Record:
    return Record(f"{day}-{hour:02d}", day * DAY + hour * 3600, "r", "stable", {"day": day}, {})


def days(state: State) -> list[int]:
    return sorted({record.inputs["day"] for record in state.records.read()})


def labels(state: State) -> int:
    with state.records.connection() as connection:
        return int(connection.execute("SELECT count(*) FROM labels").fetchone()[0])


def test_old_segments_and_hot_rows_go_with_their_labels_and_leave_an_event(state):
    report = retain(state.records, state.engine, KEEP, NOW)
    assert (len(report.files), report.rows, report.labels) == (4, 4 * 24 + 6, 4 * 24 + 6)
    assert days(state) == list(range(90, 100))
    assert state.records.count() == labels(state) == 10
    (event,) = read_events(state.engine, kind="retention")
    assert (event.subject, event.data["rows"], event.data["before"]) == ("records", 102, NOW - 10 * DAY)
    assert retain(state.records, state.engine, KEEP, NOW).rows == 0
    assert len(read_events(state.engine, kind="retention")) == 1


def test_files_go_ten_minutes_after_their_records(state):
    folder = state.directory / "segments"
    lazy = state.records.scan(until=84 * DAY)
    retain(state.records, state.engine, KEEP, NOW)
    assert lazy.collect().height == 4 * 24
    retain(state.records, state.engine, KEEP, NOW + 700)
    assert list(folder.glob("*.parquet*")) == []
    assert days(state) == list(range(90, 100))


def test_for_ever_is_the_default(state):
    assert retain(state.records, state.engine, Log(), 1e12).rows == 0
    assert state.records.count() == 4 * 24 + 16


def test_what_somebody_holds_stays_until_it_is_lifted(state):
    by, why = "legal", "case 7"
    kept = hold(state.engine, 81.9 * DAY, 82.1 * DAY, by, why, NOW)
    also = hold(state.engine, 86 * DAY, 87 * DAY, by, why, NOW)
    report = retain(state.records, state.engine, KEEP, NOW)
    assert len(report.held) == 2  # it touches the last hours of day 81 and the first of day 82
    assert days(state) == [81, 82, 86, *range(90, 100)]
    assert labels(state) == state.records.count() == 48 + 1 + 10
    assert lift(state.engine, kept.seq, NOW + 1).lifted_at == NOW + 1
    lift(state.engine, also.seq, NOW + 1)
    retain(state.records, state.engine, KEEP, NOW + 2)
    assert days(state) == list(range(90, 100))
    assert [event.kind for event in read_events(state.engine)] == [
        *["hold"] * 2,
        "retention",
        *["lift"] * 2,
        "retention",
    ]


def test_a_hold_is_said_in_order_and_lifted_once(state):
    with pytest.raises(BadData, match=r"needs `since` before `until`, got 5\.0 and 5\.0"):
        hold(state.engine, 5.0, 5.0, "a", "b", NOW)
    one = hold(state.engine, 1.0, 5.0, "a", "b", NOW)
    assert holds(state.engine) == [one]
    lift(state.engine, one.seq, NOW)
    assert holds(state.engine) == []
    assert len(holds(state.engine, lifted=True)) == 1
    with pytest.raises(Missing, match=rf"no hold {one.seq} stands \(standing: none\)"):
        lift(state.engine, one.seq, NOW)


def test_the_newest_row_leaves_nothing_but_its_position(state):
    newest = state.records.position()
    retain(state.records, state.engine, KEEP, NOW + 50 * DAY)
    assert (state.records.count(), state.records.read(), state.records.counts()) == (0, [], {})
    assert state.records.scan().collect().height == 0
    assert state.records.position() == newest
    with state.records.connection() as connection:
        assert connection.execute("SELECT id, body FROM records").fetchall() == [("", b"")]
    later = row(160, 0)
    state.records.write([later])
    assert state.records.read(after=newest) == state.records.read() == [later]
    assert state.records.position() == newest + 1
    assert seal(state.records, KEEP, 161 * DAY).rows == 1
    assert state.records.read() == [later]


def test_a_label_stays_while_another_arm_of_its_id_does(state):
    late = Record("80-00", 99 * DAY, "r", "shadow", {"day": 99}, {})
    state.records.write([late])
    retain(state.records, state.engine, KEEP, NOW)
    assert [(r.arm, r.label) for r in state.records.get("80-00")] == [("shadow", 1.0)]
