"""One Kafka topic as a log in parts: write to all replicas, read on from where one was, and know which parts are ours.

It does not know what the entries mean. Two consumers: one reads every partition, the other belongs to the group and
only says which partitions are ours.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from roadworthy.core.errors import Overloaded

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer

log = logging.getLogger(__name__)

# Brokers let a member be silent for no less than this.
LEAST_SESSION_SECONDS = 6.0


class Spot(NamedTuple):
    """An entry and where it stands; `after` is the offset of the next one."""

    place: int
    after: int
    raw: bytes


class KafkaLog:
    """Blocks; one thread. Raises Overloaded where the brokers do not answer within `timeout_seconds`."""

    def __init__(
        self,
        servers: str,
        topic: str,
        group: str,
        member: str,
        partitions: int,
        replicas: int,
        session_seconds: float,
        timeout_seconds: float,
        options: Mapping[str, str],
    ) -> None:
        self.topic, self._timeout_seconds = topic, timeout_seconds
        self._common: dict[str, str | int | float | bool] = {
            "bootstrap.servers": servers,
            "client.id": "roadworthy",
            **{name: value for name, value in options.items() if not name.startswith("group.")},
        }
        self._member = {
            "group.id": group,
            # The same server that comes back takes its partitions at once, and nobody else's move.
            "group.instance.id": member,
            "session.timeout.ms": round(1000 * max(LEAST_SESSION_SECONDS, session_seconds)),
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            **{name: value for name, value in options.items() if name.startswith("group.")},
        }
        self._producer: Producer | None = None
        self._fences: dict[int, tuple[int, float]] = {}
        with naming():
            self._producer = self._make_producer()
            self.parts = self._count_parts(partitions, replicas)
            self._tail, self._claim = self._make_tail(), self._make_claim()

    @property
    def mine(self) -> dict[int, tuple[int, float]]:
        """The partitions that are ours: up to which offset somebody else may have written of them, and since when.

        Must be asked every few seconds, or the group takes them away.
        """
        with naming():
            for message in self._claim.consume(1, 0.0):
                if message.error() is not None:
                    log.warning("the group of %r: %s", self.topic, message.error())
        return self._fences

    def write(self, entries: Sequence[tuple[int, str, bytes]]) -> dict[int, int]:
        """Write (part, key, entry), acknowledged by all replicas; the offset after the last of each part."""
        ends: dict[int, int] = {}
        failed: list[Any] = []

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                failed.append(error)
            else:
                ends[message.partition()] = max(ends.get(message.partition(), 0), message.offset() + 1)

        with naming():
            self._producer = producer = self._producer or self._make_producer()
            for place, key, raw in entries:
                producer.produce(self.topic, raw, key, place, on_delivery=delivered)
            left = producer.flush(self._timeout_seconds)
        if left or failed:
            self._producer = None  # what an idempotent producer could not write, it holds against itself
            raise Overloaded(f"Kafka did not take {left + len(failed)} entries: {failed[0] if failed else 'no answer'}")
        return ends

    def seek(self, starts: Mapping[int, int]) -> None:
        """Read on from these offsets."""
        from confluent_kafka import TopicPartition

        with naming():
            self._tail.assign([TopicPartition(self.topic, place, offset) for place, offset in starts.items()])

    def read(self, seconds: float) -> list[Spot]:
        """Entries in the order of each part, waiting for the first for a while."""
        with naming():
            first = self._tail.poll(seconds)
            messages = [] if first is None else [first, *self._tail.consume(500, 0.0)]
        found = []
        for message in messages:
            if message.error() is not None:
                raise Overloaded(f"Kafka cannot be read now: {message.error()}", 2.0)
            place, offset = message.partition(), message.offset()
            if place is not None and offset is not None:  # as they are for whatever was read
                found.append(Spot(place, offset + 1, message.value() or b""))
        return found

    def bounds(self) -> dict[int, tuple[int, int]]:
        """The first offset of each part, and the one after its last."""
        with naming():
            return {place: self._bounds(place) for place in range(self.parts)}

    def end_of(self, place: int) -> int:
        """The offset after the last entry of a part."""
        with naming():
            return self._bounds(place)[1]

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Tell the group how far everything has ended. Nothing here depends on it; tools that show a lag do."""
        from confluent_kafka import TopicPartition

        with naming():
            spots = [TopicPartition(self.topic, place, offset) for place, offset in offsets.items()]
            self._claim.commit(offsets=spots, asynchronous=True)

    def close(self) -> None:
        """Hang up."""
        self._tail.close()
        self._claim.close()

    def _bounds(self, place: int) -> tuple[int, int]:
        from confluent_kafka import TopicPartition

        low, high = self._tail.get_watermark_offsets(TopicPartition(self.topic, place), self._timeout_seconds)
        return int(low), int(high)

    def _make_producer(self) -> Producer:
        from confluent_kafka import Producer

        ours = {
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 0,
            "delivery.timeout.ms": round(1000 * self._timeout_seconds),
        }
        return Producer({**self._common, **ours}, logger=log)

    def _make_tail(self) -> Consumer:
        from confluent_kafka import Consumer

        # A group is needed for the name only: this consumer reads what it is told to.
        ours = {"group.id": "-", "enable.auto.commit": False, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 100}
        return Consumer({**ours, **self._common}, logger=log)

    def _make_claim(self) -> Consumer:
        from confluent_kafka import Consumer

        made = Consumer({**self._common, **self._member}, logger=log)
        made.subscribe([self.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
        return made

    def _assigned(self, claim: Consumer, parts: list[Any]) -> None:
        claim.assign(parts)
        claim.pause(parts)  # entries come by the tail; this consumer only stands for us in the group
        now = time.monotonic()
        self._fences = {part.partition: (self._bounds(part.partition)[1], now) for part in parts}

    def _revoked(self, claim: Consumer, parts: list[Any]) -> None:
        self._fences = {}

    def _count_parts(self, partitions: int, replicas: int) -> int:
        """How many parts the topic has, which is made where it is not there."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # a C class, not listed

        admin = AdminClient({**self._common}, logger=log)
        known = admin.list_topics(timeout=self._timeout_seconds).topics
        if self.topic not in known:
            made = admin.create_topics(
                [NewTopic(self.topic, partitions, replicas)], request_timeout=self._timeout_seconds
            )
            try:
                made[self.topic].result()
            except KafkaException as wrong:
                log.info("topic %r could not be made, and is perhaps there by now: %s", self.topic, wrong)
            known = admin.list_topics(self.topic, timeout=self._timeout_seconds).topics
        parts = len(known[self.topic].partitions)
        if not parts:
            raise Overloaded(f"Kafka has no topic {self.topic!r}, and it could not be made: {known[self.topic].error}")
        return parts


@contextmanager
def naming() -> Iterator[None]:
    """Turn an error of the client into one with a sentence."""
    from confluent_kafka import KafkaException

    try:
        yield
    except (KafkaException, BufferError) as wrong:
        raise Overloaded(f"the queue in Kafka cannot be used now ({wrong}); ask again", 2.0) from wrong
