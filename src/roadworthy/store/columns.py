"""Rows of the record log as columns, and back to exactly the same records.

A column `inputs.X`, `outputs.X`, `seconds.X` or `tags.X` holds the values of one name. Two more columns keep what
columns cannot say: `shape` numbers the names that a row has, so that a null is told from a name that is missing, and
`rest` holds the values that a column does not give back exactly, as msgpack. It is null for nearly all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from roadworthy.core.record import Record
from roadworthy.core.wire import Arm, Step
from roadworthy.store import kinds as kinds_of
from roadworthy.store.kinds import Kind
from roadworthy.store.rows import ARMS, Body, body_of, encode

if TYPE_CHECKING:
    import polars as pl

SECTIONS = ("inputs", "outputs", "seconds", "tags")

# The names of each section, in the order of the row.
Shape = tuple[tuple[str, ...], ...]

# seq, id, kind, at, release (its digest), body
HotRow = tuple[int, str, int, float, str, bytes]

# By row: what no column gives back exactly, as {section: {name: value}}; also "tokens" and "shape".
_Rest = dict[int, dict[str, Any]]

# Beyond these, names and shapes lie in `rest`: a caller who makes up names must not make a file of a million columns.
MOST_COLUMNS = 1000
MOST_SHAPES = 65_000

CHUNK_ROWS = 4000


class _Chunk:
    """Rows with their bodies read, by section, and the shape of each."""

    def __init__(self, rows: Sequence[HotRow]) -> None:
        self.rows = rows
        self.bodies = [body_of(row[5]) for row in rows]
        held: list[list[dict[str, Any]]] = [[getattr(b, section) for b in self.bodies] for section in SECTIONS]
        self.sections = dict(zip(SECTIONS, held, strict=True))
        self.shapes: list[Shape] = list(zip(*(map(tuple, mappings) for mappings in held), strict=True))

    def names(self) -> Iterator[tuple[str, str]]:
        """Each section with each of its names, in the order of their first row."""
        different = dict.fromkeys(self.shapes)
        for number, section in enumerate(SECTIONS):
            for name in dict.fromkeys(name for shape in different for name in shape[number]):
                yield section, name

    def values(self, section: str, name: str) -> list[Any]:
        """The values of a name, None where a row lacks it."""
        return [held.get(name) for held in self.sections[section]]


class Pack:
    """Gathers rows chunk by chunk and makes one frame of them. A chunk is columns at once: rows take ten times that."""

    def __init__(self, whole: bool = True) -> None:
        """Not `whole`: only for looking at, without what is needed to make records again."""
        self.kinds: dict[str, Kind] = {}
        self.shapes: dict[Shape, int] = {}
        self._whole = whole
        self._chunks: list[tuple[Sequence[HotRow], pl.DataFrame, dict[str, Kind]]] = []

    def add(self, rows: Sequence[HotRow]) -> None:
        """Take up to `CHUNK_ROWS` rows more."""
        chunk = _Chunk(rows)
        named = []
        for section, name, values in self._named(chunk):
            full = f"{section}.{name}"
            self.kinds[full] = kinds_of.join(self.kinds.get(full, "null"), kinds_of.kind_of(values))
            named.append((section, name, values))
        self._chunks.append((rows, self._frame(chunk, named), dict(self.kinds)))

    def frame(self) -> pl.DataFrame:
        """All rows in the order of `at`."""
        import polars as pl

        frames = [frame if self._holds(used) else self._again(rows) for rows, frame, used in self._chunks]
        together = pl.concat([pl.DataFrame(schema=base_schema(self._whole)), *frames], how="diagonal")
        return together.sort("at", "seq")

    def _holds(self, used: dict[str, Kind]) -> bool:
        """Were a chunk's columns made of the kinds that all chunks together need?"""
        return all(self.kinds[name] == kind for name, kind in used.items())

    def _again(self, rows: Sequence[HotRow]) -> pl.DataFrame:
        chunk = _Chunk(rows)
        return self._frame(chunk, self._named(chunk))

    def _named(self, chunk: _Chunk) -> Iterator[tuple[str, str, list[Any]]]:
        """Each column with its values."""
        for section, name in chunk.names():
            if f"{section}.{name}" in self.kinds or len(self.kinds) < MOST_COLUMNS:
                yield section, name, chunk.values(section, name)

    def _frame(self, chunk: _Chunk, named: Iterable[tuple[str, str, list[Any]]]) -> pl.DataFrame:
        import polars as pl

        rest: _Rest = {}
        columns = _base_columns(chunk.rows, chunk.bodies, rest, self._whole)
        for section, name, values in named:
            full = f"{section}.{name}"
            if self.kinds[full] == "other":
                odd = [row for row, value in enumerate(values) if value is not None]
            else:
                column, odd = kinds_of.series(full, values, self.kinds[full])
                columns.append(column)
            for row in odd:
                _keep(rest, row, section, name, values[row])
        if self._whole:
            columns += self._whole_columns(chunk, rest)
        return pl.DataFrame(columns)

    def _whole_columns(self, chunk: _Chunk, rest: _Rest) -> list[pl.Series]:
        """What makes the rows whole: their names, and the values that have no column."""
        import polars as pl

        if len(self.kinds) >= MOST_COLUMNS:
            self._keep_names_without_column(chunk, rest)
        shapes = pl.Series("shape", self._numbers(chunk.shapes, rest), pl.UInt16)
        kept: list[bytes | None] = [None] * len(chunk.rows)
        for row, odd in rest.items():
            kept[row] = encode(odd)
        return [shapes, pl.Series("rest", kept, pl.Binary)]

    def _keep_names_without_column(self, chunk: _Chunk, rest: _Rest) -> None:
        for section, name in chunk.names():
            if f"{section}.{name}" not in self.kinds:
                for row, held in enumerate(chunk.sections[section]):
                    if name in held:
                        _keep(rest, row, section, name, held[name])

    def _numbers(self, shapes: Sequence[Shape], rest: _Rest) -> list[int | None]:
        """The number of each row's shape; one too many lies in `rest`."""
        for shape in dict.fromkeys(shapes):
            if shape not in self.shapes and len(self.shapes) < MOST_SHAPES:
                self.shapes[shape] = len(self.shapes)
        numbers = [self.shapes.get(shape) for shape in shapes]
        if len(self.shapes) == MOST_SHAPES:
            for row, number in enumerate(numbers):
                if number is None:
                    rest.setdefault(row, {})["shape"] = shapes[row]
        return numbers


def base_schema(whole: bool = True) -> dict[str, pl.DataType]:
    """The columns that every frame has."""
    import polars as pl

    schema: dict[str, pl.DataType] = {
        "seq": pl.Int64(),
        "id": pl.String(),
        "at": pl.Float64(),
        "release": pl.String(),
        "arm": pl.String(),
        "error": pl.String(),
        "confidence": pl.Float64(),
        "tokens": pl.Int64(),
        "usd": pl.Float64(),
    }
    if whole:
        extra = {"path": pl.String(), "prediction_set": pl.List(pl.String()), "shape": pl.UInt16(), "rest": pl.Binary()}
        schema.update(extra)
    return schema


def records_of(frame: pl.DataFrame, shapes: Sequence[Shape]) -> list[tuple[float, int, Record]]:
    """The records of a frame's rows, each with its `at` and `seq`, in the order of the frame."""
    if frame.is_empty():
        return []
    rest = [msgspec.msgpack.decode(r, ext_hook=_ext) if r is not None else {} for r in frame["rest"].to_list()]
    held = {section: _mappings(frame, section, shapes, rest) for section in SECTIONS}
    base = [frame[name].to_list() for name in base_schema() if name not in ("shape", "rest")]
    found = []
    for seq, id, at, release, arm, error, confidence, tokens, usd, path, prediction_set, i, o, s, t, odd in zip(
        *base, *held.values(), rest, strict=True
    ):
        record = Record(
            id,
            at,
            release,
            arm,
            i,
            o,
            confidence,
            None if prediction_set is None else tuple(prediction_set),
            () if path is None else _steps(path),
            s,
            odd.get("tokens", tokens),
            usd,
            t,
            error,
        )
        found.append((at, seq, record))
    return found


def _mappings(
    frame: pl.DataFrame, section: str, shapes: Sequence[Shape], rest: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """One section of every row, with the names that its shape has."""
    number = SECTIONS.index(section)
    columns = {c[len(section) + 1 :]: frame[c].to_list() for c in frame.columns if c.startswith(f"{section}.")}
    found: list[dict[str, Any]] = []
    for row, (shape, odd) in enumerate(zip(frame["shape"].to_list(), rest, strict=True)):
        names = odd["shape"][number] if shape is None else shapes[shape][number]
        held = {name: columns[name][row] if name in columns else None for name in names}
        if section in odd:
            held.update(odd[section])
        found.append(held)
    return found


def _keep(rest: _Rest, row: int, section: str, name: str, value: Any) -> None:
    rest.setdefault(row, {}).setdefault(section, {})[name] = value


def _base_columns(rows: Sequence[HotRow], bodies: Sequence[Body], rest: _Rest, whole: bool) -> list[pl.Series]:
    import polars as pl

    seqs, ids, kinds, ats, releases, _ = zip(*rows, strict=True)
    arms: dict[int, Arm] = {kind: ARMS[kind // 2] for kind in set(kinds)}
    tokens = [b.tokens for b in bodies]
    counted, odd = kinds_of.series("tokens", tokens, "int")
    for row in odd:
        rest.setdefault(row, {})["tokens"] = tokens[row]
    columns = [
        pl.Series("seq", seqs, pl.Int64),
        pl.Series("id", ids, pl.String),
        pl.Series("at", ats, pl.Float64),
        pl.Series("release", releases, pl.String),
        pl.Series("arm", [arms[kind] for kind in kinds], pl.String),
        pl.Series("error", [b.error for b in bodies], pl.String),
        pl.Series("confidence", [b.confidence for b in bodies], pl.Float64),
        counted,
        pl.Series("usd", [b.usd for b in bodies], pl.Float64),
    ]
    if whole:
        columns += [
            pl.Series("path", [_path_text(b.path) if b.path else None for b in bodies], pl.String),
            pl.Series("prediction_set", [b.prediction_set for b in bodies], pl.List(pl.String)),
        ]
    return columns


def _path_text(path: Sequence[Step]) -> str:
    return msgspec.json.encode([_told(step) for step in path]).decode()


def _told(step: Step) -> tuple[Any, ...]:
    if step.usd is None and step.seconds is None:
        return (step.at, step.because)
    return (step.at, step.because, step.usd, step.seconds)


def _steps(path: str) -> tuple[Step, ...]:
    return tuple(Step(*told) for told in msgspec.json.decode(path))


def _ext(code: int, data: memoryview) -> list[float]:
    import numpy as np

    values: list[float] = np.frombuffer(data, "<f4").tolist()
    return values
