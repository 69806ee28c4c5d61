"""Labels in the record log: each joins its record once, and what cannot join is kept aside with the reason."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec import Struct

from roadworthy.core.errors import BadData
from roadworthy.core.record import Label

TABLES = (
    """CREATE TABLE labels (id TEXT PRIMARY KEY, value REAL NOT NULL, at REAL NOT NULL,
       source TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE labels_aside (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, value REAL NOT NULL, at REAL NOT NULL,
       source TEXT NOT NULL, reason TEXT NOT NULL, UNIQUE (id, value, at, source, reason))""",
)

UNKNOWN, CONFLICTING = "unknown id", "conflicts with an earlier label"

# Labels of one transaction: a few milliseconds, so that the server's writer never waits long for the lock.
_CHUNK = 2000
_IDS_AT_ONCE = 20_000

_JOIN = "INSERT INTO labels (id, value, at, source) VALUES (?, ?, ?, ?)"
_KEEP_ASIDE = "INSERT OR IGNORE INTO labels_aside (id, value, at, source, reason) VALUES (?, ?, ?, ?, ?)"
# A label may overtake its record; it joins with the next labels that are written.
_ADOPT = (
    f"INSERT OR IGNORE INTO labels SELECT id, value, at, source FROM labels_aside"
    f" WHERE reason = '{UNKNOWN}' AND id IN (SELECT id FROM records) ORDER BY seq",
    f"DELETE FROM labels_aside WHERE reason = '{UNKNOWN}' AND EXISTS"
    " (SELECT 1 FROM labels WHERE labels.id = labels_aside.id AND labels.value = labels_aside.value)",
    f"UPDATE OR IGNORE labels_aside SET reason = '{CONFLICTING}'"
    f" WHERE reason = '{UNKNOWN}' AND id IN (SELECT id FROM labels)",
)


class LabelReport(Struct, frozen=True):
    """What became of labels: `kept` joined a record, `repeated` said again what was known, the rest lies aside.

    `unknown` belong to no record (yet), `conflicting` contradict the label that came first, which stands.
    """

    kept: int = 0
    unknown: tuple[Label, ...] = ()
    repeated: int = 0
    conflicting: tuple[Label, ...] = ()


# Which of some ids are sealed, as the connection sees it.
Sealed = Callable[[sqlite3.Connection, Sequence[str]], set[str]]


def write(connection: sqlite3.Connection, labels: Sequence[Label], sealed: Sealed) -> LabelReport:
    """Join the labels in transactions of a few milliseconds each. Raises BadData before anything is written."""
    for label in labels:
        if not (math.isfinite(label.value) and math.isfinite(label.at)):
            raise BadData(f"`value` and `at` of a label must be finite numbers, got {label!r}")
    reports = [
        _write_chunk(connection, labels[start : start + _CHUNK], sealed) for start in range(0, len(labels), _CHUNK)
    ]
    return LabelReport(
        sum(r.kept for r in reports),
        tuple(label for r in reports for label in r.unknown),
        sum(r.repeated for r in reports),
        tuple(label for r in reports for label in r.conflicting),
    )


def aside(connection: sqlite3.Connection) -> list[tuple[Label, str]]:
    """The labels kept aside, oldest first, each with its reason."""
    rows = connection.execute("SELECT id, value, at, source, reason FROM labels_aside ORDER BY seq")
    return [(Label(id, value, at, source), reason) for id, value, at, source, reason in rows]


def adopt(connection: sqlite3.Connection) -> None:
    """Join the labels that overtook their records, inside of a transaction."""
    for statement in _ADOPT:
        connection.execute(statement)


def of(connection: sqlite3.Connection, ids: Sequence[str]) -> Iterator[tuple[str, float, float]]:
    """The labels of the ids: id, value, and when it became known."""
    if connection.execute("SELECT 1 FROM labels LIMIT 1").fetchone() is None:
        return
    for start in range(0, len(ids), _IDS_AT_ONCE):
        some = (msgspec.json.encode(ids[start : start + _IDS_AT_ONCE]).decode(),)
        sql = "SELECT id, value, at FROM labels WHERE id IN (SELECT value FROM json_each(?))"
        yield from connection.execute(sql, some)


def _write_chunk(connection: sqlite3.Connection, labels: Sequence[Label], sealed: Sealed) -> LabelReport:
    connection.execute("BEGIN IMMEDIATE")
    adopt(connection)
    known, values = _known(connection, labels)
    known |= sealed(connection, [label.id for label in labels if label.id not in known])
    kept: dict[str, Label] = {}
    unknown, conflicting, repeated = [], [], 0
    for label in labels:
        if label.id not in known:
            unknown.append(label)
        elif label.id not in values:
            kept[label.id], values[label.id] = label, label.value
        elif values[label.id] == label.value:
            repeated += 1
        else:
            conflicting.append(label)
    connection.executemany(_JOIN, [_row(label) for label in kept.values()])
    connection.executemany(_KEEP_ASIDE, [(*_row(label), UNKNOWN) for label in unknown])
    connection.executemany(_KEEP_ASIDE, [(*_row(label), CONFLICTING) for label in conflicting])
    connection.execute("COMMIT")
    return LabelReport(len(kept), tuple(unknown), repeated, tuple(conflicting))


def _known(connection: sqlite3.Connection, labels: Sequence[Label]) -> tuple[set[str], dict[str, float]]:
    """Which of the labels' ids are records, and which values are known already."""
    ids = (msgspec.json.encode([label.id for label in labels]).decode(),)
    records = connection.execute("SELECT id FROM records WHERE id IN (SELECT value FROM json_each(?))", ids)
    labelled = connection.execute("SELECT id, value FROM labels WHERE id IN (SELECT value FROM json_each(?))", ids)
    return {row[0] for row in records}, dict(labelled.fetchall())


def _row(label: Label) -> tuple[str, float, float, str]:
    return label.id, float(label.value), float(label.at), label.source
