"""The queue in Kafka, on the brokers that librdkafka plays: what the laws cannot see."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from roadworthy.core.errors import Overloaded, SpecError
from roadworthy.serve.queue import Asked, End, Job, OpenQueue, Result, Ticket
from roadworthy.serve.queues.kafka import Kafka

pytest.importorskip("confluent_kafka")


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Kafka]:
    """A queue on brokers of its own."""
    with Kafka.example(tmp_path / "one") as made:
        yield made


def put(opened: OpenQueue, *jobs: Job) -> list[Ticket]:
    with opened.together():
        return opened.put(jobs)


def job(id: str, body: bytes = b"{}", **more: object) -> Job:
    return Job(id, Asked(b"/predict", body=body), time.time(), **more)


def test_another_server_sees_every_job_and_the_first_of_two_with_one_key_counts(settings, tmp_path):
    one, two = settings(), replace(settings, directory=tmp_path / "two")()
    assert put(one, job("a", key="k", digest="d")) == [Ticket("a", "new")]
    # The other has not read that yet, and asks the log.
    assert put(two, job("b", key="k", digest="e")) == [Ticket("a", "clash")]
    assert put(two, job("c", key="k", digest="d")) == [Ticket("a", "same")]
    with one.together():
        assert one.cancel("a") == "queued"
    with two.together():
        assert two.cancel("a") == "cancelled"
    assert two.get("a").state == "cancelled"
    two.close()
    one.close()


def test_a_lost_table_is_made_again_from_the_topic(settings):
    opened = settings()
    put(opened, job("a"), job("b"))
    with opened.together():
        opened.end([End("a", 0, Result(200, b"kept"), 5.0)])
    opened.close()
    for file in settings.directory.iterdir():
        file.unlink()
    again = settings()
    assert (again.get("a").result, again.get("b").state) == (Result(200, b"kept"), "queued")
    again.close()


def test_what_kafka_would_not_take_is_refused_alone(settings):
    opened = replace(settings, most_bytes=1000)()
    small, large = put(opened, job("small"), job("large", b"x" * 1001))
    assert (small.outcome, large.outcome) == ("new", "large")
    with opened.together():
        opened.end([End("small", 1, Result(200, b"x" * 1001), 5.0)])
    status = opened.get("small")
    assert (status.state, status.result.status) == ("failed", 500)
    assert b"the answer has 1001 bytes" in status.result.body
    opened.close()


def test_where_the_brokers_come_from_is_said(settings, tmp_path, monkeypatch):
    monkeypatch.delenv("ROADWORTHY_KAFKA", raising=False)
    with pytest.raises(SpecError, match="`ROADWORTHY_KAFKA` is not set"):
        Kafka(tmp_path)()
    with pytest.raises(Overloaded, match="the queue in Kafka cannot be used now"):
        Kafka(tmp_path, "127.0.0.1:1", timeout_seconds=0.2, options={"log_level": "0"})()
