"""Reads a table (Parquet or CSV) into a Sample, and refuses one that the model cannot be measured on."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData, MissingExtra, nearest
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Columns, Field, Signature, Task
from roadworthy.data.labels import class_numbers

if TYPE_CHECKING:
    import polars

# How a field's kind is called in an error, and what to do when the column is something else.
WANTED = {
    "number": "numbers; write plain numbers, or declare it as `kind: category`",
    "integer": "whole numbers; round them, or declare it as `kind: number`",
    "category": "text; write it as text, or declare it as `kind: number`",
    "text": "text; write it as text, or declare it as `kind: number`",
    "image": "numbers; write the pixels of a row as one list, row by row",
    "boolean": "true or false; write booleans or 0 and 1, or declare it as `kind: number`",
}


def read_sample(
    path: Path,
    columns: Columns,
    inputs: Mapping[str, Field],
    task: Task = "binary",
    classes: Sequence[str] = (),
) -> Sample:
    """The rows of a table in their order, with the digest of the file's bytes.

    Labels are floats with NaN where unknown (0 and 1 only, for a binary task). Those that are names become the numbers
    of `classes` (of two the second is positive), and stay as text in `targets`; so do the texts that a generation
    task expects, which has no labels. Times are Unix seconds, those without a zone being UTC. Raises BadData with the
    file, the column and what to do.
    """
    text = [name for name, field in inputs.items() if field.datatype == "BYTES"]
    named = [columns.label, columns.id, columns.at, columns.known_at, columns.key, *columns.tags]
    strings = [*text, *(name for name in (columns.id, columns.key, *columns.tags) if name)]
    # A name may look like a number: the class "007" of a CSV would else be 7.
    strings += [columns.label] if task == "generation" or classes else []
    frame = read_frame(path, [*inputs, *(name for name in named if name)], strings)
    labels, targets = _outcomes(frame[columns.label], task, classes, path)
    return Sample(
        columns={name: _column(frame[name], field, path) for name, field in inputs.items()},
        labels=labels,
        at=seconds_of(frame[columns.at], path) if columns.at else None,
        known_at=seconds_of(frame[columns.known_at], path) if columns.known_at else None,
        ids=_ids(frame[columns.id], path) if columns.id else None,
        tags={name: _text(frame[name], "") for name in columns.tags},
        source=str(path),
        digest=digest(path),
        keys=_text(frame[columns.key], "") if columns.key else None,
        fields=dict(inputs),
        targets=targets,
    )


def read_frame(path: Path, wanted: Iterable[str] | None = None, text: Sequence[str] = ()) -> polars.DataFrame:
    """The wanted columns (all where None) as polars reads them; `text` columns of a CSV keep their leading zeros.

    Raises BadData for a file that is missing, empty or damaged, and for a column that it lacks.
    """
    if importlib.util.find_spec("polars") is None:
        raise MissingExtra(f"reading {str(path)!r}", "polars", "data")
    import polars

    if not path.is_file():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise BadData(f"no table {str(path)!r}{nearest(path.name, beside)}; make it, or correct the path in `data`")
    # Some damaged pages make polars panic, which it says in an exception that is no PolarsError.
    damaged = (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError, UnicodeDecodeError)
    try:
        frame = _load(path, wanted, text)
    except damaged as wrong:
        told = f"{path.stat().st_size} bytes that cannot be read as {_format(path)}"
        raise BadData(f"{str(path)!r} is empty or damaged, {told} ({wrong}); write it again") from wrong
    if not frame.height:
        raise BadData(f"{str(path)!r} has no rows; a measurement needs some: write the table again")
    return frame


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(sample: Sample, signature: Signature) -> None:
    """Raise BadData where the sample cannot be given to a model with this signature.

    Unlisted categories and numbers outside `low` and `high` are let through: production has them too.
    """
    source = repr(sample.source or "the sample")
    for name, field in signature.inputs.items():
        if name not in sample.columns:
            known = f"{nearest(name, sample.columns)} (it has: {', '.join(sample.columns)})"
            raise BadData(f"{source} has no column {name!r}, which the model needs{known}; add it to the table")
        found = sample.columns[name]
        width = found.shape[1] if found.ndim > 1 else 1
        if (found.dtype == object) != (field.datatype == "BYTES"):
            raise BadData(f"{source}, column {name!r}: has {found.dtype}, the model takes {WANTED[field.kind]}")
        if width != field.width:
            raise BadData(f"{source}, column {name!r}: {width} values a row, the model takes {field.width}")
        nulls = int(np.sum(_null(found)))
        if nulls and not field.nullable:
            remedy = f"fill them, or declare `{name}: {{nullable: true}}` if the model takes nulls"
            raise BadData(f"{source}, column {name!r}: {nulls} of {sample.n} rows are null; {remedy}")


def _load(path: Path, wanted: Iterable[str] | None, text: Sequence[str]) -> polars.DataFrame:
    import polars

    if _format(path) == "Parquet":
        lazy = polars.scan_parquet(path)
    else:
        header = polars.read_csv(path, n_rows=0).columns
        types = {name: polars.String for name in text if name in header}
        lazy = polars.scan_csv(path, infer_schema_length=None, schema_overrides=types)
    names = list(lazy.collect_schema())
    chosen = list(dict.fromkeys(names if wanted is None else wanted))
    for name in chosen:
        if name not in names:
            known = f"{nearest(name, names)} (it has: {', '.join(names)})"
            raise BadData(f"{str(path)!r} has no column {name!r}{known}; add it, or correct the name in `data.columns`")
    return lazy.select(chosen).collect()


def _format(path: Path) -> str:
    if path.suffix.lower() in (".parquet", ".pq"):
        return "Parquet"
    if path.suffix.lower() in (".csv", ".gz", ".zst"):
        return "CSV"
    raise BadData(f"{str(path)!r}: a table ends in .parquet or .csv (or .csv.gz), got {path.suffix!r}")


def _column(series: polars.Series, field: Field, path: Path) -> NDArray[Any]:
    """(n,) of float64 with NaN for null or object of str/None, or (n, width) of float64."""
    if field.width > 1:
        return _vectors(series, field, path)
    kind = series.dtype
    text = field.datatype == "BYTES"
    right = _is_text(series) if text else kind.is_numeric() or str(kind) in ("Boolean", "Null")
    if not right:
        given = series.drop_nulls().head(1).to_list()
        told = f"is {kind}" + (f" such as {given[0]!r}" if given else "")
        raise BadData(f"{str(path)!r}, column {series.name!r}: {told}, expected {WANTED[field.kind]}")
    if text:
        return _text(series)
    values = _floats(series)
    odd = values[np.isfinite(values) & ~_allowed(values, field)]
    if len(odd):
        told = f"holds {float(odd[0])!r}, expected {WANTED[field.kind]}"
        raise BadData(f"{str(path)!r}, column {series.name!r}: {told}")
    return values


def _allowed(values: NDArray[np.float64], field: Field) -> NDArray[np.bool_]:
    if field.kind == "integer":
        return np.asarray(values == np.round(values))
    return np.isin(values, (0.0, 1.0)) if field.kind == "boolean" else np.ones(len(values), dtype=bool)


def _vectors(series: polars.Series, field: Field, path: Path) -> NDArray[np.float64]:
    rows = series.to_list()
    lengths = {len(row) if isinstance(row, list) else 1 for row in rows}
    if lengths != {field.width}:
        told = f"rows hold {sorted(lengths)} values, expected lists of {field.width}"
        raise BadData(f"{str(path)!r}, column {series.name!r}: {told}; write them so, or correct `width`")
    return np.array(rows, dtype=np.float64)


def _outcomes(
    series: polars.Series, task: Task, classes: Sequence[str], path: Path
) -> tuple[NDArray[np.float64] | None, NDArray[np.object_] | None]:
    """The labels as numbers and, where they are text, as that."""
    if task == "generation":
        return None, _text(series)
    if task == "regression" or not classes or str(series.dtype) == "Null":
        return _labels(series, task, path), None
    where = f"{str(path)!r}, label {series.name!r}"
    if task == "binary" and len(classes) != 2:
        raise BadData(f"{where}: a binary task has two `classes`, the second positive; got {list(classes)!r}")
    texts = _text(series)
    named = not set(classes).isdisjoint(texts)
    return class_numbers(texts, classes, where), texts if named else None


def _labels(series: polars.Series, task: Task, path: Path) -> NDArray[np.float64]:
    where = f"{str(path)!r}, label {series.name!r}"
    if not (series.dtype.is_numeric() or str(series.dtype) in ("Boolean", "Null")):
        given = series.drop_nulls().head(1).to_list()
        remedy = "write it as a number"
        if task != "regression":
            remedy += " (0 and 1 for yes or no), or name its `classes` in the application"
        raise BadData(f"{where}: is {series.dtype} such as {given[0]!r}; {remedy}")
    labels = _floats(series)
    odd = np.unique(labels[~np.isnan(labels) & ~np.isin(labels, (0.0, 1.0))])
    if task == "binary" and len(odd):
        raise BadData(f"{where}: must be 0 or 1 (null where unknown), got {float(odd[0])!r}; recode it as 0 and 1")
    return labels


def seconds_of(series: polars.Series, path: Path, nullable: bool = False) -> NDArray[np.float64]:
    """Times as Unix seconds: datetimes (UTC where no zone is said), dates, ISO text, or Unix seconds already.

    Null is NaN where `nullable`, and BadData elsewhere.
    """
    import polars

    kind = series.dtype
    if kind == polars.String:
        series = series.str.to_datetime(strict=False, time_zone="UTC")
    elif kind == polars.Date:
        series = series.cast(polars.Datetime("us"))
    if isinstance(series.dtype, polars.Datetime):
        seconds = _floats(series.dt.epoch("us")) / 1e6
    elif kind.is_numeric():
        seconds = _floats(series)
    else:
        raise BadData(f"{str(path)!r}, column {series.name!r}: is {kind}, expected a time; write it as a datetime")
    unknown = int(np.isnan(seconds).sum())
    if unknown and not nullable:
        told = f"{unknown} of {len(seconds)} rows have no time that can be read"
        raise BadData(f"{str(path)!r}, column {series.name!r}: {told}; write a datetime such as 2013-05-01T09:15:00Z")
    return seconds


def _ids(series: polars.Series, path: Path) -> NDArray[np.object_]:
    ids = _text(series)
    if series.null_count():
        raise BadData(f"{str(path)!r}, column {series.name!r}: {series.null_count()} rows have no id; give each one")
    twice = series.filter(series.is_duplicated())
    if len(twice):
        told = f"{twice[0]!r} stands in more than one row; labels are joined by id, so make it unique"
        raise BadData(f"{str(path)!r}, column {series.name!r}: {told}")
    return ids


def _text(series: polars.Series, null: str | None = None) -> NDArray[np.object_]:
    import polars

    found = series.cast(polars.String)
    return np.array((found if null is None else found.fill_null(null)).to_list(), dtype=object)


def _floats(series: polars.Series) -> NDArray[np.float64]:
    import polars

    return np.asarray(series.cast(polars.Float64).fill_null(float("nan")).to_numpy(), dtype=np.float64)


def _is_text(series: polars.Series) -> bool:
    return str(series.dtype).startswith(("String", "Categorical", "Enum", "Null"))


def _null(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype == object:
        return np.array([v is None for v in values], dtype=bool)
    return np.asarray(np.isnan(values).reshape(len(values), -1).any(axis=1), dtype=bool)
