"""Reads the sealed part of a record log: what a reader wants of its segments, and which hot rows are doubles of it.

A segment that is damaged is left out and told; whoever reads puts it in quarantine, with a warning that names it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from roadworthy.core.record import Record
from roadworthy.store.columns import records_of
from roadworthy.store.files import StoreError
from roadworthy.store.id_index import hashes
from roadworthy.store.rows import ARMS, KINDS
from roadworthy.store.segments import CorruptSegment, Segment, Segments, polars_or_say_so
from roadworthy.store.wanted import Wanted

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger(__name__)

# So many rows of one id are looked up one by one; more are found by going through the segment.
_ONE_BY_ONE = 8


class Past(Struct, frozen=True):
    """What one look at the log found: rows up to `mark` lie in segments, and so do the hot `doubles` (by seq).

    `segments` may hold what is wanted, `damaged` might have, and `faults` is for what shows itself while reading.
    """

    mark: int = 0
    segments: Sequence[Segment] = ()
    damaged: Sequence[Segment] = ()
    doubles: Sequence[int] = ()
    faults: list[CorruptSegment] = []


class Sealed:
    """The sealed part of one log, as one process sees it."""

    def __init__(self, segments: Segments) -> None:
        self.segments = segments
        self._alone = threading.Lock()
        self._checked = 0
        self._live: frozenset[int] = frozenset()
        self._doubles: set[int] = set()

    def look(self, connection: sqlite3.Connection, wanted: Wanted) -> Past:
        """The segments that may hold what is wanted, in the caller's transaction."""
        mark = self.segments.mark(connection)
        if not mark:
            return Past()
        span = wanted.since, wanted.until, wanted.after, wanted.upto
        live = self.segments.among(connection, ("live",), *span)
        damaged = self.segments.among(connection, ("corrupt",), *span)
        return Past(mark, live, damaged, self._hot_doubles(connection, mark))

    def records(self, past: Past, wanted: Wanted) -> list[tuple[float, int, Record]]:
        """The sealed records that are wanted, each with its `at` and `seq`, without their labels."""
        frames = self._frames(past, wanted)
        return [found for segment, frame in frames for found in records_of(frame, segment.shapes)]

    def count(self, past: Past, wanted: Wanted) -> int:
        """How many sealed records are wanted; a segment that lies wholly in the span is not even opened."""
        n, opened = 0, []
        for segment in past.segments:
            if _covered(segment, wanted):
                n += sum(k for release, kind, k in segment.counts if _counted(wanted, release, kind))
            else:
                opened.append(segment)
        frames = self._frames(replace(past, segments=opened), wanted, ["seq"])
        return n + sum(frame.height for _, frame in frames)

    def known(self, connection: sqlite3.Connection, ids: Sequence[str]) -> set[str]:
        """Which of the ids are sealed; those of a damaged segment too, as long as its index is there."""
        import numpy as np

        sealed = self.segments.among(connection, ("live", "corrupt"))
        if not ids or not sealed:
            return set()
        wanted = hashes(ids)
        found = np.zeros(len(wanted), bool)
        for segment in sealed:
            try:
                found |= self.segments.index(segment).holds(wanted)
            except CorruptSegment as fault:
                logger.warning("ids of a damaged segment are not known: %s", fault)
        return {id for id, there in zip(ids, found.tolist(), strict=True) if there}

    def _frames(
        self, past: Past, wanted: Wanted, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[Segment, pl.DataFrame]]:
        for segment in past.segments:
            try:
                frame = read(self.segments, segment, wanted, columns)
            except CorruptSegment as fault:
                past.faults.append(fault)
            else:
                if frame is not None:
                    yield segment, frame

    def _hot_doubles(self, connection: sqlite3.Connection, mark: int) -> list[int]:
        """The hot rows whose (id, kind) is sealed already; each row is looked at once in the life of this object.

        A row that was no double cannot become one: what is sealed later lay beside it, under a unique index.
        """
        live = self.segments.among(connection)
        with self._alone:
            numbers = frozenset(segment.number for segment in live)
            if not self._live <= numbers:  # one was removed or damaged: its doubles are the only ones left
                self._checked, self._doubles = 0, set()
            self._live = numbers
            newest = int(connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()[0])
            if live and newest > max(self._checked, mark):
                sql = "SELECT seq, id, kind FROM records WHERE seq > ?"
                rows = connection.execute(sql, (max(self._checked, mark),)).fetchall()
                self._doubles.update(doubled(self.segments, live, rows))
            self._checked = max(self._checked, newest)
            return [seq for seq in self._doubles if seq > mark]


def doubled(segments: Segments, among: Sequence[Segment], rows: Sequence[tuple[int, str, int]]) -> set[int]:
    """The seqs of those rows (seq, id, kind) that lie in one of the segments."""
    first, last = min((s.first_id for s in among), default=""), max((s.last_id for s in among), default="")
    # Where ids come in the order of time, as ours do, none is left.
    rows = [row for row in rows if first <= row[1] <= last]
    if not rows:
        return set()
    wanted = hashes(id for _, id, _ in rows)
    found: set[int] = set()
    for segment in among:
        try:
            hits = segments.index(segment).holds(wanted).nonzero()[0].tolist()
            sealed = _pairs(segments, segment, {rows[k][1] for k in hits}) if hits else set()
        except CorruptSegment:
            continue  # whoever reads it will say so
        found.update(rows[k][0] for k in hits if rows[k][1:] in sealed)
    return found


def read(
    segments: Segments, segment: Segment, wanted: Wanted, columns: Sequence[str] | None = None
) -> pl.DataFrame | None:
    """The wanted rows of a segment. Raises CorruptSegment where it is damaged."""
    rows = None if wanted.ids is None else segments.rows_of(segment, list(wanted.ids)).tolist()
    if rows == []:
        return None
    lazy = segments.frame(segment)
    if rows is not None and len(rows) <= _ONE_BY_ONE:
        parts = [lazy.slice(row, 1).filter(*wanted.mask()) for row in rows]
    else:
        parts = [lazy.filter(*wanted.mask()) if wanted.mask() else lazy]
    return collect(segments, segment, [part.select(columns) if columns else part for part in parts])


def collect(segments: Segments, segment: Segment, parts: Sequence[pl.LazyFrame]) -> pl.DataFrame:
    """Have polars read. Where it cannot, the segment is looked at: damage is told as such."""
    polars_or_say_so()
    import polars as pl
    from polars.exceptions import PanicException, PolarsError

    try:
        return pl.concat([part.collect() for part in parts])
    except (PolarsError, PanicException, OSError) as error:
        segments.check(segment)
        path = segments.path(segment)
        raise StoreError(f"segment `{path}` is whole, but polars does not read it: {error}; upgrade polars") from error


def _pairs(segments: Segments, segment: Segment, ids: set[str]) -> set[tuple[str, int]]:
    """The (id, kind) of a segment's rows with one of the ids."""
    frame = read(segments, segment, Wanted(ids=ids), ["id", "arm", "error"])
    return set() if frame is None else {(id, KINDS[arm, error is not None]) for id, arm, error in frame.iter_rows()}


def _covered(segment: Segment, wanted: Wanted) -> bool:
    """Does its row in the table say how many of its records are wanted?"""
    early = wanted.since is None or segment.since >= wanted.since
    late = wanted.until is None or segment.until < wanted.until
    new = wanted.after is None or segment.first_seq > wanted.after
    old = wanted.upto is None or segment.last_seq <= wanted.upto
    return early and late and new and old and wanted.ids is None


def _counted(wanted: Wanted, release: str, kind: int) -> bool:
    of_release = wanted.release is None or release == wanted.release
    return of_release and (wanted.arms is None or ARMS[kind // 2] in wanted.arms)
