"""The record log: every prediction on disk exactly once before it is acknowledged, with the labels that came later.

One file, `records.db`. One thread of one process appends; other processes read and write labels meanwhile.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.core.errors import Missing, nearest
from roadworthy.core.record import Label, Record
from roadworthy.core.wire import Arm
from roadworthy.store import labels as label_rows
from roadworthy.store.files import Durability, StoreError, connect, connect_without_waiting, naming
from roadworthy.store.inline import Inline
from roadworthy.store.labels import LabelReport
from roadworthy.store.outbox import Outbox
from roadworthy.store.rows import ARMS, KINDS, TABLES, VERSION, Insert, record_of, rows_of, upgrade
from roadworthy.store.writer import Writer

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

    def __init__(self, path: Path, durability: Durability = "power") -> None:
        """Open or create the file. Raises StoreError when it is not a record log or cannot be read."""
        self.path = path
        self.durability = durability
        self._writer: Writer | None = None
        self._inline: Inline | None = None
        self._syncs = durability == "power"
        self._outboxes: dict[asyncio.AbstractEventLoop, Outbox] = {}
        self._latest: Outbox | None = None
        self._starting = threading.Lock()
        self._closed = False
        self._idle: list[sqlite3.Connection] = []
        with naming(path), self._connection() as connection:
            _prepare(connection, path)

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
    ) -> list[Record]:
        """The records with `since` <= at < `until`, in the order of `at`, with what is known of their labels.

        `after` is a `position` of the log: only records that came into it later are read.
        """
        where, given = _filters(since, until, release, arms, ids, after)
        sql = f"""SELECT records.id, kind, records.at, digest, body, value, labels.at
                  FROM records JOIN releases ON number = release LEFT JOIN labels USING (id){where}
                  ORDER BY records.at, seq"""
        with naming(self.path), self._connection() as connection:
            return [_labelled(*row) for row in connection.execute(sql, given)]

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
        sql = """SELECT digest, arm, sum(n) FROM releases JOIN
                 (SELECT release, kind / 2 AS arm, count(*) AS n FROM records GROUP BY release, kind)
                 ON number = release GROUP BY digest, arm"""
        with naming(self.path), self._connection() as connection:
            return {(release, ARMS[arm]): n for release, arm, n in connection.execute(sql)}

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

    def _start(self) -> Writer:
        """The writer's thread starts with the first record: a process that only reads has none."""
        with self._starting:
            if self._closed:
                raise StoreError(f"`{self.path}` is closed: open the state directory again before writing")
            if self._writer is None:
                self._writer = Writer(self.path, partial(connect, self.path, self.durability), Insert)
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


def _labelled(
    id: str, kind: int, at: float, release: str, body: bytes, label: float | None, label_at: float | None
) -> Record:
    record = record_of(id, kind, at, release, body)
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
        ("release = (SELECT number FROM releases WHERE digest = ?)", release),
        ("kind IN (SELECT value FROM json_each(?))", _listed(_kinds(arms))),
        ("records.id IN (SELECT value FROM json_each(?))", _listed(ids)),
        ("seq > ?", after),
    ]
    kept = [(clause, value) for clause, value in chosen if value is not None]
    where = " AND ".join(clause for clause, _ in kept)
    return (f" WHERE {where}" if where else ""), [value for _, value in kept]


def _kinds(arms: Collection[Arm] | None) -> Collection[int] | None:
    return None if arms is None else [kind for (arm, _), kind in KINDS.items() if arm in arms]


def _listed(values: Collection[Any] | None) -> str | None:
    return None if values is None else msgspec.json.encode(list(values)).decode()


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
        for statement in (*TABLES, *label_rows.TABLES):
            connection.execute(statement)
    elif version < VERSION:
        upgrade(connection)
    if new or version < VERSION:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
