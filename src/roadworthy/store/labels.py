"""Labels in the record log: each joins its record once, and what cannot join is kept aside with the reason.

The label that came first stands. What people say besides is kept, whether it contradicts that or agrees with it: who
counts how often people overrule a model must not see the contradictions alone.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec import Struct

from roadworthy.core.errors import BadData
from roadworthy.core.record import Label
from roadworthy.store.sealed import Past, read
from roadworthy.store.segments import CorruptSegment, Segments
from roadworthy.store.wanted import Wanted

TABLES = (
    """CREATE TABLE labels (id TEXT PRIMARY KEY, value REAL NOT NULL, at REAL NOT NULL,
       source TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE labels_aside (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, value REAL NOT NULL, at REAL NOT NULL,
       source TEXT NOT NULL, reason TEXT NOT NULL, UNIQUE (id, value, at, source, reason))""",
)

UNKNOWN, CONFLICTING = "unknown id", "conflicts with an earlier label"
AGREEING = "a person says the same as an earlier label"

# What a label's source is called where a person gave it: this alone, or with a colon and who behind it.
PERSON = "person"

# Labels of one transaction: a few milliseconds, so that the server's writer never waits long for the lock.
_CHUNK = 2000
_IDS_AT_ONCE = 20_000

_JOIN = "INSERT INTO labels (id, value, at, source) VALUES (?, ?, ?, ?)"
_KEEP_ASIDE = "INSERT OR IGNORE INTO labels_aside (id, value, at, source, reason) VALUES (?, ?, ?, ?, ?)"
# A label may overtake its record; it joins with the next labels that are written.
_ADOPT = (
    f"INSERT OR IGNORE INTO labels SELECT id, value, at, source FROM labels_aside"
    f" WHERE reason = '{UNKNOWN}' AND id IN (SELECT id FROM records) ORDER BY seq",
    f"UPDATE OR IGNORE labels_aside SET reason = '{AGREEING}'"
    f" WHERE reason = '{UNKNOWN}' AND (source = '{PERSON}' OR source GLOB '{PERSON}:*') AND EXISTS"
    " (SELECT 1 FROM labels AS l WHERE l.id = labels_aside.id AND l.value = labels_aside.value"
    " AND (l.at, l.source) != (labels_aside.at, labels_aside.source))",
    f"DELETE FROM labels_aside WHERE reason = '{UNKNOWN}' AND EXISTS"
    " (SELECT 1 FROM labels WHERE labels.id = labels_aside.id AND labels.value = labels_aside.value)",
    f"UPDATE OR IGNORE labels_aside SET reason = '{CONFLICTING}'"
    f" WHERE reason = '{UNKNOWN}' AND id IN (SELECT id FROM labels)",
)


class LabelReport(Struct, frozen=True):
    """What became of labels: `kept` joined a record, `repeated` said again what was known, the rest lies aside.

    `unknown` belong to no record (yet), `conflicting` contradict the label that came first, which stands. What people
    repeated is kept all the same, for `said`.
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
    """The labels that could not join, oldest first, each with its reason."""
    sql = "SELECT id, value, at, source, reason FROM labels_aside WHERE reason != ? ORDER BY seq"
    rows = connection.execute(sql, (AGREEING,))
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


def said(connection: sqlite3.Connection, ids: Sequence[str]) -> Iterator[Label]:
    """Every label of the ids with who said it: of each part of the ids those that stand, then those that lie aside."""
    for start in range(0, len(ids), _IDS_AT_ONCE):
        some = (msgspec.json.encode(ids[start : start + _IDS_AT_ONCE]).decode(),)
        for table, order in (("labels", "id"), ("labels_aside", "seq")):
            sql = f"""SELECT id, value, at, source FROM {table} WHERE id IN (SELECT value FROM json_each(?))
                      ORDER BY {order}"""
            yield from (Label(*row) for row in connection.execute(sql, some))


def ids_of(connection: sqlite3.Connection, segments: Segments, past: Past, wanted: Wanted) -> list[str]:
    """The ids of the wanted records, hot and sealed, each once; of sealed ones no other column is read."""
    where, given = wanted.where(past.mark, past.doubles)
    found = dict.fromkeys(row[0] for row in connection.execute(f"SELECT id FROM records{where}", given))
    for segment in past.segments:
        try:
            frame = read(segments, segment, wanted, ["id"])
        except CorruptSegment as fault:
            past.faults.append(fault)
        else:
            found.update(dict.fromkeys([] if frame is None else frame["id"].to_list()))
    return list(found)


def by_a_person(source: str) -> bool:
    """Whether a label's source is a person: "person", or "person:" and who."""
    return source == PERSON or source.startswith(f"{PERSON}:")


def _write_chunk(connection: sqlite3.Connection, labels: Sequence[Label], sealed: Sealed) -> LabelReport:
    connection.execute("BEGIN IMMEDIATE")
    adopt(connection)
    known, standing = _known(connection, labels)
    known |= sealed(connection, [label.id for label in labels if label.id not in known])
    kept: list[Label] = []
    unknown, conflicting, repeated = list[Label](), list[Label](), list[Label]()
    for label in labels:
        if label.id not in known:
            unknown.append(label)
        elif label.id not in standing:
            kept.append(label)
            standing[label.id] = label
        elif standing[label.id].value == label.value:
            repeated.append(label)
        else:
            conflicting.append(label)
    agreeing = [label for label in repeated if by_a_person(label.source) and label != standing[label.id]]
    connection.executemany(_JOIN, [_row(label) for label in kept])
    for reason, some in ((UNKNOWN, unknown), (CONFLICTING, conflicting), (AGREEING, agreeing)):
        connection.executemany(_KEEP_ASIDE, [(*_row(label), reason) for label in some])
    connection.execute("COMMIT")
    return LabelReport(len(kept), tuple(unknown), len(repeated), tuple(conflicting))


def _known(connection: sqlite3.Connection, labels: Sequence[Label]) -> tuple[set[str], dict[str, Label]]:
    """Which of the labels' ids are records, and the labels that stand already."""
    ids = (msgspec.json.encode([label.id for label in labels]).decode(),)
    records = connection.execute("SELECT id FROM records WHERE id IN (SELECT value FROM json_each(?))", ids)
    sql = "SELECT id, value, at, source FROM labels WHERE id IN (SELECT value FROM json_each(?))"
    return {row[0] for row in records}, {row[0]: Label(*row) for row in connection.execute(sql, ids)}


def _row(label: Label) -> tuple[str, float, float, str]:
    return label.id, float(label.value), float(label.at), label.source
