"""Segments: Parquet files of records that are done with, and the table that says which ones count.

A segment counts once its row is committed; a file without a row is a leftover. The rows of `records` up to the `mark`
are in segments: they no longer count where they are, and go from there a few at a time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from roadworthy.core.errors import MissingExtra
from roadworthy.store.columns import Shape
from roadworthy.store.files import StoreError
from roadworthy.store.id_index import IdIndex, hashes, write_index
from roadworthy.store.kinds import Kind
from roadworthy.store.rows import KINDS

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger(__name__)

TABLES = (
    """CREATE TABLE segments (number INTEGER PRIMARY KEY, file TEXT NOT NULL UNIQUE, state TEXT NOT NULL,
       rows INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, since REAL NOT NULL,
       until REAL NOT NULL, first_id TEXT NOT NULL, last_id TEXT NOT NULL, bytes INTEGER NOT NULL,
       sha256 TEXT NOT NULL, kinds TEXT NOT NULL, shapes TEXT NOT NULL, counts TEXT NOT NULL, at REAL NOT NULL,
       changed_at REAL NOT NULL, why TEXT NOT NULL)""",
    """CREATE TABLE records_aside (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, kind INTEGER NOT NULL, at REAL NOT NULL,
       release TEXT NOT NULL, body BLOB NOT NULL, reason TEXT NOT NULL)""",
    """CREATE TABLE gaps (seq INTEGER PRIMARY KEY, since REAL NOT NULL, until REAL NOT NULL, rows INTEGER NOT NULL,
       reason TEXT NOT NULL)""",
)

ROW_GROUP = 20_000

# live: counts. corrupt: its bytes are no longer those that were written. removed: its time was over.
State = Literal["live", "corrupt", "removed"]


class CorruptSegment(StoreError):
    """A segment whose bytes are no longer those that were written; the message names the file."""

    def __init__(self, message: str, number: int = 0) -> None:
        super().__init__(message)
        self.number = number


class Segment(Struct, frozen=True):
    """What is known of a file of `rows` records with `since` <= at <= `until`.

    `last_seq` is the position up to which the log was sealed with it. `counts` are the rows by release and kind.
    """

    number: int
    file: str
    state: State
    rows: int
    first_seq: int
    last_seq: int
    since: float
    until: float
    first_id: str
    last_id: str
    bytes: int
    sha256: str
    kinds: dict[str, Kind]
    shapes: tuple[Shape, ...]
    counts: tuple[tuple[str, int, int], ...]
    at: float
    changed_at: float
    why: str = ""


_FIELDS = [field.name for field in msgspec.structs.fields(Segment)]
_JSON = {"kinds", "shapes", "counts"}
_ROW = f"({', '.join(_FIELDS)}) VALUES ({', '.join(['?'] * len(_FIELDS))})"


def polars_or_say_so() -> None:
    """Raises MissingExtra where polars is not installed."""
    try:
        import polars  # noqa: F401
    except ImportError as gone:
        raise MissingExtra("reading and sealing segments of the record log", "polars", "data") from gone


class Segments:
    """The segments of one record log; what it learnt of one it keeps, because a segment never changes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._known: dict[int, Segment] = {}
        self._indexes: dict[int, IdIndex] = {}

    def path(self, segment: Segment) -> Path:
        """Where its file is."""
        return self.directory / segment.file

    def mark(self, connection: sqlite3.Connection) -> int:
        """The position up to which all rows are sealed, 0 where nothing is."""
        return int(connection.execute("SELECT coalesce(max(last_seq), 0) FROM segments").fetchone()[0])

    def all(self, connection: sqlite3.Connection) -> list[Segment]:
        """Every segment that there was, in the order of sealing."""
        found = []
        for number, state, changed_at in connection.execute("SELECT number, state, changed_at FROM segments"):
            known = self._known.get(number)
            if known is None or (known.state, known.changed_at) != (state, changed_at):
                known = self._known[number] = _read(connection, number)
            found.append(known)
        return found

    def among(
        self,
        connection: sqlite3.Connection,
        states: Sequence[State] = ("live",),
        since: float | None = None,
        until: float | None = None,
        after: int | None = None,
        upto: int | None = None,
    ) -> list[Segment]:
        """The segments that may hold rows with `since` <= at < `until` which came after a position, up to another."""
        return [
            segment
            for segment in self.all(connection)
            if segment.state in states
            and (since is None or segment.until >= since)
            and (until is None or segment.since < until)
            and (after is None or segment.last_seq > after)
            and (upto is None or segment.first_seq <= upto)
        ]

    def frame(self, segment: Segment) -> pl.LazyFrame:
        """The columns of a segment. Raises CorruptSegment where the file is gone or has another length."""
        polars_or_say_so()
        import polars as pl

        path = self.path(segment)
        try:
            size = path.stat().st_size
        except OSError as error:
            raise CorruptSegment(f"segment `{path}` cannot be read: {error}; {_STEP}", segment.number) from error
        if size != segment.bytes:
            said = f"segment `{path}` has {size:,} bytes, it was sealed with {segment.bytes:,}; {_STEP}"
            raise CorruptSegment(said, segment.number)
        return pl.scan_parquet(path, glob=False, low_memory=False)

    def rows_of(self, segment: Segment, ids: Sequence[str]) -> Any:
        """The numbers of the rows that may have one of the ids; two ids may share a hash."""
        return self.index(segment).rows(hashes(ids))

    def index(self, segment: Segment) -> IdIndex:
        """The index of its ids, made again where it is gone or torn."""
        found = self._indexes.get(segment.number)
        if found is None:
            path = self.directory / f"{segment.file}.ids"
            try:
                found = IdIndex(path)
            except (OSError, ValueError):
                self.write_index(segment)
                found = IdIndex(path)
            self._indexes[segment.number] = found
        return found

    def write_index(self, segment: Segment) -> None:
        """Make the index of its ids from the segment itself."""
        ids = self.frame(segment).select("id").collect()["id"].to_list()
        aside = self.directory / f"{segment.file}.ids.{os.getpid()}.tmp"
        write_index(aside, ids)
        aside.replace(self.directory / f"{segment.file}.ids")
        self._indexes.pop(segment.number, None)

    def check(self, segment: Segment) -> None:
        """Read the whole file. Raises CorruptSegment where its bytes are not those that were written."""
        self.frame(segment)
        now = digest(self.path(segment))
        if now != segment.sha256:
            said = f"segment `{self.path(segment)}` is damaged: its SHA-256 is now {now}; {_STEP}"
            raise CorruptSegment(said, segment.number)


_STEP = "restore it from a backup and run the check again; all other segments are still read"


def write_segment(directory: Path, name: str, frame: pl.DataFrame, shapes: Sequence[Shape]) -> tuple[int, str]:
    """Write a file and its index aside, look whether it reads back as it is, and give both their names.

    Returns its length and SHA-256. The folder is synced; the segment counts once `add` has committed its row.
    """
    import polars as pl

    directory.mkdir(exist_ok=True)
    aside = directory / f"{name}.tmp"
    frame.write_parquet(
        aside, compression="zstd", row_group_size=ROW_GROUP, metadata={"shapes": msgspec.json.encode(shapes).decode()}
    )
    sync(aside)
    if not pl.read_parquet(aside, glob=False).equals(frame):
        raise CorruptSegment(f"`{aside}` does not read back as it was written: look at the disk; no record is lost")
    size, sha256 = aside.stat().st_size, digest(aside)
    write_index(directory / f"{name}.ids.tmp", frame["id"].to_list())
    (directory / f"{name}.ids.tmp").replace(directory / f"{name}.ids")
    aside.replace(directory / name)
    sync(directory)
    return size, sha256


def describe(
    frame: pl.DataFrame, name: str, first_seq: int, last_seq: int, kinds: dict[str, Kind], shapes: tuple[Shape, ...]
) -> Segment:
    """What the table will say of a frame of rows, but for the bytes that it became."""
    import polars as pl

    times, ids = frame["at"], frame["id"]
    by = frame.group_by("release", "arm", pl.col("error").is_not_null().alias("failed")).len()
    counts = tuple((release, KINDS[arm, failed], n) for release, arm, failed, n in by.sort("release").iter_rows())
    span = {"since": times.min(), "until": times.max(), "first_id": ids.min(), "last_id": ids.max()}
    held = {"number": first_seq, "file": name, "state": "live", "rows": frame.height, "bytes": 0, "sha256": ""}
    seqs = {"first_seq": first_seq, "last_seq": last_seq, "at": 0.0, "changed_at": 0.0}
    return msgspec.convert({**held, **span, **seqs, "kinds": kinds, "shapes": shapes, "counts": counts}, Segment)


def add(connection: sqlite3.Connection, segment: Segment) -> None:
    """Add the row of a segment, inside a transaction."""
    held = msgspec.structs.asdict(segment)
    values = [msgspec.json.encode(held[f]).decode() if f in _JSON else held[f] for f in _FIELDS]
    connection.execute(f"INSERT INTO segments {_ROW}", values)


def change(connection: sqlite3.Connection, number: int, state: State, now: float, why: str, was: State) -> bool:
    """Write down that a segment counts no more, or again; False where its state was another one meanwhile."""
    sql = "UPDATE segments SET state = ?, changed_at = ?, why = ? WHERE number = ? AND state = ?"
    return connection.execute(sql, (state, now, why, number, was)).rowcount == 1


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Have the disk keep a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(connection: sqlite3.Connection, number: int) -> Segment:
    row = connection.execute(f"SELECT {', '.join(_FIELDS)} FROM segments WHERE number = ?", (number,)).fetchone()
    held = dict(zip(_FIELDS, row, strict=True))
    return msgspec.convert({f: msgspec.json.decode(v) if f in _JSON else v for f, v in held.items()}, Segment)
