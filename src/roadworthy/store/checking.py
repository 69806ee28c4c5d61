"""Reads every segment of a record log and compares it with what was sealed; what is damaged goes into quarantine."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

from msgspec import Struct

from roadworthy.store import segments as of_segments
from roadworthy.store.rows import KINDS
from roadworthy.store.sealed import collect, doubled
from roadworthy.store.segments import CorruptSegment, Segment, Segments

if TYPE_CHECKING:
    from roadworthy.store.records import RecordLog

logger = logging.getLogger(__name__)


class CheckReport(Struct, frozen=True):
    """What a check found: `damaged` segments, each in a sentence, with `lost` records that are not read.

    `healed` are files that are whole again and are read from now on, `indexed` got a new index, and `strays` are
    Parquet files in the folder that no sealing vouches for.
    """

    segments: int = 0
    rows: int = 0
    damaged: tuple[str, ...] = ()
    lost: int = 0
    healed: tuple[str, ...] = ()
    indexed: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()


def verify(log: RecordLog, now: float) -> CheckReport:
    """Check every segment; a second at a gigabyte. One that was restored from a backup is taken up again."""
    segments = log.sealed.segments
    found = [segment for segment in log.segments() if segment.state != "removed"]
    damaged: dict[str, str] = {}
    healed, indexed = [], []
    for segment in found:
        try:
            segments.check(segment)
            indexed += [segment.file] if _index_again(segments, segment) else []
        except CorruptSegment as fault:
            damaged[segment.file] = str(fault)
            _mark(log, segment, now, str(fault))
        else:
            if segment.state == "corrupt":
                why = _heal(log, segment, now)
                healed += [] if why else [segment.file]
                damaged.update({segment.file: why} if why else {})
    lost = sum(segment.rows for segment in found if segment.file in damaged)
    strays = tuple(
        sorted({path.name for path in segments.directory.glob("*.parquet")} - {s.file for s in log.segments()})
    )
    rows = sum(segment.rows for segment in found)
    return CheckReport(len(found), rows, tuple(damaged.values()), lost, tuple(healed), tuple(indexed), strays)


def _index_again(segments: Segments, segment: Segment) -> bool:
    if segments.index(segment).whole():
        return False
    segments.write_index(segment)
    return True


def _mark(log: RecordLog, segment: Segment, now: float, why: str) -> None:
    with log.connection() as connection:
        if of_segments.change(connection, segment.number, "corrupt", now, why, was="live"):
            logger.warning("put in quarantine, its records are not read: %s", why)


def _heal(log: RecordLog, segment: Segment, now: float) -> str:
    """Take a segment up again; or why not: its records may have been asked for, and recorded, once more meanwhile."""
    segments = log.sealed.segments
    rows = _keys(segments, segment)
    with log.connection() as connection:
        connection.execute("BEGIN IMMEDIATE")  # so that nobody records one of them at this moment
        twice = len(doubled(segments, segments.among(connection), rows)) + _hot(connection, segments, rows)
        if not twice:
            of_segments.change(connection, segment.number, "live", now, "", was="corrupt")
        connection.execute("COMMIT")
    path = segments.path(segment)
    again = f"segment `{path}` is whole again, but {twice} of its records were recorded anew; it stays aside"
    return again if twice else ""


def _keys(segments: Segments, segment: Segment) -> list[tuple[int, str, int]]:
    frame = collect(segments, segment, [segments.frame(segment).select("seq", "id", "arm", "error")])
    return [(seq, id, KINDS[arm, error is not None]) for seq, id, arm, error in frame.iter_rows()]


def _hot(connection: sqlite3.Connection, segments: Segments, rows: list[tuple[int, str, int]]) -> int:
    """How many of the rows stand among the hot ones too."""
    sealed = {row[1:] for row in rows}
    mark = segments.mark(connection)
    hot = connection.execute("SELECT id, kind FROM records WHERE seq > ?", (mark,))
    return sum(pair in sealed for pair in hot)
