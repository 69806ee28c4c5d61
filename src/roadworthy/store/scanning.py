"""The whole record log as one lazy frame of polars: hot and sealed rows together, with their labels."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from roadworthy.store import kinds as kinds_of
from roadworthy.store.columns import CHUNK_ROWS, HotRow, Pack, base_schema
from roadworthy.store.files import connect, naming
from roadworthy.store.kinds import Kind
from roadworthy.store.labels import of as labels_of
from roadworthy.store.sealed import Past, collect
from roadworthy.store.segments import CorruptSegment, Segment, Segments, polars_or_say_so
from roadworthy.store.wanted import Wanted

if TYPE_CHECKING:
    import polars as pl

_LABELS = ("label", "label_at")

Fault = Callable[[CorruptSegment], None]


class Scan:
    """What was in the log when it was looked at; files are opened, and labels looked up, when somebody collects."""

    def __init__(self, path: Path, segments: Segments, past: Past, wanted: Wanted, hot: Pack, fault: Fault) -> None:
        polars_or_say_so()
        self._path, self._segments, self._past = path, segments, past
        self._wanted, self._fault = wanted, fault
        self._hot, self._hot_kinds = hot.frame(), hot.kinds
        given = [hot.kinds, *(segment.kinds for segment in past.segments)]
        self.kinds: dict[str, Kind] = reduce(_joined, given, {})

    def lazy(self) -> pl.LazyFrame:
        """The lazy frame. It reads the columns that are asked for, of the segments that may hold rows in question."""
        from polars.io.plugins import register_io_source

        return register_io_source(self._pieces, schema=self._schema())

    def _schema(self) -> dict[str, pl.DataType]:
        import polars as pl

        labels = dict.fromkeys(_LABELS, pl.Float64())
        base = {name: type_ for name, type_ in base_schema(whole=False).items() if name != "seq"}
        named = {name: kinds_of.dtype(kind) for name, kind in self.kinds.items() if kind != "other"}
        return {**base, **labels, **named}

    def _pieces(
        self, columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        """What polars calls for the rows: one frame a segment, and one of the hot rows."""
        shown = columns or list(self._schema())
        asked = predicate.meta.root_names() if predicate is not None else []
        needed = list(dict.fromkeys([*shown, *asked]))
        for lazy, segment in self._parts(needed):
            frame = self._piece(lazy, segment, predicate, needed)
            if frame is not None:
                frame = frame.select(shown) if rows is None else frame.select(shown).head(rows)
                rows = None if rows is None else rows - frame.height
                yield frame

    def _parts(self, needed: Sequence[str]) -> Iterator[tuple[pl.LazyFrame, Segment | None]]:
        mask = self._wanted.mask()
        yield self._as_asked(self._hot.lazy(), self._hot_kinds, needed), None
        for segment in self._past.segments:
            try:
                lazy = self._segments.frame(segment)
            except CorruptSegment as fault:
                self._fault(fault)
            else:
                yield self._as_asked(lazy.filter(*mask) if mask else lazy, segment.kinds, needed), segment

    def _as_asked(self, lazy: pl.LazyFrame, have: dict[str, Kind], needed: Sequence[str]) -> pl.LazyFrame:
        """The needed columns but for labels, in the types of the whole."""
        import polars as pl

        chosen = [pl.col("id")]
        for name in needed:
            if name in self.kinds:
                kind, want = have.get(name, "null"), self.kinds[name]
                kind = "null" if kind == "other" else kind
                chosen.append(kinds_of.cast(pl.col(name), kind, want).alias(name))
            elif name not in ("id", *_LABELS):
                chosen.append(pl.col(name))
        return lazy.select(chosen)

    def _piece(
        self, lazy: pl.LazyFrame, segment: Segment | None, predicate: pl.Expr | None, needed: Sequence[str]
    ) -> pl.DataFrame | None:
        asked = predicate.meta.root_names() if predicate is not None else []
        labelled, late = set(_LABELS) & set(needed), bool(set(_LABELS) & set(asked))
        if predicate is not None and not late:
            lazy = lazy.filter(predicate)
        try:
            frame = lazy.collect() if segment is None else collect(self._segments, segment, [lazy])
        except CorruptSegment as fault:
            self._fault(fault)
            return None
        if labelled:
            frame = self._with_labels(frame)
        return frame.filter(predicate) if predicate is not None and late else frame

    def _with_labels(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        with naming(self._path):
            connection = connect(self._path)
            try:
                found = list(labels_of(connection, frame["id"].unique().to_list()))
            finally:
                connection.close()
        schema = {"id": pl.String(), "label": pl.Float64(), "label_at": pl.Float64()}
        return frame.join(pl.DataFrame(found, schema, orient="row"), on="id", how="left", maintain_order="left")


def hot_rows(connection: sqlite3.Connection, wanted: Wanted, past: Past) -> Iterator[list[HotRow]]:
    """The hot rows that are wanted, a chunk at a time."""
    where, given = wanted.where(past.mark, past.doubles)
    sql = f"SELECT seq, id, kind, at, digest, body FROM records JOIN releases ON number = release{where}"
    cursor = connection.execute(sql, given)
    while rows := cursor.fetchmany(CHUNK_ROWS):
        yield rows


def _joined(one: dict[str, Kind], two: dict[str, Kind]) -> dict[str, Kind]:
    return {**one, **{name: kinds_of.join(one.get(name, "null"), kind) for name, kind in two.items()}}
