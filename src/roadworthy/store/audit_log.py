"""The audit log: who did what to which release or rollout, each entry chained to the one before by its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct, field
from sqlalchemy import ColumnElement, Connection, Engine, Row, insert, select, text

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


class AuditReport(Struct, frozen=True):
    """What a check of the chain found: how many entries there are, the hash of the last one, and the first fault.

    `fault` is "" where every entry is what was written; `at_seq` is the entry that it begins with.
    """

    entries: int
    head: str
    fault: str = ""
    at_seq: int | None = None

    @property
    def intact(self) -> bool:
        """Whether nothing was changed, removed or put in between."""
        return not self.fault


def read_audit(
    engine: Engine, since: float | None = None, until: float | None = None, subject: str | None = None, by: str = ""
) -> Iterator[Entry]:
    """The entries with `since` <= at < `until`, in the order of the chain, some thousand at a time."""
    clauses = [
        *([audit.c.at >= since] if since is not None else []),
        *([audit.c.at < until] if until is not None else []),
        *([audit.c.subject == subject] if subject is not None else []),
        *([audit.c.by == by] if by else []),
    ]
    for row in _rows(engine, *clauses):
        yield Entry(row.seq, row.at, row.by, row.action, row.subject, _data(row.data), row.previous, row.hash)


def verify_audit(engine: Engine, head: str = "", entries: int = 0) -> AuditReport:
    """Go over the whole chain and compute every hash anew.

    A chain shows what was changed or taken out of its middle. Entries cut off its end are shown by the count that the
    database keeps of rows ever written, and surely by `head` and `entries` that somebody wrote down elsewhere.
    """
    previous, n, found = BEGINNING, 0, ""
    for row in _rows(engine):
        n += 1
        if row.previous != previous:
            found = f"entry {row.seq} is chained to {row.previous[:12]}, and the one before it is {previous[:12]}"
        elif hash_of(row.at, row.by, row.action, row.subject, row.data, row.previous) != row.hash:
            found = f"entry {row.seq} ({row.action} by {row.by!r}) is not what was written: its hash is another"
        if found:
            return AuditReport(n, row.hash, f"{found}; restore `metadata.db` from a backup that verifies", row.seq)
        previous = row.hash
        if entries and n == entries and head and previous != head:
            return AuditReport(n, previous, f"entry {row.seq} has not the hash {head[:12]} that was noted", row.seq)
    written = _ever_written(engine)
    if n < max(written, entries):
        lost = max(written, entries) - n
        return AuditReport(n, previous, f"the last {lost} entries are gone: {n} are left of {n + lost}", None)
    if head and not entries and not _has(engine, head):
        return AuditReport(n, previous, f"no entry has the hash {head[:12]} that was noted", None)
    return AuditReport(n, previous)


def verify_export(lines: Iterable[bytes]) -> AuditReport:
    """The same for an exported file of one JSON object a line, without the database that it came from."""
    previous, n = BEGINNING, 0
    for number, line in enumerate(lines, 1):
        try:
            entry = msgspec.json.decode(line, type=Entry)
        except msgspec.DecodeError as wrong:
            return AuditReport(n, previous, f"line {number} is no entry: {wrong}", None)
        data = msgspec.json.encode(entry.data, order="deterministic").decode()
        known = hash_of(entry.at, entry.by, entry.action, entry.subject, data, entry.previous)
        if entry.previous != previous or known != entry.hash:
            return AuditReport(n, previous, f"line {number} (entry {entry.seq}) is not what was written", entry.seq)
        previous, n = entry.hash, n + 1
    return AuditReport(n, previous)


def _rows(engine: Engine, *clauses: ColumnElement[bool]) -> Iterator[Row[Any]]:
    chosen = select(audit).where(*clauses).order_by(audit.c.seq)
    with engine.execution_options(reading=True, yield_per=2000).connect() as connection:
        yield from connection.execute(chosen)


def _data(text: str) -> dict[str, Any]:
    """The data of an entry; what was spoilt by hand is shown as it stands."""
    try:
        found: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return {"unreadable": text}
    return found


def _ever_written(engine: Engine) -> int:
    """How many entries were ever added, by a counter that deleting a row does not turn back; 0 where there is none.

    PostgreSQL's counter also counts what transactions that failed took: there `head` and `entries` are needed.
    """
    if engine.dialect.name != "sqlite":
        return 0
    with engine.execution_options(reading=True).connect() as connection:
        found = connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = 'audit'")).scalar()
    return int(found or 0)


def _has(engine: Engine, head: str) -> bool:
    with engine.execution_options(reading=True).connect() as connection:
        return connection.execute(select(audit.c.seq).where(audit.c.hash == head)).first() is not None
