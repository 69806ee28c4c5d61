"""From Kafka into Delta, on the brokers that librdkafka plays: every row once, whoever dies and however often."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.record import Label, Record
from roadworthy.store.base import Arrival
from roadworthy.store.delta_log import DeltaLog
from roadworthy.store.envelopes import encode
from roadworthy.store.files import StoreError
from roadworthy.store.kafka_feed import Drain, Drained, Feed, drain
from roadworthy.store.shipments.kafka import QUIET, played_brokers
from roadworthy.testing.shipments import batch, rows

pytest.importorskip("confluent_kafka")
pytest.importorskip("deltalake")


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    with played_brokers() as found:
        yield found


@pytest.fixture
def feed(servers: str, tmp_path: Path) -> Feed:
    """A topic of its own for each test."""
    return Feed(servers, tmp_path.name, QUIET, gather_seconds=0.2)


@pytest.fixture
def delta(tmp_path: Path) -> DeltaLog:
    return DeltaLog(str(tmp_path / "delta"))


@contextmanager
def drained(feed: Feed, into: DeltaLog) -> Iterator[Drain]:
    made = Drain(feed, into, lambda: 99.0)
    try:
        yield made
    finally:
        made.close()


def ship(feed: Feed, given: Sequence[Record | Label], after: int = 0) -> None:
    """What the shipment `kafka` sends, without the half second that an idempotent producer takes to begin."""
    source = "host" if isinstance(given[0], Record) else "host/labels"
    send(feed, *((a.row.id, encode(source, a)) for a in batch(source, given, after).arrivals))


def send(feed: Feed, *entries: tuple[str, bytes], place: int = -1) -> None:
    """Keys and entries as they are, from somebody who need not be us."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": feed.servers, **QUIET})
    for key, raw in entries:
        producer.produce(feed.topic, raw, key, place)
    assert producer.flush(10) == 0


def to_the_end(made: Drain) -> Drained:
    total = Drained()
    while made.lag().value:
        total += made.step()
    return total


def physical(delta: DeltaLog) -> list[str]:
    """The ids in the table as they lie there, doubles too."""
    return sorted(delta.records.scan().collect()["id"].to_list())


def test_records_and_labels_arrive_and_the_next_one_goes_on_after_them(feed, delta):
    ship(feed, rows(30))
    ship(feed, [Label("row-00007", 1.0, 5.0)])
    with drained(feed, delta) as made:
        assert to_the_end(made) == Drained(30, 1, 0, 0)
        assert made.step() == Drained()
    ship(feed, rows(10, 30))
    with drained(feed, delta) as made:
        assert made.lag().value == 10
        assert to_the_end(made) == Drained(10)
    assert physical(delta) == [record.id for record in rows(40)]
    assert [r.id for r in delta.read() if r.label is not None] == ["row-00007"]


def test_it_begins_where_delta_says_whatever_the_group_has_committed(feed, delta, tmp_path):
    ship(feed, rows(20))
    with drained(feed, delta) as made:
        to_the_end(made)
    # Another table knows nothing yet, though the group of this topic has read it all.
    other = DeltaLog(str(tmp_path / "other"))
    with drained(feed, other) as made:
        assert to_the_end(made).records == 20
    assert physical(other) == physical(delta)


def test_what_cannot_be_read_lies_aside_once_with_its_reason(feed, delta, caplog):
    newer = b"RW\x63r" + encode("host", Arrival(1, rows(1)[0]))[4:]
    ship(feed, rows(5))
    send(feed, ("key", b"{}"), ("key", newer), ("key", b""))
    with drained(feed, delta) as made, caplog.at_level(logging.WARNING):
        found = to_the_end(made)
    assert found == Drained(5, 0, 3)
    assert str(found) == "5 records and 0 labels drained, 3 entries that cannot be read lie aside"
    aside = delta.aside.scan().sort("offset").collect()
    assert sorted(aside["raw"].to_list()) == sorted([b"{}", newer, b""])
    assert set(aside["key"].to_list()) == {b"key"}
    assert any("upgrade roadworthy" in because for because in aside["because"].to_list())
    assert aside["at"].to_list() == [99.0] * 3
    assert "cannot be read and lies aside" in caplog.text
    with drained(feed, delta) as made:
        assert to_the_end(made) == Drained()


def test_of_two_drains_on_one_topic_only_one_writes_a_row(feed, delta):
    ship(feed, rows(50))
    with drained(feed, delta) as one, drained(feed, delta) as two:
        while not (one._numbers and two._numbers):  # both know where to begin, and neither has written
            one._numbers or one._seek()
            two._numbers or two._seek()
        while one.lag().value:
            one.step()
            two.step()
        ship(feed, rows(50, 50), 50)
        while two.lag().value:
            two.step()
            one.step()
    assert physical(delta) == [record.id for record in rows(100)]


def test_drains_may_share_the_partitions(feed, delta):
    ship(feed, rows(60))
    found = []
    for part in (0, 1):
        with drained(Feed(feed.servers, feed.topic, QUIET, part, 2, gather_seconds=0.2), delta) as made:
            found.append(to_the_end(made).records)
    assert sum(found) == 60
    assert min(found) > 0
    assert physical(delta) == [record.id for record in rows(60)]


def test_a_topic_that_was_made_anew_is_read_from_its_start(feed, delta, caplog):
    ship(feed, rows(40))
    with drained(feed, delta) as made:
        to_the_end(made)
    with played_brokers() as others:
        anew = Feed(others, feed.topic, QUIET, gather_seconds=0.2)
        ship(anew, rows(4, 40))
        with drained(anew, delta) as made, caplog.at_level(logging.WARNING):
            assert made.lag().value == 4
            assert to_the_end(made).records == 4
    assert "made anew, it is read from the start" in caplog.text
    assert physical(delta) == [record.id for record in rows(44)]


def test_looking_for_new_partitions_again_and_again_costs_no_row(feed, delta, monkeypatch):
    monkeypatch.setattr("roadworthy.store.kafka_feed.LOOK_SECONDS", 0.0)
    with drained(feed, delta) as made:
        for start in range(0, 30, 10):
            ship(feed, rows(10, start), start)
            to_the_end(made)
    assert physical(delta) == [record.id for record in rows(30)]


def test_what_kafka_removed_before_anybody_read_it_is_counted(feed, delta, caplog):
    rng = random.Random(0)
    send(feed, ("key", encode("host", Arrival(1, rows(1)[0]))), place=0)
    with drained(feed, delta) as made:
        assert made.step().records == 1
    # These brokers keep about 5 MB of a partition.
    send(feed, *(("key", rng.randbytes(100_000)) for _ in range(90)), place=0)
    with drained(feed, delta) as made, caplog.at_level(logging.ERROR):
        made._seek()
        made._seek()  # as when Delta was away for a while: the same gap is counted once
        total = to_the_end(made)
    assert total.lost > 0
    assert total.aside + total.lost == 90
    assert "nobody had read; give the topic a longer retention" in caplog.text


def test_a_topic_that_is_not_there_and_brokers_that_are_away_are_named(delta):
    with drained(Feed("127.0.0.1:1", "t", QUIET, timeout_seconds=0.2), delta) as made:
        for ask in (made.step, made.lag):
            with pytest.raises(StoreError, match=r"Kafka at '127\.0\.0\.1:1' does not answer"):
                ask()
    with pytest.raises(ValueError, match="`part` must be from 0 to `of` - 1"):
        Feed(part=2, of=2)
    with pytest.raises(SpecError, match="is not set"):
        Drain(Feed("$NO_SUCH_BROKERS"), delta)


def test_the_loop_waits_longer_each_time_and_then_goes_on(feed, tmp_path):
    """Delta is away, for a file lies where its folder should be."""
    ship(feed, rows(10))
    blocked = tmp_path / "blocked"
    blocked.write_text("in the way")
    pauses: list[float] = []
    steps: list[Drained] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            blocked.unlink()

    with drained(feed, DeltaLog(str(blocked))) as made:
        total = drain(made, lambda: len(steps) > 0, steps.append, sleep)
    assert total.records == sum(step.records for step in steps) > 0
    assert pauses == [1.0, 2.0, 4.0]


# Forks a drain for every line that it reads, and says its process id: to start Python each time would take too long.
NURSERY = """
import os, signal, sys
import confluent_kafka, deltalake, polars
from roadworthy.store.delta_log import DeltaLog
from roadworthy.store.kafka_feed import Drain, Feed, drain
servers, topic, uri = sys.argv[1:]
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
for _ in sys.stdin:
    child = os.fork()
    if not child:
        feed = Feed(servers, topic, {"log_level": "0", "fetch.wait.max.ms": "5"}, most=60, gather_seconds=0.02)
        drain(Drain(feed, DeltaLog(uri)), lambda: False, lambda _: None)
    print(child, flush=True)
"""


def test_twenty_four_kills_at_any_moment_neither_lose_nor_double_a_row(feed, delta):
    rng, n, labelled = random.Random(7), 9000, range(0, 9000, 850)
    for start in labelled:
        ship(feed, rows(min(850, n - start), start), start)
        ship(feed, [Label(f"row-{start:05d}", 1.0, 5.0)], start)
        send(feed, ("", f"junk {start}".encode()))
    names = [f"kafka:{feed.topic}:{place}" for place in range(4)]
    seen = set()
    command = [sys.executable, "-c", NURSERY, feed.servers, feed.topic, delta.uri]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as nursery:
        assert nursery.stdout.readline() == "ready\n"
        for _ in range(24):
            nursery.stdin.write("\n")
            child = int(nursery.stdout.readline())
            time.sleep(rng.uniform(0.05, 0.35))
            os.kill(child, signal.SIGKILL)
            seen.add(tuple(delta.records.numbers(names).values()))
    assert len(seen) > 5, f"the drains did nothing between the kills: {seen}"
    with drained(feed, delta) as made:
        to_the_end(made)
    assert physical(delta) == [record.id for record in rows(n)]
    assert sorted(delta.labels.scan().collect()["id"].to_list()) == [f"row-{k:05d}" for k in labelled]
    assert sorted(delta.aside.scan().collect()["raw"].to_list()) == sorted(f"junk {k}".encode() for k in labelled)
