"""A table becomes a Sample, or is refused with the file, the column and what to do."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Columns, Field, Signature
from roadworthy.data.tables import check, digest, read_frame, read_sample

NOON = datetime(2013, 5, 1, 12, tzinfo=UTC)
NUMBER, WHOLE, CATEGORY, FLAG = Field(nullable=True), Field("integer"), Field("category"), Field("boolean")
COLUMNS = Columns("late", "id", "at", "known_at", "plane", ("origin",))
INPUTS = {"temp": NUMBER, "seats": WHOLE, "origin": CATEGORY, "jet": FLAG}

ROWS: dict[str, Any] = {
    "id": ["a", "b", "c"],
    "at": [NOON] * 3,
    "known_at": [NOON.replace(hour=15)] * 3,
    "late": [0, 1, None],
    "plane": ["N1", None, "N2"],
    "origin": ["JFK", None, "LGA"],
    "temp": [20.5, None, float("nan")],
    "seats": [100, 200, 50],
    "jet": [True, False, True],
    "unused": ["x", "y", "z"],
}


def table(folder: Path, name: str = "t.parquet", **columns: Any) -> Path:
    """ROWS with some columns replaced, written where `name` says."""
    frame = pl.DataFrame({**ROWS, **columns}, strict=False)
    path = folder / name
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    return path


def read(path: Path, **inputs: Field) -> Sample:
    return read_sample(path, COLUMNS, {**INPUTS, **inputs})


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_every_column_comes_out_as_a_sample_has_it(tmp_path: Path, name: str) -> None:
    sample = read(table(tmp_path, name))
    assert list(sample.columns) == list(INPUTS)
    np.testing.assert_array_equal(sample.columns["temp"], [20.5, np.nan, np.nan])
    np.testing.assert_array_equal(sample.columns["seats"], [100.0, 200.0, 50.0])
    np.testing.assert_array_equal(sample.columns["jet"], [1.0, 0.0, 1.0])
    assert sample.columns["origin"].tolist() == ["JFK", None, "LGA"]
    assert sample.columns["origin"].dtype == object
    assert sample.labels is not None
    np.testing.assert_array_equal(sample.labels, [0.0, 1.0, np.nan])
    assert sample.at is not None
    assert sample.at.tolist() == [NOON.timestamp()] * 3
    assert sample.known_at is not None
    assert sample.known_at.tolist() == [NOON.timestamp() + 3 * 3600] * 3
    assert sample.ids is not None
    assert sample.ids.tolist() == ["a", "b", "c"]
    assert sample.keys is not None
    assert sample.keys.tolist() == ["N1", "", "N2"]
    assert sample.tags["origin"].tolist() == ["JFK", "", "LGA"]


def test_the_digest_is_of_the_bytes_of_the_file(tmp_path: Path) -> None:
    path = table(tmp_path)
    assert read(path).digest == digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_taking_rows_takes_the_keys_too(tmp_path: Path) -> None:
    part = read(table(tmp_path)).take(slice(2, 3))
    assert part.keys is not None
    assert (part.n, part.keys.tolist()) == (1, ["N2"])


@pytest.mark.parametrize(
    "at",
    [
        [NOON.replace(tzinfo=None)] * 3,
        ["2013-05-01T12:00:00Z"] * 3,
        ["2013-05-01T08:00:00-04:00"] * 3,
        [NOON.timestamp()] * 3,
        [int(NOON.timestamp())] * 3,
    ],
)
def test_times_may_be_written_in_several_ways(tmp_path: Path, at: list[Any]) -> None:
    found = read(table(tmp_path, at=at)).at
    assert found is not None
    assert found.tolist() == [NOON.timestamp()] * 3


def test_a_date_is_its_midnight(tmp_path: Path) -> None:
    found = read(table(tmp_path, at=[date(1970, 1, 2)] * 3)).at
    assert found is not None
    assert found.tolist() == [86400.0] * 3


def test_codes_in_a_csv_keep_their_leading_zeros(tmp_path: Path) -> None:
    path = table(tmp_path, "t.csv", origin=["007", "010", "1"], id=["01", "02", "03"])
    sample = read(path)
    assert sample.columns["origin"].tolist() == ["007", "010", "1"]
    assert sample.ids is not None
    assert sample.ids.tolist() == ["01", "02", "03"]


def test_a_vector_a_row_becomes_a_matrix(tmp_path: Path) -> None:
    path = table(tmp_path, temp=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert read(path, temp=Field(width=2)).columns["temp"].tolist() == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ({"temp": ["cold", "warm", None]}, ("column 'temp'", "String such as 'cold'", "kind: category")),
        ({"origin": [1, 2, 3]}, ("column 'origin'", "Int64 such as 1", "kind: number")),
        ({"seats": [1.0, 2.5, 3.0]}, ("column 'seats'", "holds 2.5", "kind: number")),
        ({"jet": [0, 1, 2]}, ("column 'jet'", "holds 2.0", "true or false")),
        ({"late": [0, 1, 2]}, ("label 'late'", "must be 0 or 1", "got 2.0")),
        ({"late": ["yes", "no", None]}, ("label 'late'", "String such as 'yes'", "0 and 1")),
        ({"at": [NOON, None, NOON]}, ("column 'at'", "1 of 3 rows have no time")),
        ({"at": ["noon"] * 3}, ("column 'at'", "3 of 3 rows have no time", "2013-05-01T09:15:00Z")),
        ({"at": [True] * 3}, ("column 'at'", "is Boolean, expected a time")),
        ({"id": ["a", "b", "a"]}, ("column 'id'", "'a' stands in more than one row")),
        ({"id": ["a", None, "c"]}, ("column 'id'", "1 rows have no id")),
    ],
)
def test_a_wrong_column_is_told(tmp_path: Path, columns: dict[str, Any], parts: tuple[str, ...]) -> None:
    path = table(tmp_path, **columns)
    with pytest.raises(BadData) as caught:
        read(path)
    assert all(part in str(caught.value) for part in (str(path), *parts)), caught.value


def test_vectors_of_another_length_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"hold \[1, 2\] values, expected lists of 2"):
        read(table(tmp_path, temp=[[1.0, 2.0], [3.0], [5.0, 6.0]]), temp=Field(width=2))


def test_a_quantity_is_a_label_where_the_task_is_regression(tmp_path: Path) -> None:
    sample = read_sample(table(tmp_path, late=[0.5, 20.0, None]), COLUMNS, INPUTS, task="regression")
    assert sample.labels is not None
    np.testing.assert_array_equal(sample.labels, [0.5, 20.0, np.nan])


def test_a_missing_column_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no column 'tmep'; did you mean 'temp'\?.*correct the name"):
        read_frame(table(tmp_path), ["tmep"])


def test_a_missing_table_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"tt.parquet'; did you mean 't.parquet'\?"):
        read_frame(table(tmp_path).with_name("tt.parquet"))


def test_another_format_says_which_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(BadData, match=r"ends in \.parquet or \.csv .*got '\.xlsx'"):
        read_frame(tmp_path / "t.xlsx")


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_parquet_is_refused_wherever_it_was_cut(tmp_path: Path, kept: float) -> None:
    path = table(tmp_path, temp=[1.0, 2.0, 3.0])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(BadData, match=r"t\.parquet' is empty or damaged.*write it again"):
        read_frame(path)


def test_a_parquet_with_spoilt_pages_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(300) + whole[304:])
    with pytest.raises(BadData, match="is empty or damaged"):
        read_frame(path)


def test_flipped_bytes_are_read_or_refused_but_never_escape(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": range(500), "b": [f"x{n % 7}" for n in range(500)]}).write_parquet(path)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(1), 0
    for _ in range(100):
        spoilt = np.frombuffer(whole, np.uint8).copy()
        spoilt[rng.integers(0, len(whole), 10)] = rng.integers(0, 256, 10)
        path.write_bytes(spoilt.tobytes())
        try:
            read_frame(path)
        except BadData:
            refused += 1
    assert refused > 10


def test_an_empty_csv_and_one_without_rows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(BadData, match="is empty or damaged, 0 bytes"):
        read_frame(tmp_path / "empty.csv")
    (tmp_path / "head.csv").write_text("a,b\n")
    with pytest.raises(BadData, match="has no rows"):
        read_frame(tmp_path / "head.csv")


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"a": []}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(BadData, match="has no rows"):
        read_frame(tmp_path / "t.parquet")


def signature(**inputs: Field) -> Signature:
    return Signature(inputs, {"probability": Field()})


def test_a_sample_that_fits_the_signature_is_let_through(tmp_path: Path) -> None:
    sample = read(table(tmp_path, origin=["JFK", "XXX", "LGA"]))
    listed = Field("category", values=("JFK", "LGA"))
    check(sample, signature(temp=Field(nullable=True, high=1.0), origin=listed, jet=FLAG))


@pytest.mark.parametrize(
    ("inputs", "part"),
    [
        ({"tempp": NUMBER}, r"no column 'tempp', which the model needs; did you mean 'temp'\?"),
        ({"temp": Field()}, r"column 'temp': 2 of 3 rows are null; .*nullable: true"),
        ({"origin": CATEGORY}, r"column 'origin': 1 of 3 rows are null"),
        ({"seats": CATEGORY}, r"column 'seats': has float64, the model takes text"),
        ({"origin": NUMBER}, r"column 'origin': has object, the model takes numbers"),
        ({"seats": Field("integer", width=4)}, r"column 'seats': 1 values a row, the model takes 4"),
    ],
)
def test_a_sample_that_does_not_fit_the_signature_is_refused(
    tmp_path: Path, inputs: dict[str, Field], part: str
) -> None:
    with pytest.raises(BadData, match=part):
        check(read(table(tmp_path)), signature(**inputs))
