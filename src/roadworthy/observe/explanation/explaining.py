"""Explains a share of the predictions in the background, within a budget of CPU, and keeps what it finds.

It does not know how: whoever calls gives a function that attributes the answer of a record.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from roadworthy.core.errors import RoadworthyError
from roadworthy.core.measure import Measurement
from roadworthy.core.record import Record
from roadworthy.core.stats import proportion
from roadworthy.observe.explanation.attributions import Attribution
from roadworthy.store.bookmarks import Bookmark, move_bookmark, read_bookmark

if TYPE_CHECKING:
    from roadworthy.core.spec import Monitor
    from roadworthy.store.state import State

BOOKMARK = "explain"
# So much of the budget may be saved up while there is little to do.
MOST_SAVED_SECONDS = 3600.0

Attribute = Callable[[Record], Attribution]


class Explained(Struct, frozen=True):
    """What a turn did: of `drawn` records `kept` were explained, `skipped` did not fit into the budget."""

    drawn: int
    kept: int
    skipped: int
    failed: tuple[str, ...]
    cpu_seconds: float

    @property
    def share(self) -> Measurement:
        """The share of the drawn records that were explained."""
        return proportion("explained", self.kept, self.drawn)


def is_drawn(id: str, share: float) -> bool:
    """Is this prediction among the `share` that is explained? Every process gives the same answer."""
    return zlib.crc32(f"explain:{id}".encode()) < share * 2**32


def explain_share(
    state: State,
    monitor: Monitor,
    attribute: Attribute,
    now: float,
    cpu: Callable[[], float] = time.process_time,
) -> Explained:
    """One turn: the drawn records since the last one, for as long as the budget since then lasts.

    The budget is `explain_cpu_share` of the seconds since the last turn. What does not fit is skipped, not queued: a
    day of backlog would never be worked off. A record that cannot be explained is counted with the reason. The first
    turn begins with what comes from then on.
    """
    until = state.records.position()
    last = read_bookmark(state.engine, BOOKMARK) or Bookmark(until, now)
    records = state.records.read(after=last.position, upto=until) if until > last.position else []
    drawn = [r for r in records if r.error is None and r.arm != "shadow" and is_drawn(r.id, monitor.explain_share)]
    budget = monitor.explain_cpu_share * min(now - last.at, MOST_SAVED_SECONDS)
    began, kept, skipped, failed = cpu(), 0, 0, []
    for record in drawn:
        if cpu() - began >= budget:
            skipped += 1
            continue
        try:
            keep_attribution(state, record, attribute(record), now)
            kept += 1
        except RoadworthyError as refused:
            failed.append(f"{record.id}: {refused}")
    with state.engine.begin() as connection:
        move_bookmark(connection, BOOKMARK, until, now)
    return Explained(len(drawn), kept, skipped, tuple(failed), cpu() - began)


def keep_attribution(state: State, record: Record, attribution: Attribution, now: float) -> None:
    """Keep the attribution of a record's answer; the newest of several is the one that stays."""
    row = {"id": record.id, "release": record.release, "at": now, "body": msgspec.msgpack.encode(attribution)}
    table = state.tables["explanations"]
    with state.engine.begin() as connection:
        connection.execute(
            _insert(connection.dialect.name)(table)
            .values(**row)
            .on_conflict_do_update(index_elements=["id", "release"], set_={"at": now, "body": row["body"]})
        )


def attribution_of(state: State, record: Record) -> Attribution | None:
    """The attribution that is kept for a record's answer."""
    table = state.tables["explanations"]
    chosen = select(table.c.body).where(table.c.id == record.id, table.c.release == record.release)
    with state.engine.execution_options(reading=True).connect() as connection:
        body = connection.execute(chosen).scalar()
    return None if body is None else msgspec.msgpack.decode(body, type=Attribution)


def forget_attributions(state: State, before: float) -> int:
    """Remove what was explained before a time (Unix seconds); how many those were."""
    table = state.tables["explanations"]
    with state.engine.begin() as connection:
        return int(connection.execute(delete(table).where(table.c.at < before)).rowcount)


def _insert(dialect: str) -> Callable[..., sqlite.Insert] | Callable[..., postgresql.Insert]:
    """Both databases can insert or update in one statement, each with a word of its own."""
    return postgresql.insert if dialect == "postgresql" else sqlite.insert
