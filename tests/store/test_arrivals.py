"""What came into a log, in the order in which it came, sealed or not."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from roadworthy.core.record import Label
from roadworthy.core.spec import Log
from roadworthy.store.arrivals import Arrivals
from roadworthy.store.records import RecordLog
from roadworthy.store.sealing import seal
from roadworthy.testing.shipments import odd_rows, rows


def ids(arrivals: Arrivals, after: int, most: int) -> list[str]:
    return [arrival.row.id for arrival in arrivals.records(after, most)]


def test_records_come_in_the_order_of_arrival_not_of_their_time(log):
    log.write(reversed(rows(5)))
    log.write(rows(2, 5))
    arrivals = Arrivals(log)
    found = arrivals.records(0, 100)
    assert [arrival.row for arrival in found] == list(reversed(rows(5))) + rows(2, 5)
    assert [arrival.position for arrival in found] == [1, 2, 3, 4, 5, 6, 7]
    assert ids(arrivals, 2, 2) == ["row-00002", "row-00001"]
    assert arrivals.records(7, 10) == []


def test_a_record_comes_without_its_label_which_comes_by_itself(log):
    log.write(rows(3))
    log.write_labels([Label("row-00001", 1.0, 5.0, "review")])
    arrivals = Arrivals(log)
    assert [arrival.row.label for arrival in arrivals.records(0, 10)] == [None] * 3
    # What was there before anybody asked, then what came later and through whatever connection.
    assert [arrival.row for arrival in arrivals.labels(0, 10)] == [Label("row-00001", 1.0, 5.0, "review")]
    RecordLog(log.path).write_labels([Label("row-00002", 0.0, 4.0), Label("nobody", 1.0, 4.0)])
    (second,) = arrivals.labels(1, 10)
    assert (second.position, second.row) == (2, Label("row-00002", 0.0, 4.0))
    log.write([rows(1)[0].__class__("nobody", 9.0, "r", "stable", {}, {})])
    log.write_labels([Label("row-00000", 1.0, 6.0)])  # with which the early one joins its record, too
    assert {arrival.row.id for arrival in arrivals.labels(2, 10)} == {"nobody", "row-00000"}
    assert [arrival.row.id for arrival in arrivals.labels(0, 1)] == ["row-00001"]
    assert arrivals.behind(1, 2) == 3 + 2


@pytest.fixture
def sealed(log: RecordLog) -> RecordLog:
    """Twenty rows in three segments, and three hot ones after them."""
    pytest.importorskip("polars")
    for start in (0, 7, 14):
        log.write(rows(7, start) if start < 14 else rows(6, start))
        seal(log, Log(seal_rows=100, seal_minutes=0.0, hot_minutes=0.0), 1e10, at_once=True)
    log.write(rows(3, 20))
    assert [segment.rows for segment in log.segments()] == [7, 7, 6]
    return log


def test_sealed_rows_come_before_hot_ones_and_none_twice(sealed):
    arrivals = Arrivals(sealed)
    for most in (1, 4, 7, 50):
        found, after = [], 0
        while batch := arrivals.records(after, most):
            assert len(batch) <= most
            found += [arrival.row for arrival in batch]
            after = batch[-1].position
        assert found == rows(23), most
    assert arrivals.behind(5, 0) == 18


def test_odd_rows_come_out_of_segments_as_they_went_in(log):
    pytest.importorskip("polars")
    given = [row for row in odd_rows() if "large" not in row.inputs]
    log.write(given)
    seal(log, Log(seal_rows=100, seal_minutes=0.0, hot_minutes=0.0), 1e10, at_once=True)
    assert [arrival.row for arrival in Arrivals(log).records(0, 100)] == given


def test_a_damaged_segment_is_told_and_the_rest_goes_on(sealed, caplog):
    first = sealed.segments()[0]
    path: Path = sealed.sealed.segments.path(first)
    path.write_bytes(b"torn" * 100)
    with caplog.at_level(logging.WARNING):
        found = [arrival.row for arrival in Arrivals(sealed).records(0, 100)]
    assert found == rows(23)[first.rows :]
    assert "was not shipped is not" in caplog.text
