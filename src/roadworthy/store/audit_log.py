"""The audit log: who did what to which release or rollout, each entry chained to the one before by its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, field
from sqlalchemy import Connection, insert, select

from roadworthy.store.metadata import audit

# What the first entry is chained to.
BEGINNING = "0" * 64


class Entry(Struct, frozen=True):
    """At `at` (Unix seconds) `by` did `action` to `subject`; `hash` covers that and the hash before, `previous`."""

    seq: int
    at: float
    by: str
    action: str
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)
    previous: str = BEGINNING
    hash: str = ""


def audited(
    connection: Connection, at: float, by: str, action: str, subject: str, data: Mapping[str, Any] | None = None
) -> str:
    """Chain an entry to the log, in the transaction that does what it tells of; returns its hash.

    Whoever writes must hold the write lock (`engine.begin()` on SQLite); on PostgreSQL the table is locked here, so
    that no two entries are chained to one.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE")
    last = connection.execute(select(audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).scalar()
    previous = last or BEGINNING
    written = msgspec.json.encode(data or {}, order="deterministic").decode()
    hash = hash_of(at, by, action, subject, written, previous)
    row = {"at": at, "by": by, "action": action, "subject": subject, "data": written}
    connection.execute(insert(audit).values(**row, previous=previous, hash=hash))
    return hash


def hash_of(at: float, by: str, action: str, subject: str, data: str, previous: str) -> str:
    """SHA-256 (hex) of an entry as canonical JSON; `data` is its JSON as text."""
    return hashlib.sha256(msgspec.json.encode([at, by, action, subject, data, previous])).hexdigest()
