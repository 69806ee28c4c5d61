"""From Kafka into Delta: rows and how far the topic was read are one commit, so that no death costs or doubles a row.

It begins where Delta says, not where Kafka's group was: what Delta holds was read, and nothing else was.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement
from roadworthy.core.record import Label
from roadworthy.store.delta_log import DeltaLog
from roadworthy.store.delta_rows import Aside, Sent
from roadworthy.store.delta_table import Overtaken
from roadworthy.store.envelopes import decode
from roadworthy.store.files import StoreError
from roadworthy.store.shipments.kafka import brokers_of

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

log = logging.getLogger(__name__)

# A topic may get more partitions: so often do we look.
LOOK_SECONDS = 60.0


@dataclass(frozen=True)
class Feed:
    """The topic that the shipment `kafka` fills, or a share of its partitions: every `of`-th, from number `part`.

    A commit waits up to `gather_seconds` for `most` rows. `servers` and `options` are as in the shipment.
    """

    servers: str = "$ROADWORTHY_KAFKA"
    topic: str = "roadworthy-records"
    options: Mapping[str, str] = field(default_factory=dict)
    part: int = 0
    of: int = 1
    most: int = 50_000
    gather_seconds: float = 5.0
    timeout_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not 0 <= self.part < self.of:
            raise ValueError(f"`part` must be from 0 to `of` - 1, got part={self.part!r} of={self.of!r}")
        for name in ("most", "gather_seconds", "timeout_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be above 0, got {getattr(self, name)!r}")


class Entry(NamedTuple):
    """What stands at an offset of a partition, which has a name here."""

    place: str
    offset: int
    key: bytes
    raw: bytes


class Start(NamedTuple):
    """Where to begin in a partition; one that was made `anew` counts from 0 again."""

    offset: int
    anew: bool = False


class Drained(Struct, frozen=True):
    """What came into Delta: records, labels, and what could not be read and lies `aside`.

    `lost` entries were removed by Kafka (its retention) before anybody had read them.
    """

    records: int = 0
    labels: int = 0
    aside: int = 0
    lost: int = 0

    def __str__(self) -> str:
        told = f"{self.records} records and {self.labels} labels drained"
        told += f", {self.aside} entries that cannot be read lie aside" if self.aside else ""
        return told + (f", {self.lost} entries were gone before anybody read them" if self.lost else "")

    def __add__(self, other: Drained) -> Drained:
        return Drained(
            self.records + other.records, self.labels + other.labels, self.aside + other.aside, self.lost + other.lost
        )


class Drain:
    """Blocks; for one thread. Many may run at once: of two that read one partition, only one writes a row."""

    def __init__(self, feed: Feed, into: DeltaLog, now: Callable[[], float] = time.time) -> None:
        from confluent_kafka import Consumer

        self.feed, self.into, self._now = feed, into, now
        ours = {
            "bootstrap.servers": brokers_of(feed.servers),
            "client.id": "roadworthy",
            # For the tools that show a lag: nothing here reads what the group has committed.
            "group.id": f"roadworthy-drain-{feed.topic}",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
        }
        self._consumer: Consumer = Consumer({**ours, **feed.options}, logger=log)
        self._numbers: dict[str, dict[str, int | None]] = {}
        self._skip: dict[str, dict[str, int]] = {}
        # What Kafka had removed before it was read: how many entries, and up to where that was told already.
        self._lost, self._told_until = 0, dict[int, int]()
        self._sought = 0.0

    def step(self) -> Drained:
        """Read what has come, and commit it. Raises StoreError where Kafka or Delta do not answer: step again."""
        try:
            if not self._numbers or time.monotonic() - self._sought > LOOK_SECONDS:
                self._seek()
            with _naming(self.feed):
                messages = self._consumer.consume(self.feed.most, self.feed.gather_seconds)
            kept = self._keep([self._entry(message) for message in messages])
            lost, self._lost = self._lost, 0
            return kept + Drained(lost=lost)
        except Overtaken as other:
            log.info("another drain was faster: %s", other)
            self._numbers = {}
            return Drained()
        except StoreError:
            self._numbers = {}  # begin again where Delta says
            raise

    def lag(self) -> Measurement:
        """How many entries of our partitions are not in Delta yet."""
        behind = 0
        for place in self._places():
            low, high = self._bounds(place)
            read = self.into.records.numbers([self._name(place)])[self._name(place)]
            behind += high - (low if read is None or read >= high else max(low, read + 1))
        return Measurement(
            "drain_rows_behind", float(behind), 1, behind, behind, "rows", self.feed.topic, {"since": self._now()}
        )

    def close(self) -> None:
        """Hang up."""
        self._consumer.close()

    def _keep(self, entries: Sequence[Entry]) -> Drained:
        """Commit the rows of the entries: the records last, because the next start looks at those."""
        if not entries:
            return Drained()
        records, labels, aside = self._sorted(entries)
        # An entry is later in its part than the one before it.
        ends = {entry.place: entry.offset for entry in entries}
        for kind, rows, append in (
            ("aside", aside, self.into.put_aside),
            ("labels", labels, self.into.append_labels),
            ("records", records, self.into.append),
        ):
            if rows or kind == "records":
                known, skip = self._numbers[kind], self._skip[kind]
                new = [row for entry, row in rows if entry.offset > skip[entry.place]]
                append(new, ends, {place: known[place] for place in ends})
                known.update(ends)
        self._tell(ends)
        return Drained(len(records), len(labels), len(aside))

    def _sorted(self, entries: Sequence[Entry]) -> tuple[list[Any], list[Any], list[Any]]:
        """Records, labels, and what cannot be read, each with its entry."""
        records: list[Any] = []
        labels: list[Any] = []
        aside: list[Any] = []
        for entry in entries:
            try:
                source, arrival = decode(entry.raw)
            except BadData as wrong:
                log.warning("%s, offset %d, cannot be read and lies aside: %s", entry.place, entry.offset, wrong)
                aside.append((entry, Aside(entry.place, entry.offset, self._now(), entry.key, entry.raw, str(wrong))))
            else:
                kind = labels if isinstance(arrival.row, Label) else records
                kind.append((entry, Sent(source, arrival, entry.raw)))
        return records, labels, aside

    def _seek(self) -> None:
        """Begin where Delta says, in each of our partitions."""
        from confluent_kafka import TopicPartition

        places = self._places()
        names = [self._name(place) for place in places]
        tables = {"records": self.into.records, "labels": self.into.labels, "aside": self.into.aside}
        numbers = {kind: table.numbers(names) for kind, table in tables.items()}
        starts = {self._name(p): self._start(p, numbers["records"][self._name(p)]) for p in places}
        with _naming(self.feed):
            self._consumer.assign([TopicPartition(self.feed.topic, p, starts[self._name(p)].offset) for p in places])
        # Labels and what lies aside are committed before records: a death in between leaves those ahead.
        self._skip = {
            kind: {name: -1 if starts[name].anew or number is None else number for name, number in found.items()}
            for kind, found in numbers.items()
        }
        self._numbers, self._sought = numbers, time.monotonic()

    def _start(self, place: int, read: int | None) -> Start:
        """Where to go on after the offset `read`; what is not there any more is told."""
        low, high = self._bounds(place)
        if read is None:
            return Start(low)
        if read + 1 > high:
            name = self._name(place)
            log.warning("%s ends at %d and was read up to %d: made anew, it is read from the start", name, high, read)
            return Start(low, anew=True)
        if gone := max(0, low - max(read + 1, self._told_until.get(place, 0))):
            self._lost, self._told_until[place] = self._lost + gone, low
            told = "%s: Kafka has removed %d entries that nobody had read; give the topic a longer retention"
            log.error(told, self._name(place), gone)
        return Start(max(low, read + 1))

    def _places(self) -> list[int]:
        """The numbers of our partitions."""
        with _naming(self.feed):
            topic = self._consumer.list_topics(self.feed.topic, timeout=self.feed.timeout_seconds)
        places = topic.topics[self.feed.topic].partitions
        if not places:
            raise StoreError(
                f"Kafka at {self.feed.servers!r} has no topic {self.feed.topic!r}: ship something, or make it"
            )
        return [place for place in sorted(places) if place % self.feed.of == self.feed.part]

    def _bounds(self, place: int) -> tuple[int, int]:
        from confluent_kafka import TopicPartition

        with _naming(self.feed):
            spot = TopicPartition(self.feed.topic, place)
            low, high = self._consumer.get_watermark_offsets(spot, self.feed.timeout_seconds)
        return int(low), int(high)

    def _entry(self, message: Message) -> Entry:
        """What is in a message of the client. Raises StoreError where it is an error."""
        error, place, offset = message.error(), message.partition(), message.offset()
        if error is not None or place is None or offset is None:
            # Among others: Kafka has removed what was to be read next. That is counted when we begin again.
            raise StoreError(f"Kafka at {self.feed.servers!r} cannot be read now: {error}")
        return Entry(self._name(place), offset, bytes(message.key() or b""), bytes(message.value() or b""))

    def _name(self, place: int) -> str:
        return f"kafka:{self.feed.topic}:{place}"

    def _tell(self, ends: Mapping[str, int]) -> None:
        """Tell the group how far Delta has come, without waiting for the answer."""
        from confluent_kafka import TopicPartition

        spots = [TopicPartition(self.feed.topic, int(name.rpartition(":")[2]), end + 1) for name, end in ends.items()]
        with _naming(self.feed):
            self._consumer.commit(offsets=spots, asynchronous=True)


def drain(
    made: Drain,
    ended: Callable[[], bool],
    told: Callable[[Drained], None],
    sleep: Callable[[float], None] = time.sleep,
    most_seconds: float = 60.0,
    compact_seconds: float = 3600.0,
) -> Drained:
    """Step until `ended`, ever more slowly where Kafka or Delta are away, and make large files of small ones."""
    total, failures, compacted = Drained(), 0, time.monotonic()
    while not ended():
        try:
            step = made.step()
            if time.monotonic() - compacted > compact_seconds:
                compacted = time.monotonic()
                made.into.compact()
        except StoreError as away:
            failures += 1
            wait = min(most_seconds, 0.5 * 2.0 ** min(failures, 10))
            log.warning("%s; trying again in %.0f s", away, wait)
            sleep(wait)
            continue
        failures = 0
        total += step
        told(step)
    return total


@contextmanager
def _naming(feed: Feed) -> Iterator[None]:
    """Turn an error of the client into a StoreError with a sentence."""
    from confluent_kafka import KafkaException

    try:
        yield
    except KafkaException as wrong:
        raise StoreError(f"Kafka at {feed.servers!r} does not answer ({wrong}); it is asked again") from wrong
