"""The inputs of a model are inferred from a table: kinds, ranges, categories, nulls, and what is not an input."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.spec import Columns, Field
from roadworthy.data.schema import MOST_LISTED, field_of, guess_columns, infer

NOON = datetime(2013, 5, 1, 12, tzinfo=UTC)


def written(folder: Path, **columns: Any) -> Path:
    pl.DataFrame(columns).write_parquet(folder / "t.parquet")
    return folder / "t.parquet"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ([1.5, 2.5], Field(low=1.5, high=2.5)),
        ([1.5, None, 2.5], Field(nullable=True, low=1.5, high=2.5)),
        ([1.5, float("nan")], Field(nullable=True, low=1.5, high=1.5)),
        ([1, 7], Field("integer", low=1.0, high=7.0)),
        ([1, None], Field(nullable=True, low=1.0, high=1.0)),
        ([True, None], Field("boolean", nullable=True)),
        (["b", "a", "b"], Field("category", values=("a", "b"))),
        (["b", None], Field("category", nullable=True, values=("b",))),
        ([f"free text {n}" for n in range(30)], Field("text")),
        ([f"c{n % 400:03}" for n in range(2000)], Field("category")),
        ([[1.0, 2.0], [3.0, 4.0]], Field(width=2)),
        ([NOON, NOON], None),
    ],
)
def test_a_column_tells_its_field(values: list[Any], field: Field | None) -> None:
    assert field_of(pl.Series("x", values)) == field


def test_a_polars_category_is_one_and_a_fixed_array_has_its_width() -> None:
    assert field_of(pl.Series(["b", "a"], dtype=pl.Categorical)) == Field("category", values=("a", "b"))
    assert field_of(pl.Series([[1.0, 2.0, 3.0]], dtype=pl.Array(pl.Float32, 3))) == Field(width=3)


def test_as_many_categories_are_listed_as_one_reads() -> None:
    names = [f"c{n}" for n in range(MOST_LISTED)] * 3
    assert len((field_of(pl.Series(names)) or Field()).values) == MOST_LISTED


def test_columns_with_another_role_are_not_inputs_but_tags_are(tmp_path: Path) -> None:
    path = written(tmp_path, id=["a"], at=[1.0], y=[1], plane=["N1"], origin=["JFK"], weather_known_at=[NOON], x=[2.0])
    found = infer(path, Columns("y", "id", "at", "", "plane", ("origin",)))
    assert list(found) == ["origin", "x"]


def test_a_table_with_nothing_but_the_label_has_no_inputs(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no column left to be an input \(it has: y, at\)"):
        infer(written(tmp_path, y=[1], at=[NOON]), Columns("y"))


def test_roles_are_guessed_by_name_and_type(tmp_path: Path) -> None:
    path = written(
        tmp_path, id=["a", "b"], y=[0, 1], departed=[NOON, NOON], weather_known_at=[NOON, NOON], known_at=[3, 4]
    )
    assert guess_columns(path, "y") == Columns("y", "id", "departed", "known_at")


def test_an_id_that_repeats_is_none(tmp_path: Path) -> None:
    assert guess_columns(written(tmp_path, id=["a", "a"], y=[0, 1]), "y") == Columns("y")


def test_a_label_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no column 'lable'; did you mean 'label'\?"):
        guess_columns(written(tmp_path, label=[0, 1]), "lable")
