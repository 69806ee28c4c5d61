"""What a table (Parquet or CSV) holds, counted for its data card: columns, nulls, ranges, rows, bytes and digest."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field

from roadworthy.core.errors import BadData, Missing, MissingExtra
from roadworthy.core.spec import Field, Spec

if TYPE_CHECKING:
    import polars

Type = Literal["number", "integer", "text", "boolean", "time", "date", "numbers"]
# The tables that a project may name, and what each is for.
TABLES: Mapping[str, str] = {
    "lab": "the rows that the model's claim was measured on",
    "history": "rows that a retraining may learn from, before the labels of production arrive",
    "production": "what really arrived, in its order",
}
_CLOCKS: Mapping[str, str] = {
    "at": "when it happened",
    "known_at": "when the outcome became known",
    "key": "whose rows stay together on one arm of a rollout",
}


class Column(Struct, frozen=True, omit_defaults=True):
    """One column. `low` and `high` are the least and greatest value that it holds, `meaning` what the project says."""

    name: str
    type: Type
    rows: int
    nulls: int
    meaning: str = ""
    unit: str = ""
    low: str = ""
    high: str = ""
    values: tuple[str, ...] = ()

    def told(self) -> str:
        """What is known of the column, as one line."""
        parts = [self.meaning or "meaning not stated"]
        parts += [f"unit {self.unit}"] if self.unit else []
        parts += [f"from {self.low} to {self.high}"] if self.low else []
        parts += [f"one of {', '.join(self.values)}"] if self.values else []
        share = self.nulls / self.rows if self.rows else 0.0
        parts.append(f"{self.nulls:,} of {self.rows:,} rows are null ({share:.2%})" if self.nulls else "no nulls")
        return "; ".join(parts)


class Table(Struct, frozen=True, omit_defaults=True):
    """A file of rows: what it is called, what it is for, and what it holds."""

    name: str
    file: Path
    meaning: str
    rows: int
    bytes: int
    sha256: str
    columns: tuple[Column, ...] = field(default_factory=tuple)
    since: str = ""
    until: str = ""
    row_id: str = ""


def tables_of(spec: Spec) -> tuple[Table, ...]:
    """The tables that the project names: lab, history and production. Raises Missing, BadData or MissingExtra."""
    named = {name: getattr(spec.data, name) for name in TABLES}
    return tuple(table_of(spec, name, spec.path(file)) for name, file in named.items() if file)


def table_of(spec: Spec, name: str, file: Path) -> Table:
    """One table, counted. Raises Missing or BadData, naming the file."""
    frame = _read(file)
    told = _meanings(spec)
    asked = {column: spec.application.inputs.get(column, Field()) for column in frame.columns}
    columns = tuple(_column(frame[column], told.get(column, ""), asked[column]) for column in frame.columns)
    times = next((column for column in columns if column.name == spec.data.columns.at), None)
    at = frame[times.name] if times else None
    return Table(
        name,
        file,
        TABLES.get(name, ""),
        frame.height,
        file.stat().st_size,
        digest_of(file),
        columns,
        since=_moment(at.min()) if at is not None else "",
        until=_moment(at.max()) if at is not None else "",
        row_id=spec.data.columns.id,
    )


def digest_of(file: Path) -> str:
    """SHA-256 of the file's bytes."""
    with file.open("rb") as read:
        return hashlib.file_digest(read, "sha256").hexdigest()


def _read(file: Path) -> polars.DataFrame:
    try:
        import polars
    except ImportError as absent:
        raise MissingExtra("a data card", "polars", "data") from absent
    if not file.is_file():
        raise Missing(f"no table {str(file)!r} to describe: make it, or correct `data` in the project file")
    try:
        if file.suffix == ".csv":
            return polars.read_csv(file, infer_schema_length=None)
        return polars.read_parquet(file)
    except polars.exceptions.PolarsError as wrong:
        raise BadData(f"{str(file)!r} cannot be read as a table (Parquet, or CSV with `.csv`): {wrong}") from wrong


def _meanings(spec: Spec) -> dict[str, str]:
    """What the project says of each column: the inputs' meanings, and what the others are for."""
    asked, named = spec.application, spec.data.columns
    what = asked.meaning.rstrip(".") or asked.name
    told = {getattr(named, clock): meaning for clock, meaning in _CLOCKS.items()}
    told |= dict.fromkeys(named.tags, "a tag to cut the results by")
    told |= {name: field.meaning for name, field in asked.inputs.items()}
    return told | {named.id: "names the row", named.label: f"the label, what became of it (asked: {what})"}


def _column(series: polars.Series, meaning: str, asked: Field) -> Column:
    kind = _type(series.dtype)
    low, high = _range(series, kind)
    return Column(
        series.name,
        kind,
        len(series),
        _nulls(series),
        meaning,
        asked.unit,
        low,
        high,
        asked.values if kind == "text" else (),
    )


def _type(dtype: Any) -> Type:
    import polars

    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    if isinstance(dtype, polars.Datetime):
        return "time"
    if isinstance(dtype, polars.List | polars.Array):
        return "numbers"
    return "boolean" if dtype == polars.Boolean else "date" if dtype == polars.Date else "text"


def _nulls(series: polars.Series) -> int:
    """Rows without a value; a float that is no number is one."""
    nan = int(series.is_nan().sum()) if series.dtype.is_float() else 0
    return series.null_count() + nan


def _range(series: polars.Series, kind: Type) -> tuple[str, str]:
    if kind not in ("number", "integer", "time", "date"):
        return "", ""
    known = series.drop_nulls()
    known = known.drop_nans() if series.dtype.is_float() else known
    return ("", "") if not len(known) else (_written(known.min()), _written(known.max()))


def _written(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _moment(value: Any) -> str:
    """A time in the form of ISO 8601, whether the column holds Unix seconds, datetimes or such a text."""
    if isinstance(value, int | float) and math.isfinite(value):
        return datetime.fromtimestamp(value, UTC).isoformat()
    return value.isoformat() if hasattr(value, "isoformat") else str(value or "")
