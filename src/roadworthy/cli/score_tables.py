"""Reads a table of any size in chunks for scoring; a cell that cannot be read fails its row and no other.

Unlike `data.tables`, which refuses a table that a model cannot be measured on, it lets every row through that it can.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from roadworthy.core.errors import BadData, nearest
from roadworthy.core.spec import Field

if TYPE_CHECKING:
    import polars

Format = Literal["parquet", "csv"]

BLOCK = 1 << 20


class Bytes(NamedTuple):
    """What a file is: the SHA-256 of its bytes, and how many lines they have."""

    digest: str
    lines: int


@dataclass(frozen=True)
class Chunk:
    """Some rows of a table from row `start` on. `faults` maps a row's place in the chunk to why it cannot be read."""

    start: int
    frame: polars.DataFrame
    faults: Mapping[int, str] = field(default_factory=dict)


def format_of(path: Path, what: str) -> Format:
    """Parquet or CSV, by the file's name. Raises BadData."""
    suffixes = path.suffixes[-2:]
    if path.suffix.lower() in (".parquet", ".pq"):
        return "parquet"
    if path.suffix.lower() == ".csv" or [s.lower() for s in suffixes] == [".csv", ".gz"]:
        return "csv"
    raise BadData(f"{what} {str(path)!r}: a table ends in .parquet or .csv, got {path.suffix!r}")


def bytes_of(path: Path) -> Bytes:
    """One look at the whole file."""
    digest, lines = sha256(), 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            lines += block.count(b"\n")
    return Bytes(digest.hexdigest(), lines)


def column_names(path: Path) -> list[str]:
    """The columns of the table. Raises BadData for a file that is missing, empty or damaged."""
    import polars

    if not path.is_file():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise BadData(f"no table {str(path)!r}{nearest(path.name, beside)}")
    if format_of(path, "table") == "csv":
        with _open_csv(path) as rows:
            header = next(rows, None)
        if not header:
            raise BadData(f"{str(path)!r} is empty: a CSV begins with the names of its columns")
        return header
    try:
        return list(polars.scan_parquet(path).collect_schema())
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as wrong:
        told = f"{path.stat().st_size} bytes that cannot be read as Parquet"
        raise BadData(f"{str(path)!r} is empty or damaged, {told} ({wrong}); write it again") from wrong


def count_rows(path: Path, lines: int) -> int | None:
    """How many rows there are; of a CSV about, by its lines, and None where it is compressed."""
    import polars

    if format_of(path, "table") == "csv":
        return max(0, lines - 1) if path.suffix.lower() == ".csv" else None
    return int(polars.scan_parquet(path).select(polars.len()).collect().item())


def chunks(path: Path, wanted: Sequence[str], start: int, stop: int | None, size: int) -> Iterator[Chunk]:
    """The wanted columns of rows `start` to `stop`, `size` at a time. Raises BadData where the file is damaged."""
    reader = _csv_chunks if format_of(path, "table") == "csv" else _parquet_chunks
    yield from reader(path, wanted, start, stop, size)


def cells(series: polars.Series, field: Field) -> list[Any]:
    """A column as the Python values that a client would send; what is no such value is left as it stands.

    Whoever checks requests then refuses it in its own words.
    """
    import polars

    if field.width > 1:
        return series.to_list()
    if field.datatype == "BYTES":
        return series.cast(polars.String).to_list()
    if field.kind == "boolean":
        return [_boolean(value) for value in series.to_list()]
    if series.dtype == polars.Boolean:
        series = series.cast(polars.Int64)
    # "Null" is the type of a column without a single value.
    wanted = polars.Int64 if field.kind == "integer" and not series.dtype.is_float() else polars.Float64
    cast = series.cast(wanted, strict=False)
    values = cast.to_list()
    if cast.null_count() > series.null_count():
        values = [_number(given) if v is None else v for v, given in zip(values, series.to_list(), strict=True)]
    return values


def _number(given: Any) -> Any:
    """What the fast way could not read: a whole number such as 3.0, or no number at all."""
    try:
        return float(given) if isinstance(given, str) and "_" not in given else given
    except ValueError:
        return given


def _boolean(value: Any) -> Any:
    if isinstance(value, str):
        return {"true": True, "false": False, "1": True, "0": False}.get(value.lower(), value)
    return bool(value) if value in (0, 1) else value


def _parquet_chunks(path: Path, wanted: Sequence[str], start: int, stop: int | None, size: int) -> Iterator[Chunk]:
    import polars

    # A damaged page makes polars panic, which it says in an exception that is no PolarsError.
    damaged = (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError)
    lazy = polars.scan_parquet(path).select(wanted)
    while stop is None or start < stop:
        rows = size if stop is None else min(size, stop - start)
        try:
            frame = lazy.slice(start, rows).collect()
        except damaged as wrong:
            raise BadData(f"{str(path)!r} is damaged behind row {start}: {wrong}") from wrong
        if not frame.height:
            return
        yield Chunk(start, frame)
        start += frame.height


def _csv_chunks(path: Path, wanted: Sequence[str], start: int, stop: int | None, size: int) -> Iterator[Chunk]:
    """Rows one by one, for a row with a cell too many or too few is no reason to lose the others."""
    import polars

    with _open_csv(path) as rows:
        header = next(rows)
        places = [header.index(name) for name in wanted]
        for begin in range(0, start, size):
            if not list(islice(rows, min(size, start - begin))):
                return
        while read := list(islice(rows, size if stop is None else min(size, stop - start))):
            odd = f"cells instead of the {len(header)} that the header names"
            faults = {k: f"the row has {len(row)} {odd}" for k, row in enumerate(read) if len(row) != len(header)}
            columns = {
                name: [row[place] or None if len(row) > place else None for row in read]
                for name, place in zip(wanted, places, strict=True)
            }
            yield Chunk(start, polars.DataFrame(columns, schema=dict.fromkeys(wanted, polars.String)), faults)
            start += len(read)


@contextmanager
def _open_csv(path: Path) -> Iterator[Iterator[list[str]]]:
    """The rows of a CSV while the block runs. Raises BadData where they cannot be read."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        yield _csv_rows(csv.reader(file), path)


def _csv_rows(reader: Any, path: Path) -> Iterator[list[str]]:
    """Every row but empty lines."""
    try:
        yield from (row for row in reader if row)
    except (csv.Error, UnicodeDecodeError, EOFError, OSError) as wrong:
        raise BadData(f"{str(path)!r} is damaged at line {reader.line_num + 1}: {wrong}") from wrong
