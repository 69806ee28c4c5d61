"""Keeps the rollups up to date with the record log: each record is counted once, whatever dies in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from roadworthy.core.record import Record
from roadworthy.observe.counts.counting import Known, count
from roadworthy.observe.counts.tally import HOUR, MINUTE, MINUTES_AN_HOUR, Cell, Tally
from roadworthy.store.state import State

BOOKMARK, COMPACTED = "rollups", "rollups.compacted"
# What is older than this stands in hours.
MINUTES_DAYS = 2.0
_KEY = ("minute", "release", "arm", "tag", "value")
_AT_ONCE = 500
# Records that are in memory at a time: a log of years is counted too.
MOST_ROWS = 100_000


def roll_up(state: State, now: float, most_values: int = 50, most_rows: int = MOST_ROWS) -> int:
    """Count the records that came into the log since the last time; how many there were.

    A row is counted in the minute of its `at`, or in the hour where that was compacted, or would be next: a log of
    months that nobody has counted is not cut into minutes first. The counts and the bookmark are one transaction: a
    process that dies leaves both or neither, and of two processes that do this at once one does nothing. A tag has at
    most `most_values` values an hour that are counted by themselves. At most `most_rows` are in memory at a time.
    """
    total = 0
    while True:
        # In this order: a bookmark is never ahead of the log that it was made in.
        start, newest = _bookmark(state, BOOKMARK), state.records.position()
        # A log that ends before the bookmark is another log: the old one was lost, or moved away.
        end = min(newest, start + most_rows) if newest >= start else newest
        counted = _roll_up_to(state, start, end, now, most_values) if end != start else None
        total += counted or 0
        if counted is None or end == newest:
            return total


def _roll_up_to(state: State, start: int, end: int, now: float, most_values: int) -> int | None:
    """Count up to a position; None where another process did meanwhile."""
    rows = state.records.read(after=start if end > start else 0, upto=end)
    tallies = count(rows, Known(_known(state, rows), most_values), _hours_before(now, MINUTES_DAYS))
    with state.engine.begin() as connection:
        if not _move(state, connection, BOOKMARK, start, end, now):
            return None
        _add(state, connection, tallies)
    return len(rows)


def compact(state: State, now: float, minutes_days: float = MINUTES_DAYS, keep_days: float = 400.0) -> int:
    """Make hours of the minutes that are older than `minutes_days`; how many rows that saved.

    Percentiles of an hour stay as exact as those of a minute. What is older than `keep_days` goes. It works once an
    hour, and does nothing in between.
    """
    hour, done = int(now // HOUR), _bookmark(state, COMPACTED)
    if hour == done:
        return 0
    table = state.tables["rollups"]
    before = _hours_before(now, minutes_days)
    with state.engine.begin() as connection:
        if not _move(state, connection, COMPACTED, done, hour, now):
            return 0
        connection.execute(delete(table).where(table.c.minute < int((now - keep_days * 86_400) // MINUTE)))
        old = select(table.c.minute).where(table.c.minute < before, table.c.minute % MINUTES_AN_HOUR != 0).distinct()
        hours = sorted({minute // MINUTES_AN_HOUR for minute in connection.execute(old).scalars()})
    return sum(_compact_hour(state, each * MINUTES_AN_HOUR) for each in hours)


def _hours_before(now: float, minutes_days: float) -> int:
    """The minute before which counts stand in hours, in which an hour begins."""
    return (int(now // HOUR) * HOUR - int(minutes_days * 86_400)) // HOUR * MINUTES_AN_HOUR


def _compact_hour(state: State, minute: int) -> int:
    """One transaction an hour: a great backlog holds nobody up."""
    table = state.tables["rollups"]
    inside = (table.c.minute >= minute, table.c.minute < minute + MINUTES_AN_HOUR)
    with state.engine.begin() as connection:
        found = connection.execute(select(table).where(*inside)).all()
        hours: dict[Cell, Tally] = {}
        for row in found:
            cell = Cell(minute, row.release, row.arm, row.tag, row.value)
            whole = hours.get(cell, Tally(HOUR))
            hours[cell] = whole.merge(Tally.from_bytes(row.body))
        connection.execute(delete(table).where(*inside))
        _insert(state, connection, hours)
    return len(found) - len(hours)


def _known(state: State, rows: Sequence[Record]) -> dict[str, set[str]]:
    """The values that each tag had in the hour before, as the rollups have it."""
    if not any(record.tags for record in rows):
        return {}
    table = state.tables["rollups"]
    newest = int(max(record.at for record in rows) // MINUTE)
    chosen = select(table.c.tag, table.c.value).distinct()
    chosen = chosen.where(table.c.minute > newest - MINUTES_AN_HOUR, table.c.minute <= newest, table.c.tag != "")
    known: dict[str, set[str]] = {}
    with state.engine.execution_options(reading=True).connect() as connection:
        for tag, value in connection.execute(chosen):
            known.setdefault(tag, set()).add(value)
    return known


def _bookmark(state: State, name: str) -> int:
    table = state.tables["bookmarks"]
    with state.engine.execution_options(reading=True).connect() as connection:
        found = connection.execute(select(table.c.position).where(table.c.name == name)).scalar()
    return int(found or 0)


def _move(state: State, connection: Connection, name: str, old: int, new: int, now: float) -> bool:
    """Move a bookmark from where we saw it; False where somebody else did meanwhile."""
    table = state.tables["bookmarks"]
    there = connection.execute(select(table.c.position).where(table.c.name == name)).scalar()
    if there is None:
        try:
            with connection.begin_nested():
                connection.execute(insert(table).values(name=name, position=new, at=now))
        except IntegrityError:
            return False
        return True
    moved = update(table).where(table.c.name == name, table.c.position == old).values(position=new, at=now)
    return connection.execute(moved).rowcount == 1


def _add(state: State, connection: Connection, tallies: dict[Cell, Tally]) -> None:
    """Merge tallies into what is there."""
    there = {_cell(row): row.body for row in _rows(state, connection, {cell.minute for cell in tallies})}
    merged = {cell: Tally.from_bytes(there[cell]).merge(tally) for cell, tally in tallies.items() if cell in there}
    table = state.tables["rollups"]
    if merged:
        same = [table.c[name] == bindparam(f"the_{name}") for name in _KEY]
        changed = update(table).where(*same).values(body=bindparam("the_body"))
        given = [
            {**{f"the_{name}": part for name, part in cell._asdict().items()}, "the_body": tally.to_bytes()}
            for cell, tally in merged.items()
        ]
        connection.execute(changed, given)
    _insert(state, connection, {cell: tally for cell, tally in tallies.items() if cell not in there})


def _insert(state: State, connection: Connection, tallies: dict[Cell, Tally]) -> None:
    if tallies:
        rows = [{**cell._asdict(), "body": tally.to_bytes()} for cell, tally in tallies.items()]
        connection.execute(insert(state.tables["rollups"]), rows)


def _rows(state: State, connection: Connection, minutes: Iterable[int]) -> list[Row[tuple[object, ...]]]:
    table, wanted = state.tables["rollups"], sorted(minutes)
    found: list[Row[tuple[object, ...]]] = []
    for k in range(0, len(wanted), _AT_ONCE):
        found += connection.execute(select(table).where(table.c.minute.in_(wanted[k : k + _AT_ONCE]))).all()
    return found


def _cell(row: Row[tuple[object, ...]]) -> Cell:
    return Cell(row.minute, row.release, row.arm, row.tag, row.value)
