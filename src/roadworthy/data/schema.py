"""Infers the inputs of a model from a table: their kinds, ranges, categories and whether they may be null."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from roadworthy.core.errors import BadData
from roadworthy.core.spec import Columns, Field, Kind
from roadworthy.data.tables import read_frame

if TYPE_CHECKING:
    import polars

# With more distinct texts than this, or with most rows distinct, a column is free text and not a category.
MOST_CATEGORIES = 1000
# A longer list helps nobody who reads the project file.
MOST_LISTED = 150

KNOWN_AT = "known_at"


def infer(path: Path, columns: Columns) -> dict[str, Field]:
    """The inputs in the order of the table: every column that is not the label, an id, the key or a time.

    Raises BadData where nothing is left, or as `read_frame` does.
    """
    frame = read_frame(path)
    apart = {columns.label, columns.id, columns.at, columns.known_at, columns.key}
    fields = {name: field_of(frame[name]) for name in frame.columns if name not in apart}
    found = {name: field for name, field in fields.items() if field is not None}
    if not found:
        raise BadData(f"{str(path)!r} has no column left to be an input (it has: {', '.join(frame.columns)})")
    return found


def field_of(series: polars.Series) -> Field | None:
    """What a column holds, or None for a time or another thing that no model takes."""
    import polars

    kind, nullable = series.dtype, bool(series.null_count())
    if kind == polars.Boolean:
        return Field("boolean", nullable=nullable)
    if kind.is_numeric():
        return _number(series, nullable)
    if str(kind).startswith(("String", "Categorical", "Enum")):
        return _words(series.cast(polars.String), nullable)
    if isinstance(kind, polars.Array | polars.List) and kind.inner.is_numeric():
        lengths = series.list.len() if isinstance(kind, polars.List) else polars.Series([kind.size])
        return Field("number", nullable=nullable, width=int(lengths.drop_nulls().max() or 1))  # type: ignore[arg-type]
    return None


def guess_columns(path: Path, label: str) -> Columns:
    """The roles that the names and the types of a table suggest: id, times and outcome."""
    frame = read_frame(path)
    if label not in frame.columns:
        read_frame(path, [label])
    times = [name for name, kind in frame.schema.items() if kind.is_temporal()]
    known = _first(frame.columns, (KNOWN_AT, "label_at", "outcome_at"))
    at = _first(frame.columns, ("at", "time", "timestamp", "event_time", "datetime", "date"))
    at = at or next((name for name in times if not name.endswith(KNOWN_AT)), "")
    ids = [name for name in ("id", "request_id", "row_id", "uuid") if name in frame.columns]
    return Columns(label, next((n for n in ids if frame[n].is_unique().all()), ""), at, known)


def _number(series: polars.Series, nullable: bool) -> Field:
    seen = series.drop_nulls()
    seen = seen.drop_nans() if seen.dtype.is_float() else seen
    nullable = nullable or len(seen) < len(series)
    # INT64 tensors carry no null, so whole numbers with gaps travel as floats.
    kind: Kind = "integer" if series.dtype.is_integer() and not nullable else "number"
    return Field(kind, nullable=nullable, low=_float(seen.min()), high=_float(seen.max()))


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _words(series: polars.Series, nullable: bool) -> Field:
    values = sorted(series.drop_nulls().unique().to_list())
    if len(values) > MOST_CATEGORIES or 2 * len(values) > max(20, len(series)):
        return Field("text", nullable=nullable)
    return Field("category", nullable=nullable, values=tuple(values) if len(values) <= MOST_LISTED else ())


def _first(names: Sequence[str], wanted: Sequence[str]) -> str:
    return next((name for name in wanted if name in names), "")
