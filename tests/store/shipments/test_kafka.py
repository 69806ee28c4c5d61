"""Into Kafka, on the brokers that librdkafka plays: what the laws cannot see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.record import Label
from roadworthy.store.arrivals import Arrivals
from roadworthy.store.envelopes import decode
from roadworthy.store.files import StoreError
from roadworthy.store.shipments.kafka import QUIET, Kafka, played_brokers
from roadworthy.store.shipping import Shipping
from roadworthy.store.state import State
from roadworthy.testing.shipments import batch, rows

pytest.importorskip("confluent_kafka")

AWAY = Kafka("127.0.0.1:1", options=QUIET, timeout_seconds=0.5)


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    with played_brokers() as found:
        yield found


def messages(servers: str, topic: str, n: int) -> list[object]:
    """The first n messages of a topic."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": servers, "group.id": "-", "auto.offset.reset": "earliest", **QUIET})
    places = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, place, 0) for place in places])
    found = consumer.consume(n, 10.0)
    consumer.close()
    return found


def test_a_row_and_its_label_are_in_one_partition_under_the_rows_id(servers):
    opened = Kafka(servers, "keys", QUIET)()
    opened.ship(batch("host", rows(20)))
    opened.ship(batch("host/labels", [Label(row.id, 1.0, 5.0) for row in rows(20)]))
    places: dict[str, set[int]] = {}
    for message in messages(servers, "keys", 40):
        source, arrival = decode(message.value())
        assert message.key() == arrival.row.id.encode()
        assert source == ("host" if arrival.row.__class__.__name__ == "Record" else "host/labels")
        places.setdefault(arrival.row.id, set()).add(message.partition())
    assert set(map(len, places.values())) == {1}
    assert len(set.union(*places.values())) > 1


def test_anybody_can_read_a_row_without_this_package(servers):
    Kafka(servers, "open", QUIET)().ship(batch("host", rows(1)))
    (message,) = messages(servers, "open", 1)
    assert message.value()[:4] == b"RW\x01r"
    source, position, row = msgspec.msgpack.decode(message.value()[4:])
    assert (source, position) == ("host", 1)
    assert (row["id"], row["inputs"]) == ("row-00000", {"delay": 0.0, "carrier": "UA"})


def test_while_the_brokers_are_away_the_log_goes_on_and_nothing_is_lost(servers, tmp_path):
    with State.open(tmp_path / "state", "process") as state:
        assert AWAY.where == "kafka:roadworthy-records"
        away = Shipping(Arrivals(state.records), AWAY(), state.engine, "ship:kafka", "host")
        for start in range(0, 40, 10):
            state.records.write(rows(10, start))
            with pytest.raises(StoreError, match=r"Kafka at '127\.0\.0\.1:1'"):
                away.catch_up(lambda: 1.0)
        assert away.lag(lambda: 2.0)[0].value == 40
        opened = Kafka(servers, "after", QUIET)()
        back = Shipping(Arrivals(state.records), opened, state.engine, "ship:kafka", "host")
        assert back.catch_up(lambda: 3.0).records == 40
    found = {decode(message.value())[1].row.id for message in messages(servers, "after", 40)}
    assert found == {record.id for record in rows(40)}


def test_one_shipment_goes_on_after_a_failure(servers):
    """The producer that failed is thrown away with what it held."""
    opened = AWAY()
    with pytest.raises(StoreError):
        opened.ship(batch("host", rows(3)))
    opened._servers, opened._settings = servers, Kafka(servers, "again", QUIET)
    opened.ship(batch("host", rows(3)))
    assert len(messages(servers, "again", 3)) == 3


def test_a_row_that_is_too_large_stays_behind_alone(servers):
    opened = Kafka(servers, "large", QUIET, most_bytes=500)()
    sent = [msgspec.structs.replace(row, inputs={"x": "y" * 600 * (k == 1)}) for k, row in enumerate(rows(3))]
    (refused,) = opened.ship(batch("host", sent, 10))
    assert (refused.id, refused.position) == ("row-00001", 12)
    assert "`most_bytes` of the topic 'large' are 500" in refused.because
    assert len(messages(servers, "large", 2)) == 2


def test_a_row_that_is_too_large_for_the_client_is_refused_and_the_others_are_sent(servers):
    options = {**QUIET, "message.max.bytes": "1500"}
    opened = replace(Kafka(servers, "larger", options), timeout_seconds=5.0)()
    sent = [msgspec.structs.replace(row, inputs={"x": "y" * 2000 * (k == 1)}) for k, row in enumerate(rows(3))]
    (refused,) = opened.ship(batch("host", sent))
    assert refused.id == "row-00001"
    assert "too large" in refused.because
    assert len(messages(servers, "larger", 2)) == 2


def test_where_the_brokers_come_from_is_said(servers, monkeypatch, tmp_path: Path):
    monkeypatch.delenv("ROADWORTHY_KAFKA", raising=False)
    with pytest.raises(SpecError, match="`ROADWORTHY_KAFKA` is not set"):
        Kafka()()
    monkeypatch.setenv("ROADWORTHY_KAFKA", servers)
    Kafka(topic="environment", options=QUIET)().ship(batch("host", rows(1)))
    with pytest.raises(ValueError, match="`timeout_seconds` must be above 0"):
        Kafka(timeout_seconds=0)
