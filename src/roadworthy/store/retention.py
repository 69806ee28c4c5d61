"""Removes records whose time is over, unless a legal hold touches them; every removal and every hold is an event."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Engine, insert, select, update

from roadworthy.core.errors import BadData, Missing
from roadworthy.core.spec import Log
from roadworthy.store import segments as of_segments
from roadworthy.store.events import write_event
from roadworthy.store.metadata import metadata
from roadworthy.store.records import RecordLog
from roadworthy.store.sealed import collect
from roadworthy.store.sealing import sweep
from roadworthy.store.segments import CorruptSegment, Segment

logger = logging.getLogger(__name__)

DAY = 86400.0

# A lazy frame may still open a segment that was removed for so long.
GRACE_SECONDS = 600.0

# Rows removed in one transaction: 2 ms, for which the server's writer waits.
_AT_ONCE = 500

_holds = metadata.tables["holds"]


class Hold(Struct, frozen=True):
    """Records with `since` <= at < `until` are not removed until the hold is lifted (None: it stands)."""

    seq: int
    since: float
    until: float
    at: float
    by: str
    why: str
    lifted_at: float | None = None


class RetentionReport(Struct, frozen=True):
    """What retention removed: `rows` with their `labels`, of which some lay in `files`; `held` files had to stay."""

    files: tuple[str, ...] = ()
    rows: int = 0
    labels: int = 0
    held: tuple[str, ...] = ()


def hold(engine: Engine, since: float, until: float, by: str, why: str, now: float) -> Hold:
    """Keep the records of a stretch of time, whatever the retention says."""
    if not since < until:
        raise BadData(f"a hold needs `since` before `until`, got {since!r} and {until!r}")
    values = {"since": since, "until": until, "at": now, "by": by, "why": why}
    with engine.begin() as connection:
        seq = connection.execute(insert(_holds).values(**values).returning(_holds.c.seq)).scalar_one()
    write_event(engine, now, "hold", str(seq), values)
    return Hold(seq, since, until, now, by, why)


def lift(engine: Engine, seq: int, now: float) -> Hold:
    """End a hold. Raises Missing where none of that number stands."""
    mine = (_holds.c.seq == seq) & _holds.c.lifted_at.is_(None)
    with engine.begin() as connection:
        lifted = connection.execute(update(_holds).where(mine).values(lifted_at=now)).rowcount
    if not lifted:
        standing = ", ".join(str(hold.seq) for hold in holds(engine))
        raise Missing(f"no hold {seq!r} stands (standing: {standing or 'none'})")
    write_event(engine, now, "lift", str(seq))
    return next(hold for hold in holds(engine, lifted=True) if hold.seq == seq)


def holds(engine: Engine, lifted: bool = False) -> list[Hold]:
    """The holds that stand, and with `lifted` those that were lifted too, oldest first."""
    chosen = select(_holds).order_by(_holds.c.seq)
    with engine.execution_options(reading=True).connect() as connection:
        rows = connection.execute(chosen if lifted else chosen.where(_holds.c.lifted_at.is_(None))).all()
    return [Hold(r.seq, r.since, r.until, r.at, r.by, r.why, r.lifted_at) for r in rows]


def retain(
    log: RecordLog, engine: Engine, settings: Log, now: float, pause: Callable[[float], None] = time.sleep
) -> RetentionReport:
    """Remove segments of which every row is older than `keep_days`, and hot rows that are; 0 days keep all.

    A hold that touches a segment keeps the whole of it. Files go ten minutes after their records do.
    """
    if settings.keep_days <= 0:
        return RetentionReport()
    before = now - settings.keep_days * DAY
    sweep(log, pause)
    gone, held, spans = _remove_segments(log, engine, before, now)
    hot, labels = _remove_hot(log, before, spans, pause)
    labels += sum(_remove_labels(log, _ids(log, segment), pause) for segment in _removed_files(log))
    _unlink(log, now)
    files = tuple(segment.file for segment in gone)
    report = RetentionReport(files, sum(segment.rows for segment in gone) + hot, labels, held)
    if report.rows:
        write_event(engine, now, "retention", "records", {**msgspec.structs.asdict(report), "before": before})
    return report


_Span = tuple[float, float]


def _remove_segments(
    log: RecordLog, engine: Engine, before: float, now: float
) -> tuple[list[Segment], tuple[str, ...], list[_Span]]:
    """The segments that were removed, the files that a hold kept, and the spans of the holds.

    The lock on the metadata keeps anybody from holding what is being removed at that moment.
    """
    gone, held = [], []
    with engine.begin() as locked:
        standing = locked.execute(select(_holds.c.since, _holds.c.until).where(_holds.c.lifted_at.is_(None))).all()
        spans = [(row.since, row.until) for row in standing]
        for segment in log.segments():
            if segment.state == "removed" or segment.until >= before:
                continue
            if any(since <= segment.until and segment.since < until for since, until in spans):
                held.append(segment.file)
                continue
            with log.connection() as connection:
                why = f"every record is from before {before:.0f}"
                if of_segments.change(connection, segment.number, "removed", now, why, was=segment.state):
                    gone.append(segment)
    return gone, tuple(held), spans


def _remove_hot(
    log: RecordLog, before: float, spans: Sequence[_Span], pause: Callable[[float], None]
) -> tuple[int, int]:
    """Remove the old rows that were not sealed yet; how many, and how many labels with them."""
    free = "".join(" AND NOT (at >= ? AND at < ?)" for _ in spans)
    given: list[Any] = [before, *(edge for span in spans for edge in span)]
    rows = labels = 0
    with log.connection() as connection:
        mark = log.sealed.segments.mark(connection)
        newest = connection.execute("SELECT max(seq) FROM records").fetchone()[0]
        old = connection.execute(f"SELECT seq, id FROM records WHERE at < ? AND +kind >= 0{free}", given).fetchall()
    for start in range(0, len(old), _AT_ONCE):
        begun, some = time.perf_counter(), old[start : start + _AT_ONCE]
        with log.connection() as connection:
            _erase(connection, [seq for seq, _ in some], newest)
        rows += sum(seq > mark for seq, _ in some)
        labels += _remove_labels(log, [id for _, id in some], pause)
        pause(time.perf_counter() - begun)
    return rows, labels


def _erase(connection: sqlite3.Connection, seqs: Sequence[int], newest: int) -> None:
    """The newest row stays without its content: SQLite would use its number again."""
    connection.execute("BEGIN IMMEDIATE")
    given = (msgspec.json.encode([seq for seq in seqs if seq != newest]).decode(),)
    connection.execute("DELETE FROM records WHERE seq IN (SELECT value FROM json_each(?))", given)
    if newest in seqs:
        sql = "UPDATE records SET id = '', kind = -1, at = 1.7e308, release = 0, body = x'' WHERE seq = ?"
        connection.execute("DELETE FROM records WHERE kind = -1 AND seq != ?", (newest,))
        connection.execute(sql, (newest,))
    connection.execute("COMMIT")


def _removed_files(log: RecordLog) -> list[Segment]:
    """The removed segments whose files are still there."""
    segments = log.sealed.segments
    return [s for s in log.segments() if s.state == "removed" and segments.path(s).exists()]


def _ids(log: RecordLog, segment: Segment) -> list[str]:
    """The ids of a segment; none where it is damaged, so that its labels stay."""
    segments = log.sealed.segments
    try:
        ids: list[str] = collect(segments, segment, [segments.frame(segment).select("id")])["id"].to_list()
    except CorruptSegment as fault:
        logger.warning("the labels of a removed segment stay, its ids cannot be read: %s", fault)
        return []
    return ids


def _remove_labels(log: RecordLog, ids: Sequence[str], pause: Callable[[float], None]) -> int:
    """Remove the labels of ids that no record has any more, those that lie aside as well."""
    n = 0
    for start in range(0, len(ids), _AT_ONCE):
        begun = time.perf_counter()
        with log.connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            some = list(ids[start : start + _AT_ONCE])
            gone = set(some) - log.sealed.known(connection, some)
            given = (msgspec.json.encode(sorted(gone)).decode(),)
            for table in ("labels", "labels_aside"):
                sql = f"""DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(?))
                          AND id NOT IN (SELECT id FROM records)"""
                n += connection.execute(sql, given).rowcount
            connection.execute("COMMIT")
        if len(ids) > _AT_ONCE:
            pause(time.perf_counter() - begun)
    return n


def _unlink(log: RecordLog, now: float) -> None:
    for segment in _removed_files(log):
        if now - segment.changed_at >= GRACE_SECONDS:
            path = log.sealed.segments.path(segment)
            path.with_name(f"{path.name}.ids").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
