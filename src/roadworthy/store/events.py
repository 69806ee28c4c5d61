"""The event log: what changed and when (deploys, rollouts, alerts, retrainings). It is only ever added to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, field
from sqlalchemy import Connection, Engine, insert, select

from roadworthy.store.metadata import events


class Event(Struct, frozen=True):
    """Something that happened to `subject` (a deployment, a release, a detector) at `at` (Unix seconds)."""

    seq: int
    at: float
    kind: str
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)


def write_event(engine: Engine, at: float, kind: str, subject: str, data: Mapping[str, Any] | None = None) -> Event:
    """Add an event; `data` is anything that msgspec can write as JSON, Structs included."""
    with engine.begin() as connection:
        return put_event(connection, at, kind, subject, data)


def put_event(
    connection: Connection, at: float, kind: str, subject: str, data: Mapping[str, Any] | None = None
) -> Event:
    """Add an event in the transaction of what it tells of."""
    encoded = msgspec.json.encode(data or {}).decode()
    row = insert(events).values(at=at, kind=kind, subject=subject, data=encoded).returning(events.c.seq)
    seq = connection.execute(row).scalar_one()
    return Event(seq, at, kind, subject, msgspec.json.decode(encoded))


def read_events(
    engine: Engine,
    kind: str | None = None,
    subject: str | None = None,
    since: float | None = None,
    until: float | None = None,
) -> list[Event]:
    """The events with `since` <= at < `until`, in the order in which they were written."""
    clauses = [
        *([events.c.kind == kind] if kind is not None else []),
        *([events.c.subject == subject] if subject is not None else []),
        *([events.c.at >= since] if since is not None else []),
        *([events.c.at < until] if until is not None else []),
    ]
    chosen = select(events).where(*clauses).order_by(events.c.seq)
    with engine.execution_options(reading=True).connect() as connection:
        rows = connection.execute(chosen).all()
    return [Event(row.seq, row.at, row.kind, row.subject, msgspec.json.decode(row.data)) for row in rows]
