"""A table of any size is read in chunks, and a cell that is no value of its column is left for the check to refuse."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from roadworthy.cli.score_tables import bytes_of, cells, chunks, column_names, count_rows, format_of
from roadworthy.core.errors import BadData
from roadworthy.core.spec import Field


@pytest.mark.parametrize(
    ("field", "values", "expected"),
    [
        (Field(), ["1.5", "1e3", None, "-2", "abc", "1_0", "nan"], [1.5, 1000.0, None, -2.0, "abc", "1_0", "nan"]),
        (Field("integer"), ["3", "4.0", None, "4.5", "x", str(2**53 + 1)], [3, 4.0, None, 4.5, "x", 2**53 + 1]),
        (Field("integer"), [2.0, 2.5, None], [2.0, 2.5, None]),
        (Field("integer"), [2**53 + 1, None], [2**53 + 1, None]),
        (Field("boolean"), ["true", "FALSE", "1", "0", None, "yes"], [True, False, True, False, None, "yes"]),
        (Field("boolean"), [1, 0, 2, None], [True, False, 2, None]),
        (Field("boolean"), [True, None], [True, None]),
        (Field(), [True, False], [1.0, 0.0]),
        (Field(), [None, None], [None, None]),
        (Field("category"), ["007", None], ["007", None]),
        (Field("category"), [7, None], ["7", None]),
        (Field(width=2), [[1.0, 2.0], None, [3.0]], [[1.0, 2.0], None, [3.0]]),
    ],
)
def test_a_cell_becomes_what_a_client_would_send(field: Field, values: list[Any], expected: list[Any]) -> None:
    found = cells(pl.Series("x", values, strict=False), field)
    shown = [("nan" if isinstance(v, float) and v != v else v) for v in found]
    assert shown == expected
    assert [type(v) for v in found if v == v] == [type(v) for v, f in zip(expected, found, strict=True) if f == f]


def rows_of(path: Path, wanted: tuple[str, ...] = ("a", "b"), start: int = 0, stop: int | None = None) -> list[Any]:
    """The start of each chunk of three rows with its rows."""
    return [(c.start, c.frame.rows(), dict(c.faults)) for c in chunks(path, wanted, start, stop, 3)]


@pytest.fixture
def frame() -> pl.DataFrame:
    return pl.DataFrame({"b": [str(k) for k in range(8)], "a": [f"a,\n{k}" for k in range(8)], "c": ["c"] * 8})


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.csv.gz"])
def test_the_rows_come_in_order_from_any_start_to_any_stop(frame: pl.DataFrame, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(frame.write_csv().encode()))
    else:
        getattr(frame, f"write_{name[2:]}")(path)
    expected = frame.select("a", "b").rows()
    assert rows_of(path) == [(0, expected[:3], {}), (3, expected[3:6], {}), (6, expected[6:], {})]
    assert rows_of(path, start=3, stop=7) == [(3, expected[3:6], {}), (6, expected[6:7], {})]
    assert rows_of(path, stop=2) == [(0, expected[:2], {})]
    assert rows_of(path, start=9) == []
    assert column_names(path) == ["b", "a", "c"]
    assert count_rows(path, bytes_of(path).lines) in (8, 16, None)


def test_rows_of_another_length_are_faults_and_empty_lines_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3\r\n4,5,6\r\n,7\r\n")
    (first, rows, faults), (second, last, _) = rows_of(path)
    assert (first, rows) == (0, [("1", "2"), ("3", None), ("4", "5")])
    assert faults == {
        1: "the row has 1 cells instead of the 2 that the header names",
        2: "the row has 3 cells instead of the 2 that the header names",
    }
    assert (second, last) == (3, [(None, "7")])


def test_a_csv_that_breaks_in_the_middle_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,2\n" + b"3,\xff\n")
    with pytest.raises(BadData, match=r"t\.csv' is damaged at line"):
        rows_of(path)
    torn = tmp_path / "t.csv.gz"
    torn.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 50_000)[:-20])
    with pytest.raises(BadData, match=r"t\.csv\.gz' is damaged at line"):
        rows_of(torn)


def test_what_is_no_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"")
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    for name, told in (("t.csv", "is empty"), ("t.parquet", "empty or damaged"), ("u.csv", "did you mean 't.csv'")):
        with pytest.raises(BadData, match=told):
            column_names(tmp_path / name)
    for name in ("t.xlsx", "t.gz", "t"):
        with pytest.raises(BadData, match=r"ends in \.parquet or \.csv"):
            format_of(Path(name), "output")
    assert [format_of(Path(name), "output") for name in ("t.PARQUET", "t.pq", "t.CSV.gz")] == [
        "parquet",
        "parquet",
        "csv",
    ]
