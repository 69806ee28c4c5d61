"""Moves records that are done with out of `records.db` into segments, while the server goes on writing.

A segment takes the rows up to a position, whatever their time. Its row in the table of segments is one short
transaction: with it they count in the segment and no longer where they were, from which they are swept bit by bit, so
that no request waits. A crash leaves a file that no row names; the next sealing writes that file anew.
"""

from __future__ import annotations

import fcntl
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from roadworthy.core.spec import Log
from roadworthy.store import labels
from roadworthy.store import segments as of_segments
from roadworthy.store.columns import CHUNK_ROWS, HotRow, Pack
from roadworthy.store.files import StoreError, connect, naming
from roadworthy.store.records import RecordLog
from roadworthy.store.sealed import doubled
from roadworthy.store.segments import Segment, Segments

# As many rows are columns in memory at a time: about 200 bytes each, and their bytes as they were.
MOST_ROWS = 250_000

# Rows swept in one transaction: 2 ms, for which the server's writer waits.
SWEPT_AT_ONCE = 500

DOUBLE = "its id is sealed already"


class SealReport(Struct, frozen=True):
    """What sealing did: `rows` lie in new `files` of `bytes`, `doubles` were put aside; or `why` nothing was done."""

    files: tuple[str, ...] = ()
    rows: int = 0
    bytes: int = 0
    doubles: int = 0
    why: str = ""


class _Batch(Struct, frozen=True):
    """Rows on their way into one segment: `last_seq` is the last that was looked at, `aside` are doubles."""

    pack: Pack
    last_seq: int
    aside: list[HotRow]
    rows: int


def seal(
    log: RecordLog,
    settings: Log,
    now: float,
    pause: Callable[[float], None] = time.sleep,
    at_once: bool = False,
    most_rows: int = MOST_ROWS,
) -> SealReport:
    """Seal what is older than `hot_minutes` where the settings say that it is time to (or `at_once`).

    Any process may do this, the server or another one; of two at a time one does. Raises StoreError where the disk
    refuses, and MissingExtra without polars: then nothing is sealed and nothing is lost.
    """
    of_segments.polars_or_say_so()
    with naming(log.path), _turn(log.sealed.segments.directory) as mine:
        if not mine:
            return SealReport(why="another process is sealing")
        connection = connect(log.path, "power")
        try:
            tidy(log.sealed.segments)
            last, why = _last(connection, log.sealed.segments, settings, now, at_once)
            made, doubles = _seal_up_to(connection, log.sealed.segments, last, now, most_rows)
        except OSError as error:
            raise StoreError(f"not sealed: {error}; free some space, all records are still in `{log.path}`") from error
        finally:
            connection.close()
        sweep(log, pause)
    rows, size = sum(segment.rows for segment in made), sum(segment.bytes for segment in made)
    return SealReport(tuple(segment.file for segment in made), rows, size, doubles, "" if made else why)


def sweep(log: RecordLog, pause: Callable[[float], None] = time.sleep) -> int:
    """Delete the rows that count in a segment, a few at a time, with as long a pause after each as it took."""
    connection, swept = connect(log.path, "process"), 0
    # The newest row stays: SQLite would use its number again, and every reader's position would be wrong.
    sql = """DELETE FROM records WHERE seq IN (SELECT seq FROM records WHERE seq <= ?
             AND seq < (SELECT max(seq) FROM records) ORDER BY seq LIMIT ?)"""
    try:
        mark = log.sealed.segments.mark(connection)
        while True:
            begun = time.perf_counter()
            n = connection.execute(sql, (mark, SWEPT_AT_ONCE)).rowcount
            swept += n
            if n < SWEPT_AT_ONCE:
                return swept
            pause(time.perf_counter() - begun)
    finally:
        connection.close()


def tidy(segments: Segments) -> None:
    """Remove what a crash left half written."""
    for pattern in ("*.parquet.tmp", "*.parquet.ids.tmp"):
        for leftover in segments.directory.glob(pattern):
            leftover.unlink(missing_ok=True)


@contextmanager
def _turn(directory: Path) -> Iterator[bool]:
    """Be the only one who seals; False while another process does."""
    directory.mkdir(exist_ok=True)
    with (directory / "seal.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _last(
    connection: sqlite3.Connection, segments: Segments, settings: Log, now: float, at_once: bool
) -> tuple[int, str]:
    """The position up to which to seal, or 0 and the reason why not to.

    It ends before the first row that is young. Rows from the future, which a clock that jumped back leaves behind, do
    not hold up the others: they are sealed with those around them.
    """
    mark, bound = segments.mark(connection), now - 60 * settings.hot_minutes
    sql = "SELECT count(*), min(at) FROM records WHERE at < ? AND +seq > ?"
    old, oldest = connection.execute(sql, (bound, mark)).fetchone()
    if not old:
        return 0, f"no record is older than {settings.hot_minutes:g} minutes"
    if not at_once and old < settings.seal_rows and now - oldest < 60 * settings.seal_minutes:
        return 0, f"{old:,} records are not {settings.seal_rows:,} yet, nor {settings.seal_minutes:g} minutes old"
    sql = "SELECT min(seq) FROM records WHERE at BETWEEN ? AND ? AND +seq > ?"
    young = connection.execute(sql, (bound, now, mark)).fetchone()[0]
    newest = connection.execute("SELECT max(seq) FROM records").fetchone()[0]
    last = newest if young is None else young - 1
    return (last, "") if last > mark else (0, f"{old:,} old records came after younger ones, and go with those")


def _seal_up_to(
    connection: sqlite3.Connection, segments: Segments, last: int, now: float, most: int
) -> tuple[list[Segment], int]:
    made: list[Segment] = []
    doubles = 0
    while (mark := segments.mark(connection)) < last:
        batch = _gather(connection, segments, mark, last, most)
        segment = _write(segments, batch, mark, now)
        _commit(connection, segment, batch.aside)
        doubles += len(batch.aside)
        made += [segment] if segment.rows else []
    return made, doubles


def _gather(connection: sqlite3.Connection, segments: Segments, mark: int, last: int, most: int) -> _Batch:
    """The next rows after the mark as columns, without those that are sealed already."""
    sql = """SELECT seq, records.id, kind, at, digest, body FROM records JOIN releases ON number = release
             WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"""
    cursor = connection.execute(sql, (mark, last, most))
    pack, rows, seen, newest, live = Pack(), 0, 0, last, segments.among(connection)
    aside: list[HotRow] = []
    while chunk := cursor.fetchmany(CHUNK_ROWS):
        doubles = doubled(segments, live, [row[:3] for row in chunk])
        aside += [row for row in chunk if row[0] in doubles]
        fresh = [row for row in chunk if row[0] not in doubles] if doubles else chunk
        if fresh:
            pack.add(fresh)
        rows, seen, newest = rows + len(fresh), seen + len(chunk), chunk[-1][0]
    return _Batch(pack, newest if seen == most else last, aside, rows)


def _write(segments: Segments, batch: _Batch, mark: int, now: float) -> Segment:
    """The segment of a batch, on the disk. One of doubles only has no file: it moves the mark."""
    first, name = mark + 1, f"{mark + 1:015d}.parquet"
    if not batch.rows:
        gone = "it held nothing but doubles"
        nothing = Segment(
            first, name, "removed", 0, first, batch.last_seq, now, now, "", "", 0, "", {}, (), (), now, now
        )
        return replace(nothing, why=gone)
    frame, shapes = batch.pack.frame(), tuple(batch.pack.shapes)
    size, sha256 = of_segments.write_segment(segments.directory, name, frame, shapes)
    made = of_segments.describe(frame, name, first, batch.last_seq, batch.pack.kinds, shapes)
    return replace(made, bytes=size, sha256=sha256, at=now, changed_at=now)


def _commit(connection: sqlite3.Connection, segment: Segment, aside: Sequence[HotRow]) -> None:
    """From here on the rows count in the segment. Labels that overtook them join now, while their ids are at hand."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        labels.adopt(connection)
        of_segments.add(connection, segment)
        values = [(id, kind, at, release, body, DOUBLE) for _, id, kind, at, release, body in aside]
        sql = "INSERT INTO records_aside (id, kind, at, release, body, reason) VALUES (?, ?, ?, ?, ?, ?)"
        connection.executemany(sql, values)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
