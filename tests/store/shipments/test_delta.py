"""Straight into Delta: what the laws cannot see."""

from __future__ import annotations

from pathlib import Path

import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.record import Label
from roadworthy.store.arrivals import Arrivals
from roadworthy.store.base import shipment
from roadworthy.store.delta_log import DeltaLog
from roadworthy.store.files import StoreError
from roadworthy.store.shipments.delta import Delta
from roadworthy.store.shipping import Shipping
from roadworthy.store.state import State
from roadworthy.testing.shipments import batch, rows

pytest.importorskip("deltalake")


@pytest.fixture
def settings(tmp_path: Path) -> Delta:
    return Delta(str(tmp_path / "delta"))


def physical(settings: Delta) -> list[str]:
    """The ids in the table as they lie there, doubles too."""
    return sorted(DeltaLog(settings.uri).records.scan().collect()["id"].to_list())


def test_a_batch_that_is_sent_again_is_not_even_written_again(settings):
    for _ in range(3):
        settings().ship(batch("host", rows(5)))
        settings().ship(batch("host/labels", [Label("row-00001", 1.0, 5.0)]))
    assert physical(settings) == [record.id for record in rows(5)]
    assert DeltaLog(settings.uri).labels.scan().collect().height == 1


def test_a_log_that_was_put_back_and_counts_again_is_not_taken_for_what_was_sent(settings):
    opened = settings()
    opened.ship(batch("host", rows(5)))
    opened.ship(batch("host", rows(5, 5), 5))
    opened.ship(batch("host", rows(5, 10), 5))  # other rows at the same positions
    assert physical(settings) == [record.id for record in rows(15)]


def test_the_same_log_shipped_by_two_processes_is_refused_to_one(settings, monkeypatch):
    """The other one commits between our look and our commit."""
    ours, other = settings(), settings()
    append = DeltaLog.append

    def late(*given: object) -> None:
        monkeypatch.setattr(DeltaLog, "append", append)
        other.ship(batch("host", rows(3)))
        append(*given)

    monkeypatch.setattr(DeltaLog, "append", late)
    with pytest.raises(StoreError, match="two processes ship the log 'host'"):
        ours.ship(batch("host", rows(4)))
    assert physical(settings) == [record.id for record in rows(3)]


def test_a_whole_log_gets_there_with_its_labels(settings, tmp_path):
    with State.open(tmp_path / "state", "process") as state:
        state.records.write(rows(250))
        state.records.write_labels([Label(f"row-{k:05d}", k % 2, 5.0) for k in range(0, 250, 3)])
        made = Shipping(Arrivals(state.records), settings(), state.engine, "ship:delta", "host", 100)
        assert made.catch_up(lambda: 1.0).records == 250
        assert DeltaLog(settings.uri).read() == state.records.read()
    assert physical(settings) == [record.id for record in rows(250)]


def test_a_plan_says_where_to():
    made = shipment.make({"delta": {"uri": "s3://bucket/log", "options": {"AWS_REGION": "eu"}}})
    assert made == Delta("s3://bucket/log", {"AWS_REGION": "eu"})
    with pytest.raises(SpecError, match="`uri` must be a directory or an address"):
        shipment.make({"delta": {"uri": ""}})
