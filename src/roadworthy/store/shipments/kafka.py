"""Records on their way into a Kafka topic, from which `kafka_feed` takes them on."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadworthy.core.errors import SpecError
from roadworthy.core.record import Record
from roadworthy.store.base import Arrival, Batch, Refused, shipment
from roadworthy.store.envelopes import decode, encode
from roadworthy.store.files import StoreError

if TYPE_CHECKING:
    from confluent_kafka import Producer

log = logging.getLogger(__name__)

# For brokers that are played: they answer a fetch only when its time is over.
QUIET = {"log_level": "0", "fetch.wait.max.ms": "5"}


@shipment("kafka", needs=(("confluent_kafka", "kafka"),))
@dataclass(frozen=True)
class Kafka:
    """Into a Kafka topic, acknowledged by all replicas; many servers may share it.

    `servers` lists brokers, or is `$` and the environment variable that does; `options` are librdkafka's, for TLS and
    SASL. A record's id is its key, so that a row and its label are in one partition. A row of more than `most_bytes`
    stays behind, and is told.
    """

    servers: str = "$ROADWORTHY_KAFKA"
    topic: str = "roadworthy-records"
    options: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 30.0
    most_bytes: int = 900_000

    def __post_init__(self) -> None:
        for name in ("timeout_seconds", "most_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be above 0, got {getattr(self, name)!r}")

    @property
    def where(self) -> str:
        """See `Shipment`. Brokers move to other addresses; a topic keeps its name."""
        return f"kafka:{self.topic}"

    def __call__(self) -> OpenKafka:
        """The open topic. The brokers are asked with the first batch."""
        return OpenKafka(self, brokers_of(self.servers))

    @classmethod
    @contextmanager
    def example(cls, folder: Path) -> Iterator[tuple[Kafka, Callable[[], Sequence[Record]]]]:
        """One for the laws, on the brokers that librdkafka can play, and what drains it and reads all that is there."""
        from roadworthy.store.delta_log import DeltaLog
        from roadworthy.store.kafka_feed import Drain, Feed

        with played_brokers() as servers:
            settings = cls(servers, "laws", QUIET, timeout_seconds=10.0, most_bytes=100_000)
            drain = Drain(Feed(servers, "laws", QUIET, gather_seconds=0.2), DeltaLog(str(folder / "drained")))

            def there() -> Sequence[Record]:
                while drain.lag().value:
                    drain.step()
                return drain.into.read()

            yield settings, there
            drain.close()


class OpenKafka:
    """An OpenShipment: one idempotent producer, made anew after a failure."""

    def __init__(self, settings: Kafka, servers: str) -> None:
        self._settings, self._servers = settings, servers
        self._producer: Producer | None = None

    def ship(self, batch: Batch) -> Sequence[Refused]:
        """See `OpenShipment`. What was sent twice is in the topic twice; the reader of the table tells them apart."""
        from confluent_kafka import KafkaException

        sending = _Sending(batch, self._settings)
        self._producer = producer = self._producer or self._make_producer()
        try:
            left = sending.send(producer)
        except (KafkaException, BufferError) as wrong:
            self.close()
            raise StoreError(f"Kafka at {self._servers!r} takes no records ({wrong}); they are sent again") from wrong
        if left or sending.failed:
            self.close()  # what an idempotent producer could not write, it holds against itself
            why = sending.failed[0] if sending.failed else f"no answer within {self._settings.timeout_seconds:g} s"
            n = max(left, len(sending.failed))
            raise StoreError(f"Kafka at {self._servers!r} did not take {n} of {len(batch.arrivals)} rows: {why}")
        return sending.refused

    def close(self) -> None:
        """Hang up. What was not acknowledged is forgotten here: the log still has it."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()

    def _make_producer(self) -> Producer:
        from confluent_kafka import Producer

        ours = {
            "bootstrap.servers": self._servers,
            "client.id": "roadworthy",
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 5,
            # Java's partitioner: a stream processor that joins by the same key finds the same partition.
            "partitioner": "murmur2_random",
            "message.max.bytes": self._settings.most_bytes + 100_000,
            "delivery.timeout.ms": round(1000 * self._settings.timeout_seconds),
        }
        return Producer({**ours, **self._settings.options}, logger=log)


class _Sending:
    """One batch on its way, and what became of its rows."""

    def __init__(self, batch: Batch, settings: Kafka) -> None:
        self._batch, self._settings = batch, settings
        self.refused: list[Refused] = []
        self.failed: list[Any] = []

    def send(self, producer: Producer) -> int:
        """Hand over all rows and wait for their acknowledgements; how many are still without one."""
        from confluent_kafka import KafkaError, KafkaException

        for arrival in self._batch.arrivals:
            raw = encode(self._batch.source, arrival)
            if len(raw) > self._settings.most_bytes:
                most = f"`most_bytes` of the topic {self._settings.topic!r} are {self._settings.most_bytes}"
                self._refuse(arrival, f"{len(raw)} bytes, and {most}")
                continue
            try:
                self._hand_over(producer, raw, arrival.row.id)
            except KafkaException as wrong:
                if wrong.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                    raise
                self._refuse(arrival, f"it is too large for the client: {wrong.args[0].str()}")
        return int(producer.flush(self._settings.timeout_seconds))

    def _hand_over(self, producer: Producer, raw: bytes, key: str) -> None:
        while True:
            try:
                producer.produce(self._settings.topic, raw, key, on_delivery=self._delivered)
                break
            except BufferError:
                # The producer's own queue is full: wait for acknowledgements to make room.
                if not producer.poll(self._settings.timeout_seconds):
                    raise

    def _delivered(self, error: Any, message: Any) -> None:
        from confluent_kafka import KafkaError

        if error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            self._refuse(decode(message.value())[1], f"it is too large for the brokers: {error.str()}")
        elif error is not None:
            self.failed.append(error)

    def _refuse(self, arrival: Arrival, because: str) -> None:
        self.refused.append(Refused(arrival.row.id, arrival.position, because))


def brokers_of(servers: str) -> str:
    """The brokers themselves, where `servers` is `$` and the name of an environment variable. Raises SpecError."""
    found = os.environ.get(servers[1:], "") if servers.startswith("$") else servers
    if not found:
        raise SpecError(f"`{servers[1:]}` is not set; set it to Kafka's brokers, as host:9092,other:9092")
    return found


@contextmanager
def played_brokers(brokers: int = 1) -> Iterator[str]:
    """The address of brokers that librdkafka plays in this process, for examples and tests."""
    from confluent_kafka import Producer

    played = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": brokers, "log_level": 0})
    known = played.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in known)
    del played
