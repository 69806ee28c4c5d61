"""Records, labels and what could not be read as rows of Delta tables, and back.

A record lies there twice: as flat columns, which anybody can query, and whole in `body`, from which it comes back
exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from roadworthy.core.record import Label, Record
from roadworthy.store import kinds
from roadworthy.store.base import Arrival
from roadworthy.store.envelopes import decode

if TYPE_CHECKING:
    import polars as pl

# The days of the calendar that a folder can be named after; a time before or after is in the first or the last.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896


class Sent(NamedTuple):
    """A row, the log that it comes from, and the bytes in which it travels."""

    source: str
    arrival: Arrival
    raw: bytes


class Aside(NamedTuple):
    """What Kafka had at a place and nobody could read, and why."""

    place: str
    offset: int
    at: float
    key: bytes
    raw: bytes
    because: str


def no_records() -> pl.DataFrame:
    """The columns that every table of records has."""
    import polars as pl

    text, number, whole = pl.String(), pl.Float64(), pl.Int64()
    return pl.DataFrame(
        schema={
            "day": text,
            "id": text,
            "at": number,
            "release": text,
            "arm": text,
            "error": text,
            "confidence": number,
            "tokens": whole,
            "usd": number,
            "source": text,
            "position": whole,
            "body": pl.Binary(),
        }
    )


def no_labels() -> pl.DataFrame:
    """The columns of the table of labels."""
    import polars as pl

    text, number = pl.String(), pl.Float64()
    return pl.DataFrame(
        schema={"id": text, "value": number, "at": number, "by": text, "source": text, "position": pl.Int64()}
    )


def nothing_aside() -> pl.DataFrame:
    """The columns of the table of what could not be read."""
    import polars as pl

    return pl.DataFrame(
        schema={
            "place": pl.String(),
            "offset": pl.Int64(),
            "at": pl.Float64(),
            "key": pl.Binary(),
            "raw": pl.Binary(),
            "because": pl.String(),
        }
    )


def records_frame(rows: Sequence[Sent]) -> pl.DataFrame:
    """The rows of records, in the order of time, which is what a reader can skip by."""
    import polars as pl

    records = [row.arrival.row for row in rows if isinstance(row.arrival.row, Record)]
    schema = no_records().schema
    fixed: dict[str, list[Any]] = {
        "id": [r.id for r in records],
        "at": [float(r.at) for r in records],
        "release": [r.release for r in records],
        "arm": [r.arm for r in records],
        "error": [r.error for r in records],
        "confidence": [r.confidence for r in records],
        "tokens": [_whole(r.tokens) for r in records],
        "usd": [r.usd for r in records],
        "source": [row.source for row in rows],
        "position": [row.arrival.position for row in rows],
        "body": [row.raw for row in rows],
    }
    frame = pl.DataFrame([pl.Series(name, values, schema[name]) for name, values in fixed.items()])
    found = [
        *_columns("seconds", [r.seconds for r in records]),
        *_columns("tags", [r.tags for r in records]),
        *_columns("inputs", [r.inputs for r in records]),
        *_columns("outputs", [r.outputs for r in records]),
    ]
    return frame.select(_day(), pl.all(), *found).sort("at", "position")


def labels_frame(rows: Sequence[Sent]) -> pl.DataFrame:
    """The rows of labels."""
    import polars as pl

    labels = [(row.arrival.row, row) for row in rows if isinstance(row.arrival.row, Label)]
    fixed = [(x.id, float(x.value), float(x.at), x.source, row.source, row.arrival.position) for x, row in labels]
    return pl.DataFrame(fixed, schema=no_labels().schema, orient="row")


def aside_frame(rows: Sequence[Aside]) -> pl.DataFrame:
    """The rows of what could not be read."""
    import polars as pl

    return pl.DataFrame(rows, schema=nothing_aside().schema, orient="row")


def record_in(body: bytes, label: float | None, label_at: float | None) -> Record:
    """The record whose bytes these are, with what is known of its label."""
    row = decode(body)[1].row
    assert isinstance(row, Record)  # the table holds nothing else
    return msgspec.structs.replace(row, label=label, label_at=label_at)


def day_of(at: float) -> str:
    """The folder of a time, as `2013-09-01` (UTC)."""
    import polars as pl

    return str(pl.DataFrame({"at": [float(at)]}).select(_day()).item())


def _day() -> pl.Expr:
    import polars as pl

    number = (pl.col("at") // 86400).clip(_FIRST_DAY, _LAST_DAY).cast(pl.Int32())
    return number.cast(pl.Date()).dt.to_string("%Y-%m-%d").alias("day")


def _columns(section: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[pl.Series]:
    """A column for each name that has a value which fits one."""
    # Nearly all rows have the same names: they are gone through once.
    for name in dict.fromkeys(chain.from_iterable(dict.fromkeys(map(tuple, rows)))):
        values = [row.get(name) for row in rows]
        kind = kinds.kind_of(values)
        if kind in ("int", "list[int]"):
            values = [_whole(value) for value in values]
        if kind not in ("null", "list[null]", "other"):
            yield kinds.series(f"{section}.{name}", values, kind)[0]


def _whole(value: Any) -> Any:
    """The value, or None for a whole number that no column holds; it is in the body."""
    if isinstance(value, list):
        return value if all(_whole(x) is x for x in value) else None
    return None if type(value) is int and not -(2**63) <= value < 2**63 else value
