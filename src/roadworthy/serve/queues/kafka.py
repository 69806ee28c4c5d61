"""Jobs in a Kafka topic, with the table that each server keeps of it: many servers, one order of events.

Requests, starts, ends and cancellations are entries of one topic, those of a job in one partition; so all servers see
them in one order, and the first of two that contradict each other counts. Kafka has no look-up by id: each server
folds the topic into a SQLite file of its own, which can be lost, and is made again from the topic. It reads on every
fraction of a second; so long may it take until one server knows of a job that another has accepted.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from msgspec.structs import replace

from roadworthy.core.errors import Missing, Overloaded, SpecError
from roadworthy.serve.job_log import (
    Began,
    Cancelled,
    Ended,
    Entry,
    GivenBack,
    Lost,
    Noticed,
    Put,
    Told,
    decode,
    encode,
    fold,
)
from roadworthy.serve.job_table import NOTICE_SECONDS, JobTable, prepare
from roadworthy.serve.kafka_log import KafkaLog
from roadworthy.serve.queue import OPEN, End, Job, Notice, Page, Result, Sent, Stage, Status, Ticket, queue
from roadworthy.store.files import connect, naming

FORGET_SECONDS = 10.0
COMMIT_SECONDS = 5.0


@queue("kafka", needs=(("confluent_kafka", "kafka"),))
@dataclass(frozen=True)
class Kafka:
    """Jobs in one Kafka topic, acknowledged by all replicas; many servers share its partitions.

    `servers` lists brokers, or is `$` and the environment variable that does; `options` are librdkafka's, for TLS and
    SASL. The topic is made with `partitions` and `replicas` where it is not there; it must keep entries longer than
    `keep_seconds`, and take `most_bytes`. The jobs of a server that is away for `lease_seconds` go to the others. See
    Sqlite for the rest.
    """

    directory: Path
    servers: str = "$ROADWORTHY_KAFKA"
    topic: str = "roadworthy-jobs"
    group: str = "roadworthy"
    partitions: int = 12
    replicas: int = -1
    options: Mapping[str, str] = field(default_factory=dict)
    most: int = 10_000
    attempts: int = 5
    lease_seconds: float = 10.0
    keep_seconds: float = 86_400.0
    timeout_seconds: float = 10.0
    most_bytes: int = 900_000

    def __post_init__(self) -> None:
        for name in ("partitions", "most", "attempts", "lease_seconds", "keep_seconds", "timeout_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be above 0, got {getattr(self, name)!r}")

    def __call__(self, now: Callable[[], float] = time.time) -> OpenKafka:
        """The open queue, its table up to date. Raises Overloaded where Kafka does not answer."""
        servers = os.environ.get(self.servers[1:], "") if self.servers.startswith("$") else self.servers
        if not servers:
            raise SpecError(f"`{self.servers[1:]}` is not set; set it to Kafka's brokers, as host:9092,other:9092")
        return OpenKafka(self, servers, now)

    @classmethod
    @contextmanager
    def example(cls, folder: Path) -> Iterator[Kafka]:
        """A small one for the laws, on the brokers that librdkafka can play."""
        from confluent_kafka import Producer

        played = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
        brokers = played.list_topics(timeout=10).brokers.values()
        servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        played.list_topics("laws", timeout=10)  # these brokers make a topic when they are asked for it
        # They know no members that stay, and answer a fetch only when its time is over.
        options = {"group.instance.id": "", "fetch.wait.max.ms": "5", "log_level": "0"}
        yield cls(folder, servers, "laws", most=20, attempts=3, lease_seconds=0.5, options=options)
        del played


class OpenKafka:
    """An OpenQueue under the name of its directory, which a restart keeps."""

    def __init__(self, settings: Kafka, servers: str, now: Callable[[], float]) -> None:
        self.settings, self._now = settings, now
        self._file = settings.directory / f"jobs-{settings.topic}.db"
        settings.directory.mkdir(parents=True, exist_ok=True)
        with naming(self._file):
            self._table, self._reading = self._open(), self._open()
            self._worker, self._next = self._remembered()
        self._turn = threading.Lock()  # of those who read
        self._out: set[str] = set()
        self._forgot_at = self._committed_at = 0.0
        self._log = KafkaLog(
            servers,
            settings.topic,
            settings.group,
            self._worker,
            settings.partitions,
            settings.replicas,
            settings.lease_seconds,
            settings.timeout_seconds,
            settings.options,
        )
        self._begin_reading()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Each verb writes to Kafka and reads until the table has it; the table is committed when the block ends."""
        out = set(self._out)
        try:
            with self._transaction():
                yield
        except BaseException:
            self._out = out
            with naming(self._file), suppress(Overloaded):
                self._next = self._remembered()[1]
                self._log.seek(self._next)
            raise

    def put(self, jobs: Sequence[Job]) -> list[Ticket]:
        """See `OpenQueue`."""
        room = self._table.room()
        tickets: dict[str, Ticket] = {}
        entries: list[tuple[int, Entry]] = []
        for job in jobs:
            known = self._table.known(job, self._now())
            too_large = len(job.asked.body) > self.settings.most_bytes
            if known is not None or too_large or len(entries) >= room:
                tickets[job.id] = known or Ticket(job.id, "large" if too_large else "full")
            else:
                entries.append((self._place(job), Put(job)))
        self._write(entries)
        for job in (entry.job for _, entry in entries if isinstance(entry, Put)):
            stands = self._table.known(job, self._now()) or Ticket(job.id, "full")
            tickets[job.id] = replace(stands, outcome="new") if stands.id == job.id else stands
        return [tickets[job.id] for job in jobs]

    def take(self, fresh: int, again: int) -> list[Job]:
        """See `OpenQueue`."""
        now = self._now()
        mine = self._log.mine
        self._fold(0.0)
        places = [place for place, (fence, _) in mine.items() if self._next[place] >= fence]
        self._bring_back(places, mine, now)
        ids = self._table.ready(fresh, again, now, places)
        self._write([(self._table.place(id), Began(id, self._worker, now)) for id in ids])
        taken = [job for job in map(self._table.job, ids) if job is not None and self._holds(job.id)]
        self._out.update(job.id for job in taken)
        self._tidy(places, now)
        return taken

    def end(self, ends: Sequence[End]) -> None:
        """See `OpenQueue`."""
        entries: list[tuple[int, Entry]] = []
        for end in ends:
            with suppress(Missing):  # kept no longer
                entries.append((self._table.place(end.id), Ended(self._fitting(end))))
        self._write(entries)
        self._out.difference_update(end.id for end in ends)

    def cancel(self, id: str) -> Stage:
        """See `OpenQueue`."""
        place, at = self._table.place(id), self._now()
        self._read_to({place: self._log.end_of(place)})  # others may have ended it
        before = self._table.state(id)
        if before not in OPEN:
            return before
        self._write([(place, Cancelled(id, at))])
        now = self._table.get(id)
        return before if now.finished == at else now.state

    def get(self, id: str) -> Status:
        """See `OpenQueue`."""
        with self._turn, naming(self._file):
            return self._reading.get(id)

    def versions(self, ids: Sequence[str]) -> Mapping[str, int]:
        """See `OpenQueue`."""
        with self._turn, naming(self._file):
            return self._reading.versions(ids)

    def page(self, owner: str, cursor: str = "", n: int = 50, state: Stage | None = None) -> Page:
        """See `OpenQueue`."""
        with self._turn, naming(self._file):
            return self._reading.page(owner, cursor, n, state)

    def notices(self, n: int) -> list[Notice]:
        """See `OpenQueue`."""
        now = self._now()
        due = self._table.due_notices(n, now, list(self._log.mine))
        until = now + NOTICE_SECONDS
        self._write([(self._table.place(one.id), Noticed(one.id, one.attempt, until)) for one in due])
        return due

    def sent(self, sents: Sequence[Sent]) -> None:
        """See `OpenQueue`."""
        entries: list[tuple[int, Entry]] = []
        for sent in sents:
            with suppress(Missing):
                entries.append((self._table.place(sent.id), Told(sent)))
        self._write(entries)

    def close(self) -> None:
        """See `OpenQueue`."""
        try:
            with self.together():
                held = [id for id in self._table.held_by(self._worker) if id in self._out]
                self._write([(self._table.place(id), GivenBack(id, self._worker)) for id in held])
        finally:
            self._log.close()
            self._table.connection.close()
            self._reading.connection.close()

    def _open(self) -> JobTable:
        settings = self.settings
        # The topic holds it all: a table that a power cut sets back reads on from where it was.
        connection = connect(self._file, "process")
        prepare(connection, self._file)
        connection.execute("CREATE TABLE IF NOT EXISTS offsets (place INTEGER PRIMARY KEY, next INTEGER NOT NULL)")
        connection.execute("CREATE TABLE IF NOT EXISTS self (name TEXT NOT NULL)")
        return JobTable(connection, settings.most, settings.attempts, settings.keep_seconds)

    def _remembered(self) -> tuple[str, dict[int, int]]:
        """Our name, made at the first time, and how far each part is in the table."""
        connection = self._table.connection
        named = connection.execute("SELECT name FROM self").fetchone()
        if named is None:
            named = (uuid4().hex,)
            connection.execute("INSERT INTO self VALUES (?)", named)
        return named[0], dict(connection.execute("SELECT place, next FROM offsets"))

    def _begin_reading(self) -> None:
        """Read everything that the topic holds before anything is asked or answered."""
        bounds = self._log.bounds()
        self._next = {place: max(self._next.get(place, 0), low) for place, (low, _) in bounds.items()}
        self._log.seek(self._next)
        ends = {place: high for place, (_, high) in bounds.items()}
        while self._behind(ends):
            with self._transaction():
                self._read_to(ends, chunk=True)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with naming(self._file):
            connection = self._table.connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def _place(self, job: Job) -> int:
        """Jobs of one key stand in one part, so that every server sees the same one of them first."""
        name = f"{job.owner}/{job.key}" if job.key else job.id
        return zlib.crc32(name.encode()) % self._log.parts

    def _write(self, entries: Sequence[tuple[int, Entry]]) -> None:
        """Write, and read until the table has it."""
        if entries:
            self._read_to(self._log.write([(place, _key(entry), encode(entry)) for place, entry in entries]))

    def _read_to(self, ends: Mapping[int, int], chunk: bool = False) -> None:
        until = time.monotonic() + self.settings.timeout_seconds
        while self._behind(ends):
            if self._fold(0.2) and chunk:
                return
            if time.monotonic() > until:
                raise Overloaded(f"Kafka took an entry and did not give it back within the time; {self._next} < {ends}")

    def _behind(self, ends: Mapping[int, int]) -> bool:
        return any(self._next[place] < end for place, end in ends.items())

    def _fold(self, seconds: float) -> int:
        """Put what has come into the table; how many entries."""
        spots = self._log.read(seconds)
        for place, after, raw in spots:
            self._next[place] = after
            fold(self._table, decode(raw), place, after - 1)
        if spots:
            sql = "INSERT INTO offsets VALUES (?, ?) ON CONFLICT (place) DO UPDATE SET next = excluded.next"
            self._table.connection.executemany(sql, [(place, self._next[place]) for place in {s.place for s in spots}])
        return len(spots)

    def _bring_back(self, places: Sequence[int], mine: Mapping[int, tuple[int, float]], now: float) -> None:
        """What runs in our parts under another name may still end: it gets the time of a lease, counted from ours.

        What runs under our own name and is not out was begun in an earlier life.
        """
        lost: list[tuple[int, Entry]] = []
        for id, worker, place in self._table.running():
            ours = worker == self._worker
            patient = not ours and time.monotonic() < mine.get(place, (0, 0.0))[1] + self.settings.lease_seconds
            if place in places and not patient and not (ours and id in self._out):
                lost.append((place, Lost(id, worker, now)))
        self._write(lost)

    def _holds(self, id: str) -> bool:
        return id in self._table.held_by(self._worker)

    def _fitting(self, end: End) -> End:
        size, most = len(end.result.body), self.settings.most_bytes
        if size <= most:
            return end
        sentence = f'{{"error":"the answer has {size} bytes; the queue in Kafka keeps at most {most}"}}'
        return replace(end, result=Result(500, sentence.encode()), again_at=None)

    def _tidy(self, places: Sequence[int], now: float) -> None:
        if now > self._forgot_at + FORGET_SECONDS:
            self._forgot_at = now
            self._table.forget(now)
        if places and now > self._committed_at + COMMIT_SECONDS:
            self._committed_at = now
            first = self._table.first_spots()
            self._log.commit({place: first.get(place, self._next[place]) for place in places})


def _key(entry: Entry) -> str:
    """The id of the job, for those who look into the topic."""
    match entry:
        case Put(job):
            return job.id
        case Ended(end):
            return end.id
        case Told(sent):
            return sent.id
    return entry.id
