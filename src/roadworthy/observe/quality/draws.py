"""Draws the predictions that a person is to label, by chance and without memory, and keeps with what chance."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite

from roadworthy.core.record import Record
from roadworthy.observe.alerts import DAY
from roadworthy.observe.watch import ANSWERING
from roadworthy.store.state import State

if TYPE_CHECKING:
    from sqlalchemy import Connection

BOOKMARK = "audit"
# Rows that a database takes at once: PostgreSQL allows 65,535 values in a statement.
_CHUNK = 5_000


@dataclass(frozen=True)
class Draw:
    """Draws a `share` of the predictions by a hash of id and `salt`, on which every process agrees without state.

    With `tilt` above 0 unsure predictions are drawn more often and sure ones less, in proportion to the spread of a
    label under the stated confidence (active inference: Zrnic & Candes 2024), down to `1 - tilt` of the share. Labels
    of unequal chance make a wider interval until there are hundreds of them, so the default is 0. Keep the salt to
    yourself where callers choose the ids: who knows it can tell which prediction will be looked at.
    """

    share: float
    salt: str
    tilt: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"`share` of an audit must be between 0 and 1, got {self.share!r}")
        if not 0 <= self.tilt < 1:
            raise ValueError(f"`tilt` must be at least 0 and below 1, got {self.tilt!r}: a sure row needs a chance too")

    def place(self, id: str) -> float:
        """Where the id stands in a random order of all ids, 0 to 1: those before the share are drawn."""
        found = hashlib.blake2b(f"{self.salt}\0{id}".encode(), digest_size=8)
        return int.from_bytes(found.digest(), "big") / 2**64

    def chance(self, confidence: float | None = None) -> float:
        """The probability with which a prediction of this confidence is drawn."""
        if not self.tilt or confidence is None or math.isnan(confidence):
            return self.share
        spread = 2 * math.sqrt(max(0.0, confidence * (1 - confidence)))
        return min(1.0, self.share * (1 - self.tilt + 2 * self.tilt * spread))

    def drawn(self, id: str, confidence: float | None = None) -> bool:
        """Is this prediction one to label? A greater share draws the same ones, and more."""
        return self.place(id) < self.chance(confidence)


def collect(state: State, draw: Draw, now: float, first_days: float = 1.0) -> int:
    """Keep what is drawn of the records that came since the last call; returns how many were drawn.

    Meant to be called every minute or so by one process, off the path of the requests. The first call begins
    `first_days` before `now`. Doing it twice keeps nothing twice.
    """
    bookmarks = state.tables["bookmarks"]
    with state.engine.execution_options(reading=True).connect() as connection:
        before = connection.execute(select(bookmarks.c.position).where(bookmarks.c.name == BOOKMARK)).scalar()
    position = state.records.position()
    if before == position:
        return 0
    since = now - first_days * DAY if before is None else None
    records = [
        r for r in state.records.read(since, arms=ANSWERING, after=before or 0, upto=position) if r.error is None
    ]
    drawn = [record for record in records if draw.drawn(record.id, record.confidence)]
    with state.engine.begin() as connection:
        _keep(connection, state.tables["audits"], drawn, draw)
        row = {"name": BOOKMARK, "position": position, "at": now}
        _upsert(connection, bookmarks, [row], ("position", "at"))
    return len(drawn)


def chances(state: State, since: float, until: float) -> dict[str, float]:
    """The ids that were drawn of the predictions with `since` <= at < `until`, and with what chance each."""
    audits = state.tables["audits"]
    rows = select(audits.c.id, audits.c.chance).where(audits.c.at >= since, audits.c.at < until)
    with state.engine.execution_options(reading=True).connect() as connection:
        return {row.id: row.chance for row in connection.execute(rows)}


def waiting(state: State, since: float, until: float) -> list[Record]:
    """The drawn predictions that nobody has labelled yet, oldest first: what a person is to look at."""
    ids = list(chances(state, since, until))
    records = state.records.read(ids=ids, arms=ANSWERING) if ids else []
    return [record for record in records if record.label is None and record.error is None]


def _keep(connection: Connection, audits: Table, drawn: Sequence[Record], draw: Draw) -> None:
    rows = [
        {"id": r.id, "release": r.release, "at": r.at, "chance": draw.chance(r.confidence)}
        for r in {record.id: record for record in drawn}.values()
    ]
    for start in range(0, len(rows), _CHUNK):
        _upsert(connection, audits, rows[start : start + _CHUNK], ())


def _upsert(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, object]], update: tuple[str, ...]
) -> None:
    """Insert rows; of those that are there already the columns `update` are set, and with none nothing changes."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(list(rows))
    keys = [column.name for column in table.primary_key]
    if update:
        changed = {name: statement.excluded[name] for name in update}
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))
    else:
        connection.execute(statement.on_conflict_do_nothing(index_elements=keys))
