"""What came into a record log, in the order in which it came: records and labels, a batch at a time.

Labels have no order of their own in the log. Once they are to be shipped, a trigger notes the id of each as it comes,
in the transaction that writes it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence

from roadworthy.core.record import Label
from roadworthy.store.base import Arrival
from roadworthy.store.columns import records_of
from roadworthy.store.records import RecordLog
from roadworthy.store.rows import record_of
from roadworthy.store.sealed import Past, collect
from roadworthy.store.segments import CorruptSegment, Segment
from roadworthy.store.wanted import Wanted

log = logging.getLogger(__name__)

_NOTES = (
    "CREATE TABLE label_arrivals (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL)",
    "INSERT INTO label_arrivals (id) SELECT id FROM labels",
    "CREATE TRIGGER label_arrived AFTER INSERT ON labels BEGIN INSERT INTO label_arrivals (id) VALUES (new.id); END",
)

_LABELS = """SELECT seq, id, value, at, source FROM label_arrivals JOIN labels USING (id)
             WHERE seq > ? ORDER BY seq LIMIT ?"""


class Arrivals:
    """Reads a record log of this host, hot and sealed rows alike."""

    def __init__(self, records: RecordLog) -> None:
        self._log = records

    def records(self, after: int, most: int) -> Sequence[Arrival]:
        """The first `most` records that came after the position, without labels."""
        past, hot = self._look(after, most)
        found: list[Arrival] = []
        for segment in sorted(past.segments, key=lambda segment: segment.first_seq):
            if len(found) < most:
                found += self._sealed(segment, after, most - len(found))
        for segment in past.damaged:
            log.warning("segment %r is damaged: what of its %d rows was not shipped is not", segment.file, segment.rows)
        return (found + hot)[:most]

    def labels(self, after: int, most: int) -> Sequence[Arrival]:
        """The first `most` labels that came after the position; from the first call on, what comes is noted."""
        with self._log.connection() as connection:
            _take_notes(connection)
            rows = connection.execute(_LABELS, (after, most)).fetchall()
        return [Arrival(seq, Label(*row)) for seq, *row in rows]

    def behind(self, after: int, labels_after: int) -> int:
        """How many records and labels came after these positions."""
        with self._log.connection() as connection:
            _take_notes(connection)
            counted = connection.execute("SELECT count(*) FROM label_arrivals WHERE seq > ?", (labels_after,))
            labels = int(counted.fetchone()[0])
        return labels + self._log.count(after=after)

    def _look(self, after: int, most: int) -> tuple[Past, list[Arrival]]:
        """The segments that hold rows after the position, and the first hot ones, as they are at one moment."""
        wanted = Wanted(after=after)
        with self._log.connection() as connection:
            connection.execute("BEGIN")
            past = self._log.sealed.look(connection, wanted)
            where, given = wanted.where(past.mark, past.doubles)
            sql = f"""SELECT seq, id, kind, at, digest, body FROM records JOIN releases ON number = release{where}
                      ORDER BY seq LIMIT ?"""
            rows = connection.execute(sql, [*given, most]).fetchall()
            connection.execute("COMMIT")
        return past, [Arrival(seq, record_of(*row)) for seq, *row in rows]

    def _sealed(self, segment: Segment, after: int, most: int) -> list[Arrival]:
        import polars as pl

        segments = self._log.sealed.segments
        try:
            rows = segments.frame(segment).filter(pl.col("seq") > after)
            # Only the numbers of all rows are read, and the others of those that are shipped now.
            last = collect(segments, segment, [rows.select(pl.col("seq").bottom_k(most).max())]).item()
            if last is None:
                return []
            frame = collect(segments, segment, [rows.filter(pl.col("seq") <= last)])
        except CorruptSegment as fault:
            log.warning("what of this segment was not shipped is not: %s", fault)
            return []
        found = [Arrival(seq, record) for _, seq, record in records_of(frame, segment.shapes)]
        return sorted(found, key=lambda arrival: arrival.position)


def _take_notes(connection: sqlite3.Connection) -> None:
    known = "SELECT count(*) FROM sqlite_schema WHERE name = 'label_arrived'"
    if connection.execute(known).fetchone()[0]:
        return
    connection.execute("BEGIN IMMEDIATE")
    if not connection.execute(known).fetchone()[0]:
        for statement in _NOTES:
            connection.execute(statement)
    connection.execute("COMMIT")
