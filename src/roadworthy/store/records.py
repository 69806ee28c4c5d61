"""The record log: every prediction on disk exactly once before it is acknowledged, with the labels that came later.

One file, `records.db`, and a folder of segments, into which old rows are sealed. One thread of one process appends;
other processes read, write labels and seal meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from roadworthy.core.errors import Missing, nearest
from roadworthy.core.record import Label, Record
from roadworthy.core.wire import Arm
from roadworthy.store import labels as label_rows
from roadworthy.store import segments as of_segments
from roadworthy.store.checking import CheckReport, verify
from roadworthy.store.files import Durability, StoreError, connect, connect_without_waiting, naming
from roadworthy.store.full_disk import Drop, Gap, Overflow, Spill
from roadworthy.store.inline import Inline
from roadworthy.store.labels import LabelReport
from roadworthy.store.outbox import Outbox
from roadworthy.store.rows import ARMS, TABLES, VERSION, Insert, record_of, rows_of, upgrade
from roadworthy.store.sealed import Past, Sealed
from roadworthy.store.segments import CorruptSegment, Segment, Segments
from roadworthy.store.wanted import Wanted
from roadworthy.store.writer import Group, Writer

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger(__name__)

# "RwRL": a file of some other program is refused, not filled with our tables.
APPLICATION_ID = 0x5277524C

# Under load the disk is synced at most every 2 ms.
SYNC_SECONDS = 0.002


class RecordLog:
    """Appends, finds and counts records; joins labels to them.

    An answered `append` or `write` survives the death of the process (`durability="process"`) or a power cut too
    ("power", which costs one disk sync a group). A record whose (id, arm) is there already is left as it is; only an
    answer stands beside an earlier failure, because a caller who was refused may ask again with the same id.
    """

    def __init__(
        self,
        path: Path,
        durability: Durability = "power",
        when_full: Literal["refuse", "drop", "spill"] = "refuse",
        spill: Path | None = None,
    ) -> None:
        """Open or create the file. Raises StoreError when it is not a record log or cannot be read.

        `when_full` says what becomes of rows that the disk refuses: callers get a StoreError, or the rows are dropped
        and counted (`gaps`), or they go to a file in `spill` and from there to the log when there is room.
        """
        self.path = path
        self.durability = durability
        self._overflow: Overflow | None = Drop() if when_full == "drop" else None
        self._writer: Writer | None = None
        self._inline: Inline | None = None
        self._syncs = durability == "power"
        self._outboxes: dict[asyncio.AbstractEventLoop, Outbox] = {}
        self._latest: Outbox | None = None
        self._starting = threading.Lock()
        self._closed = False
        self._idle: list[sqlite3.Connection] = []
        folder = "segments" if path.name == "records.db" else f"{path.name}.segments"
        self._sealed = Sealed(Segments(path.with_name(folder)))
        with naming(path), self._connection() as connection:
            _prepare(connection, path)
        if when_full == "spill" and spill is not None:
            self._overflow = Spill(spill, path, self._syncs)
            if self._overflow.waiting:  # a process that died left rows there
                self._start().put(Group((), _nobody))

    def append(self, make: Callable[[], Iterable[Record]]) -> asyncio.Future[None]:
        """Queue records from inside an event loop; the future is done once they are on disk.

        Costs the caller about a microsecond: `make` and the encoding run later in the loop, for a whole group at once.
        Where the disk refuses, the future gets a StoreError, and later appends are tried afresh.
        """
        outbox = self._latest
        if outbox is None or not outbox.here:
            outbox = self._outbox()
        return outbox.append(make)

    def write(self, records: Iterable[Record]) -> None:
        """Write records and return once they are on disk; for code outside an event loop. Raises StoreError."""
        (self._writer or self._start()).write(rows_of(records))

    def read(
        self,
        since: float | None = None,
        until: float | None = None,
        release: str | None = None,
        arms: Collection[Arm] | None = None,
        ids: Collection[str] | None = None,
        after: int | None = None,
        exact: bool = False,
        upto: int | None = None,
    ) -> list[Record]:
        """The records with `since` <= at < `until`, in the order of `at`, with what is known of their labels.

        `after` and `upto` are `position`s of the log: only records that came into it after the one, and no later than
        the other, are read. A damaged segment is left out with a warning; with `exact` that raises CorruptSegment,
        which names the file.
        """
        wanted = Wanted(since, until, release, arms, ids, after, upto)
        with self._looking(wanted, exact) as (connection, past):
            where, given = wanted.where(past.mark, past.doubles)
            sql = f"""SELECT records.at, seq, records.id, kind, digest, body, value, labels.at
                      FROM records JOIN releases ON number = release LEFT JOIN labels USING (id){where}
                      ORDER BY records.at, seq"""
            hot = connection.execute(sql, given)
            if not past.segments:
                return [_labelled(*row) for row in hot]
            found = [(at, seq, _labelled(at, seq, *more)) for at, seq, *more in hot]
            found += self._sealed_records(connection, past, wanted)
        return [record for _, _, record in sorted(found, key=itemgetter(0, 1))]

    def get(self, id: str) -> list[Record]:
        """The records of one request's row, one for each arm that answered it. Raises Missing when there is none."""
        found = self.read(ids=[id])
        if not found:
            raise Missing(f"no record with the id {id!r} in `{self.path}`{self._near(id)}{self._damaged()}")
        return found

    def count(
        self,
        since: float | None = None,
        until: float | None = None,
        release: str | None = None,
        arms: Collection[Arm] | None = None,
        ids: Collection[str] | None = None,
        after: int | None = None,
        exact: bool = False,
    ) -> int:
        """How many records `read` would give."""
        wanted = Wanted(since, until, release, arms, ids, after)
        with self._looking(wanted, exact) as (connection, past):
            where, given = wanted.where(past.mark, past.doubles)
            hot = int(connection.execute(f"SELECT count(*) FROM records{where}", given).fetchone()[0])
            return hot + self._sealed.count(past, wanted)

    def counts(self) -> dict[tuple[str, Arm], int]:
        """How many records there are of each (release, arm)."""
        found: dict[tuple[str, Arm], int] = {}
        with self._looking(Wanted()) as (connection, past):
            where, given = Wanted().where(past.mark, past.doubles)
            sql = f"""SELECT digest, kind, n FROM releases JOIN
                      (SELECT release, kind, count(*) AS n FROM records{where} GROUP BY release, kind)
                      ON number = release"""
            hot = connection.execute(sql, given).fetchall()
        for release, kind, n in [*hot, *(row for segment in past.segments for row in segment.counts)]:
            found[release, ARMS[kind // 2]] = found.get((release, ARMS[kind // 2]), 0) + n
        return found

    def position(self) -> int:
        """The position of the newest record, 0 in an empty log; `read(after=...)` goes on from there."""
        # The newest row stays where it is until a newer one comes, sealed or not: positions are never used twice.
        with naming(self.path), self._connection() as connection:
            return int(connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()[0])

    def newest(self) -> float | None:
        """The time of the newest record (Unix seconds), as its caller stated it; None in an empty log."""
        sealed = [segment.until for segment in self.segments() if segment.state == "live"]
        with naming(self.path), self._connection() as connection:
            hot = connection.execute("SELECT max(at) FROM records WHERE kind >= 0").fetchone()[0]
        return max([*sealed, *([] if hot is None else [float(hot)])], default=None)

    def scan(
        self,
        since: float | None = None,
        until: float | None = None,
        after: int | None = None,
        exact: bool = False,
    ) -> pl.LazyFrame:
        """The records as a lazy frame of polars, in no order; needs the extra `data`.

        Columns: id, at, release, arm, error, confidence, tokens, usd, label, label_at, and `inputs.NAME`,
        `outputs.NAME`, `seconds.NAME`, `tags.NAME` for every name that occurs, null where a row lacks it. A name that
        was a number here and text there is text; single values beside lists leave the lists null. Hot rows are read
        at once, segments when and as far as somebody collects, within ten minutes of this call.
        """
        from roadworthy.store.columns import Pack
        from roadworthy.store.scanning import Scan, hot_rows

        of_segments.polars_or_say_so()
        wanted, hot = Wanted(since, until, after=after), Pack(whole=False)
        with self._looking(wanted, exact) as (connection, past):
            for rows in hot_rows(connection, wanted, past):
                hot.add(rows)
        fault = partial(self._quarantine_one, exact)
        return Scan(self.path, self._sealed.segments, past, wanted, hot, fault).lazy()

    def segments(self) -> list[Segment]:
        """Every segment that there was, in the order of sealing; `state` says which ones count."""
        with naming(self.path), self._connection() as connection:
            return self._sealed.segments.all(connection)

    def verify(self, now: float) -> CheckReport:
        """Compare every segment with what was sealed; what is damaged goes into quarantine, what healed comes back."""
        return verify(self, now)

    @property
    def sealed(self) -> Sealed:
        """The sealed part, for whoever seals, checks and removes."""
        return self._sealed

    def write_labels(self, labels: Sequence[Label]) -> LabelReport:
        """Join labels to the records with their ids, and say what became of each; any process may do this."""
        with naming(self.path), self._connection() as connection:
            return label_rows.write(connection, labels, self._sealed.known)

    def every_label(
        self,
        since: float | None = None,
        until: float | None = None,
        release: str | None = None,
        arms: Collection[Arm] | None = None,
        ids: Collection[str] | None = None,
    ) -> list[Label]:
        """Every label of the records that `read` would give, with who said it, in the order in which they were known.

        Those that stand and those that lie aside: a record has several where more than one was asked. With nothing but
        `ids` only labels are looked up, and an id may belong to no record yet.
        """
        wanted = Wanted(since, until, release, arms, ids)
        if ids is not None and wanted == Wanted(ids=ids):
            with naming(self.path), self._connection() as connection:
                found = list(label_rows.said(connection, list(dict.fromkeys(ids))))
        else:
            with self._looking(wanted) as (connection, past):
                some = label_rows.ids_of(connection, self._sealed.segments, past, wanted)
                found = list(label_rows.said(connection, some))
        return sorted(found, key=lambda label: label.at)

    def gaps(self) -> list[Gap]:
        """The records that were answered but not kept because the disk was full."""
        with naming(self.path), self._connection() as connection:
            found = connection.execute("SELECT since, until, rows, reason FROM gaps ORDER BY seq")
            return [Gap(*row) for row in found]

    def aside(self) -> list[tuple[Record, str]]:
        """The records that were put aside when they were to be sealed, each with the reason."""
        with naming(self.path), self._connection() as connection:
            found = connection.execute("SELECT id, kind, at, release, body, reason FROM records_aside ORDER BY seq")
            return [(record_of(*row), reason) for *row, reason in found]

    def labels_aside(self) -> list[tuple[Label, str]]:
        """The labels that belong to no record or contradict an earlier one, each with the reason."""
        with naming(self.path), self._connection() as connection:
            return label_rows.aside(connection)

    def close(self) -> None:
        """Commit what is queued, then let go of the file. Closing twice does nothing."""
        with self._starting:
            self._closed, writer, self._writer = True, self._writer, None
            inline, self._inline = self._inline, None
            outboxes, self._outboxes, self._latest = tuple(self._outboxes.values()), {}, None
        if writer is not None:
            for outbox in outboxes:
                outbox.flush()
            writer.close()
        if inline is not None:
            inline.close()
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection to the file for the length of a block, for whoever seals, checks and removes."""
        with naming(self.path), self._connection() as connection:
            yield connection

    def _start(self) -> Writer:
        """The writer's thread starts with the first record: a process that only reads has none."""
        with self._starting:
            if self._closed:
                raise StoreError(f"`{self.path}` is closed: open the state directory again before writing")
            if self._writer is None:
                self._writer = Writer(self.path, partial(connect, self.path, self.durability), Insert, self._overflow)
            return self._writer

    def _outbox(self) -> Outbox:
        """The outbox of the running loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as outside:
            raise RuntimeError("`append` needs a running event loop; outside of one use `write`") from outside
        writer = self._writer or self._start()
        with self._starting:
            for gone in [other for other in self._outboxes if other.is_closed()]:
                self._outboxes.pop(gone).flush()
            if self._inline is None:
                unhurried = partial(connect_without_waiting, self.path)
                self._inline = Inline(writer, unhurried, Insert, self._syncs)
            pace = SYNC_SECONDS if self._syncs else 0.0
            outbox = self._outboxes.setdefault(loop, Outbox(loop, self._inline, rows_of, pace))
            self._latest = outbox
        return outbox

    @contextmanager
    def _looking(self, wanted: Wanted, exact: bool = False) -> Iterator[tuple[sqlite3.Connection, Past]]:
        """One look at hot and sealed rows together: what is sealed meanwhile is in one of them, never in both."""
        with naming(self.path), self._connection() as connection:
            connection.execute("BEGIN")
            past = self._sealed.look(connection, wanted)
            yield connection, past
            connection.execute("COMMIT")
        for fault in past.faults:
            self._quarantine_one(exact, fault)
        if exact and past.damaged:
            raise CorruptSegment(past.damaged[0].why, past.damaged[0].number)

    def _quarantine_one(self, exact: bool, fault: CorruptSegment) -> None:
        """Write down that a segment is damaged, so that nobody stumbles over it again, and say so."""
        with naming(self.path), self._connection() as connection:
            if of_segments.change(connection, fault.number, "corrupt", time.time(), str(fault), was="live"):
                logger.warning("put in quarantine, its records are not read: %s", fault)
        if exact:
            raise fault

    def _sealed_records(
        self, connection: sqlite3.Connection, past: Past, wanted: Wanted
    ) -> list[tuple[float, int, Record]]:
        """The sealed records with their labels."""
        found = self._sealed.records(past, wanted)
        ids = list({record.id for _, _, record in found})
        labels = {id: (value, at) for id, value, at in label_rows.of(connection, ids)}
        if not labels:
            return found
        return [(at, seq, _with_label(record, *labels.get(record.id, (None, None)))) for at, seq, record in found]

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection of our own for the length of a block; idle ones are kept for the next."""
        if self._closed:
            raise StoreError(f"`{self.path}` is closed: open the state directory again before reading")
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = connect(self.path, self.durability)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._put_back(connection)

    def _put_back(self, connection: sqlite3.Connection) -> None:
        """Keep it for the next reader, unless another thread closed the log meanwhile."""
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)

    def _damaged(self) -> str:
        """What cannot be read at present, for whoever did not find what he looked for."""
        lost = [segment for segment in self.segments() if segment.state == "corrupt"]
        rows, files = sum(segment.rows for segment in lost), ", ".join(f"`{segment.file}`" for segment in lost)
        return f"; {rows:,} records lie in damaged segments ({files}) and are not read" if lost else ""

    def _near(self, id: str) -> str:
        """A hint: the rows of a request with several rows are called `id.0`, `id.1`, ..."""
        with naming(self.path), self._connection() as connection:
            sql = "SELECT DISTINCT id FROM records WHERE id > ? ORDER BY id LIMIT 5"
            following = [row[0] for row in connection.execute(sql, (id,))]
            following += sorted(
                self._sealed.known(connection, [f"{id}.{row}" for row in range(5)]).difference(following)
            )
        rows = sorted([near for near in following if near.startswith(f"{id}.")], key=lambda near: (len(near), near))[:5]
        if rows:
            return f"; it was a request of several rows: ask for {', '.join(map(repr, rows))}"
        return nearest(id, following) or "; `read` with `since` and `until` lists the ids of a stretch of time"


def _labelled(
    at: float, _: int, id: str, kind: int, release: str, body: bytes, label: float | None, label_at: float | None
) -> Record:
    return _with_label(record_of(id, kind, at, release, body), label, label_at)


def _with_label(record: Record, label: float | None, label_at: float | None) -> Record:
    return record if label is None else msgspec.structs.replace(record, label=label, label_at=label_at)


def _nobody(_: str | None) -> None:
    """Nobody waits for this group."""


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in a new file, and bring an older one up to date; refuse one that is not ours, or too new."""
    connection.execute("BEGIN IMMEDIATE")
    new = not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    owner = APPLICATION_ID if new else connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if owner != APPLICATION_ID:
        raise StoreError(f"`{path}` is a SQLite database but not a record log; move it aside, or use another directory")
    if version > VERSION:
        raise StoreError(f"`{path}` has version {version}, this Roadworthy reads up to {VERSION}: upgrade roadworthy")
    if new:
        for statement in (*TABLES, *label_rows.TABLES, *of_segments.TABLES):
            connection.execute(statement)
    elif version < VERSION:
        if version < 2:
            upgrade(connection)
        for statement in of_segments.TABLES:
            connection.execute(statement)
    if new or version < VERSION:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
