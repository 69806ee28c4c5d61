"""The record log: every prediction on disk exactly once before it is acknowledged, with the labels that came later.

One file, `records.db`. One thread of one process appends; other processes read and write labels meanwhile.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.core.errors import Missing, nearest
from roadworthy.core.record import Label, Record
from roadworthy.core.wire import Arm
from roadworthy.store import labels as label_rows
from roadworthy.store.files import Durability, StoreError, connect, naming
from roadworthy.store.labels import LabelReport
from roadworthy.store.writer import Row, Writer

# "RwRL": a file of some other program is refused, not filled with our tables.
APPLICATION_ID = 0x5277524C
VERSION = 1

_TABLES = (
    # A row is found by its id; `records_release` holds all that `counts` needs, so that it never reads a body.
    """CREATE TABLE records (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, arm TEXT NOT NULL, at REAL NOT NULL,
       release TEXT NOT NULL, failed INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (id, arm, failed))""",
    "CREATE INDEX records_at ON records (at)",
    "CREATE INDEX records_release ON records (release, arm, at)",
    *label_rows.TABLES,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)

_INSERT = """INSERT INTO records (id, arm, at, release, failed, body) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (id, arm, failed) DO NOTHING"""


class RecordLog:
    """Appends, finds and counts records; joins labels to them.

    An answered `append` or `write` survives the death of the process (`durability="process"`) or a power cut too
    ("power", which costs one disk sync a group). A record whose (id, arm) is there already is left as it is; only an
    answer stands beside an earlier failure, because a caller who was refused may ask again with the same id.
    """

    def __init__(self, path: Path, durability: Durability = "power") -> None:
        """Open or create the file. Raises StoreError when it is not a record log or cannot be read."""
        self.path = path
        self.durability = durability
        self._writer: Writer | None = None
        self._starting = threading.Lock()
        self._closed = False
        self._idle: list[sqlite3.Connection] = []
        with naming(path), self._connection() as connection:
            _prepare(connection, path)

    def append(self, make: Callable[[], Iterable[Record]]) -> asyncio.Future[None]:
        """Queue records from inside an event loop; the future is done once they are on disk.

        Costs the caller about a microsecond: `make` and the encoding run on the writer's thread. Where the disk
        refuses, the future gets a StoreError, and later appends are tried afresh.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as outside:
            raise RuntimeError("`append` needs a running event loop; outside of one use `write`") from outside
        future = loop.create_future()
        (self._writer or self._start()).put((make, loop, future))
        return future

    def write(self, records: Iterable[Record]) -> None:
        """Write records and return once they are on disk; for code outside an event loop. Raises StoreError."""
        rows = tuple(records)
        future: Future[None] = Future()
        (self._writer or self._start()).put((lambda: rows, None, future))
        future.result()

    def read(
        self,
        since: float | None = None,
        until: float | None = None,
        release: str | None = None,
        arms: Collection[Arm] | None = None,
        ids: Collection[str] | None = None,
        after: int | None = None,
    ) -> list[Record]:
        """The records with `since` <= at < `until`, in the order of `at`, with what is known of their labels.

        `after` is a `position` of the log: only records that came into it later are read.
        """
        where, given = _filters(since, until, release, arms, ids, after)
        sql = f"SELECT body, value, labels.at FROM records LEFT JOIN labels USING (id){where} ORDER BY records.at, seq"
        with naming(self.path), self._connection() as connection:
            return [_record(*row) for row in connection.execute(sql, given)]

    def get(self, id: str) -> list[Record]:
        """The records of one request's row, one for each arm that answered it. Raises Missing when there is none."""
        found = self.read(ids=[id])
        if not found:
            raise Missing(f"no record with the id {id!r} in `{self.path}`{self._near(id)}")
        return found

    def count(
        self,
        since: float | None = None,
        until: float | None = None,
        release: str | None = None,
        arms: Collection[Arm] | None = None,
        ids: Collection[str] | None = None,
        after: int | None = None,
    ) -> int:
        """How many records `read` would give."""
        where, given = _filters(since, until, release, arms, ids, after)
        with naming(self.path), self._connection() as connection:
            return int(connection.execute(f"SELECT count(*) FROM records{where}", given).fetchone()[0])

    def counts(self) -> dict[tuple[str, Arm], int]:
        """How many records there are of each (release, arm)."""
        sql = "SELECT release, arm, count(*) FROM records GROUP BY release, arm"
        with naming(self.path), self._connection() as connection:
            return {(release, arm): n for release, arm, n in connection.execute(sql)}

    def position(self) -> int:
        """The position of the newest record, 0 in an empty log; `read(after=...)` goes on from there."""
        with naming(self.path), self._connection() as connection:
            return int(connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()[0])

    def write_labels(self, labels: Sequence[Label]) -> LabelReport:
        """Join labels to the records with their ids, and say what became of each; any process may do this."""
        with naming(self.path), self._connection() as connection:
            return label_rows.write(connection, labels)

    def labels_aside(self) -> list[tuple[Label, str]]:
        """The labels that belong to no record or contradict an earlier label, each with the reason."""
        with naming(self.path), self._connection() as connection:
            return label_rows.aside(connection)

    def close(self) -> None:
        """Commit what is queued, then let go of the file. Closing twice does nothing."""
        with self._starting:
            self._closed, writer, self._writer = True, self._writer, None
        if writer is not None:
            writer.close()
        while self._idle:
            self._idle.pop().close()

    def _start(self) -> Writer:
        """The writer's thread starts with the first record: a process that only reads has none."""
        with self._starting:
            if self._closed:
                raise StoreError(f"`{self.path}` is closed: open the state directory again before writing")
            if self._writer is None:
                self._writer = Writer(self.path, partial(connect, self.path, self.durability), _INSERT, _rows)
            return self._writer

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

    def _near(self, id: str) -> str:
        """A hint: the rows of a request with several rows are called `id.0`, `id.1`, ..."""
        with naming(self.path), self._connection() as connection:
            sql = "SELECT DISTINCT id FROM records WHERE id > ? ORDER BY id LIMIT 5"
            following = [row[0] for row in connection.execute(sql, (id,))]
        rows = [near for near in following if near.startswith(f"{id}.")]
        if rows:
            return f"; it was a request of several rows: ask for {', '.join(map(repr, rows))}"
        return nearest(id, following) or "; `read` with `since` and `until` lists the ids of a stretch of time"


_encode = msgspec.msgpack.Encoder(enc_hook=lambda value: _plain(value)).encode
_decode = msgspec.msgpack.Decoder(Record).decode


def _plain(value: Any) -> Any:
    """numpy scalars and arrays as what they hold."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a record cannot hold {value!r} ({type(value).__name__}): allowed are plain values and numpy's")


def _rows(records: Iterable[Record]) -> list[Row]:
    return [_row(record) for record in records]


def _row(record: Record) -> Row:
    """The columns of a record; its label is left out, because labels live in a table of their own."""
    # One value that SQLite cannot keep would make it refuse the whole group, with everybody else's rows.
    if not all(isinstance(text, str) for text in (record.id, record.arm, record.release)):
        raise TypeError(f"`id`, `arm` and `release` of a record must be text, got {record!r}")
    if not math.isfinite(record.at):
        raise ValueError(f"`at` of a record must be Unix seconds, got {record.at!r} in {record.id!r}")
    if record.label is not None:
        record = msgspec.structs.replace(record, label=None, label_at=None)
    return record.id, record.arm, float(record.at), record.release, record.error is not None, _encode(record)


def _record(body: bytes, label: float | None, label_at: float | None) -> Record:
    record = _decode(body)
    return record if label is None else msgspec.structs.replace(record, label=label, label_at=label_at)


def _filters(
    since: float | None,
    until: float | None,
    release: str | None,
    arms: Collection[Arm] | None,
    ids: Collection[str] | None,
    after: int | None,
) -> tuple[str, list[Any]]:
    """The WHERE clause and its parameters."""
    chosen = [
        ("records.at >= ?", since),
        ("records.at < ?", until),
        ("release = ?", release),
        ("arm IN (SELECT value FROM json_each(?))", _listed(arms)),
        ("id IN (SELECT value FROM json_each(?))", _listed(ids)),
        ("seq > ?", after),
    ]
    kept = [(clause, value) for clause, value in chosen if value is not None]
    where = " AND ".join(clause for clause, _ in kept)
    return (f" WHERE {where}" if where else ""), [value for _, value in kept]


def _listed(values: Collection[str] | None) -> str | None:
    return None if values is None else msgspec.json.encode(list(values)).decode()


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in a new file; refuse one that is not ours or that a newer version wrote."""
    connection.execute("BEGIN IMMEDIATE")
    if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        for statement in _TABLES:
            connection.execute(statement)
    connection.execute("COMMIT")
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if owner != APPLICATION_ID:
        raise StoreError(f"`{path}` is a SQLite database but not a record log; move it aside, or use another directory")
    if version > VERSION:
        raise StoreError(f"`{path}` has version {version}, this Roadworthy reads up to {VERSION}: upgrade roadworthy")
