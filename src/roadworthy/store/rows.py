"""How a record lies in `records.db`: its tables, its bytes, and the step from the layout of older files."""

from __future__ import annotations

import math
import sqlite3
import struct
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any, get_args

import msgspec
from msgspec import Struct

from roadworthy.core.record import Record
from roadworthy.core.wire import Arm, Step

VERSION = 3

# `kind` is the arm and whether the request failed; (id, kind) is what keeps a row the only one. An index of fewer bytes
# is one that costs less to keep, so releases are numbers. `records_at` holds all that a count needs, so that it never
# reads a body. Ids in the order of time, as ours are, make every one of these an append.
TABLES = (
    "CREATE TABLE releases (number INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE)",
    """CREATE TABLE records (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, kind INTEGER NOT NULL, at REAL NOT NULL,
       release INTEGER NOT NULL, body BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX records_id ON records (id, kind)",
    "CREATE INDEX records_at ON records (at, release, kind)",
)

# The order is part of the file: an arm that is new goes to the end.
ARMS: tuple[Arm, ...] = ("stable", "canary", "shadow", "fallback", "holdback")
assert set(ARMS) == set(get_args(Arm))
KINDS = {(arm, failed): 2 * number + failed for number, arm in enumerate(ARMS) for failed in (False, True)}

# id, kind, at, release (its digest), body
Row = tuple[str, int, float, str, bytes]

# Rows up to here are one statement, which is also its own transaction: the writer's thread needs the interpreter's lock
# once a group, and not for each row. SQLite compiles each size once; 64 of them take 3 MB.
MOST_AT_ONCE = 64

_FLOATS = 1  # a list of numbers that were 32-bit floats before they came here, as their bytes (little end first)
_LITTLE = sys.byteorder == "little"


class Body(Struct, array_like=True, frozen=True):
    """What of a record is not in a column. Another field goes to the end, with a default."""

    inputs: dict[str, Any]
    outputs: dict[str, Any]
    seconds: dict[str, float]
    confidence: float | None = None
    tags: dict[str, str] = {}
    path: tuple[Step, ...] = ()
    error: str | None = None
    prediction_set: tuple[str, ...] | None = None
    usd: float | None = None
    tokens: int | None = None


def rows_of(records: Iterable[Record]) -> list[Row]:
    """The rows of records, complete: a fault of one is found here, before it could harm a whole group."""
    return [row_of(record) for record in records]


def row_of(record: Record) -> Row:
    """The columns of a record; its label is left out, because labels live in a table of their own."""
    id, release = record.id, record.release
    if (type(id) is not str or type(release) is not str) and not (_is_text(id) and _is_text(release)):
        raise TypeError(f"`id` and `release` of a record must be text, got {record!r}")
    if not id.isascii():
        id.encode()  # half a character would make SQLite refuse everybody's rows
    if not math.isfinite(record.at):
        raise ValueError(f"`at` of a record must be Unix seconds, got {record.at!r} in {id!r}")
    kind = KINDS.get((record.arm, record.error is not None))
    if kind is None:
        raise TypeError(f"`arm` of a record must be one of {', '.join(ARMS)}, got {record.arm!r}")
    body = encode(
        (
            record.inputs,
            record.outputs,
            record.seconds,
            record.confidence,
            record.tags,
            record.path,
            record.error,
            record.prediction_set,
            record.usd,
            record.tokens,
        )
    )
    return id, kind, float(record.at), release, body


def record_of(id: str, kind: int, at: float, release: str, body: bytes) -> Record:
    """The record of a row, without its label."""
    if body[0] & 0xF0 != 0x90:  # not an array: a body of version 1 is a whole record
        return _decode_whole(body)
    b = _decode(body)
    return Record(
        id,
        at,
        release,
        ARMS[kind // 2],
        b.inputs,
        b.outputs,
        b.confidence,
        b.prediction_set,
        b.path,
        b.seconds,
        b.tokens,
        b.usd,
        b.tags,
        b.error,
    )


def body_of(body: bytes) -> Body:
    """What is in a row's bytes, with lists of 32-bit floats as arrays; for whoever makes columns of rows."""
    if body[0] & 0xF0 == 0x90:
        return _decode_with_arrays(body)
    r = _decode_whole(body)
    inputs, outputs, seconds, tags = dict(r.inputs), dict(r.outputs), dict(r.seconds), dict(r.tags)
    return Body(inputs, outputs, seconds, r.confidence, tags, r.path, r.error, r.prediction_set, r.usd, r.tokens)


class Insert:
    """Writes rows through one connection, in one transaction; it knows the numbers of the releases."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._numbers = dict(connection.execute("SELECT digest, number FROM releases").fetchall())

    def __call__(self, rows: Sequence[Row]) -> None:
        """A row whose (id, kind) is there already is left out."""
        new = {row[3] for row in rows}.difference(self._numbers)
        if len(rows) <= MOST_AT_ONCE and not new:
            self._insert(rows)
            return
        self._connection.execute("BEGIN IMMEDIATE")
        for release in new:
            self._numbers[release] = self._number(release)
        for start in range(0, len(rows), MOST_AT_ONCE):
            self._insert(rows[start : start + MOST_AT_ONCE])
        self._connection.execute("COMMIT")

    def _insert(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        numbers = self._numbers
        values = [(id, kind, at, numbers[release], body) for id, kind, at, release, body in rows]
        self._connection.execute(_insert_of(len(rows)), list(chain.from_iterable(values)))

    def _number(self, release: str) -> int:
        self._connection.execute("INSERT OR IGNORE INTO releases (digest) VALUES (?)", (release,))
        found = self._connection.execute("SELECT number FROM releases WHERE digest = ?", (release,))
        return int(found.fetchone()[0])


@cache
def _insert_of(rows: int) -> str:
    values = ", ".join(["(?, ?, ?, ?, ?)"] * rows)
    return f"INSERT INTO records (id, kind, at, release, body) VALUES {values} ON CONFLICT (id, kind) DO NOTHING"


def upgrade(connection: sqlite3.Connection) -> None:
    """Bring a file of version 1 to version 2, inside of a transaction. Bodies stay as they are; `record_of` reads both.

    Version 1 wrote (id, arm, at, release, failed) as they were, and the whole record as its body.
    """
    connection.execute("ALTER TABLE records RENAME TO old_records")
    connection.execute("DROP INDEX records_at")
    connection.execute("DROP INDEX records_release")
    for statement in TABLES:
        connection.execute(statement)
    connection.execute("INSERT INTO releases (digest) SELECT DISTINCT release FROM old_records")
    arms = " ".join(f"WHEN '{arm}' THEN {2 * number}" for number, arm in enumerate(ARMS))
    connection.execute(
        f"""INSERT INTO records SELECT seq, id, CASE arm {arms} END + failed, at, number, body
            FROM old_records JOIN releases ON digest = release ORDER BY seq"""
    )
    connection.execute("DROP TABLE old_records")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _plain(value: Any) -> Any:
    """numpy's scalars and arrays as what they hold."""
    if not hasattr(value, "tolist"):
        held = f"{value!r} ({type(value).__name__})"
        raise TypeError(f"a record cannot hold {held}: allowed are plain values and numpy's")
    if _LITTLE and value.dtype.char == "f" and value.ndim == 1 and value.dtype.isnative:
        return msgspec.msgpack.Ext(_FLOATS, value.tobytes())
    return value.tolist()


def _listed(code: int, data: memoryview) -> list[float]:
    if code != _FLOATS:
        raise ValueError(f"a newer Roadworthy wrote this record (value of type {code}): upgrade roadworthy")
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def _array(code: int, data: memoryview) -> Any:
    import numpy as np

    if code != _FLOATS:
        raise ValueError(f"a newer Roadworthy wrote this record (value of type {code}): upgrade roadworthy")
    return np.frombuffer(data, "<f4")


encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode
_decode = msgspec.msgpack.Decoder(Body, ext_hook=_listed).decode
_decode_with_arrays = msgspec.msgpack.Decoder(Body, ext_hook=_array).decode
_decode_whole = msgspec.msgpack.Decoder(Record).decode
