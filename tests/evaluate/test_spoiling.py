from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.spoiling import (
    categories,
    check_form,
    hit_rows,
    is_null,
    named,
    null_of,
    numbers,
    put,
    put_numbers,
    with_columns,
)
from roadworthy.testing.corruptions import mixed_sample


def test_columns_are_found_by_their_kind_and_their_name() -> None:
    sample = mixed_sample()
    assert numbers(sample) == ("heat", "holes")
    assert numbers(sample, ("holes", "town")) == ("holes",)
    assert categories(sample) == ("town",)
    assert categories(sample, ("said",)) == ("said",)
    assert named(sample, (), "image") == ("seen",)


def test_text_that_nobody_described_may_be_a_category() -> None:
    assert categories(Sample({"town": np.array(["a"], dtype=object), "x": np.ones(1)})) == ("town",)


def test_a_vector_is_put_row_by_row() -> None:
    put_in = put(np.zeros((3, 2)), np.array([True, False, True]), np.array([[1.0, 2], [3, 4], [5, 6]]))
    assert put_in.tolist() == [[1, 2], [0, 0], [5, 6]]


def test_text_stays_objects_whatever_is_put_in() -> None:
    column = np.array(["a", None], dtype=object)
    assert put(column, np.array([True, False]), "a longer one").tolist() == ["a longer one", None]
    assert put(column, np.array([True, False]), "b").dtype == object
    assert put(column, np.array([True, True]), null_of(column)).tolist() == [None, None]


def test_the_column_that_came_in_is_not_written_into() -> None:
    column = np.zeros(2)
    put(column, np.array([True, True]), 1.0)
    assert not column.any()


def test_an_integer_stays_whole() -> None:
    sample = Sample({"n": np.array([1.0]), "x": np.array([1.0])}, fields={"n": Field("integer"), "x": Field()})
    every = np.array([True])
    assert put_numbers(sample, "n", every, np.array([2.7])).tolist() == [3]
    assert put_numbers(sample, "x", every, np.array([2.7])).tolist() == [2.7]


def test_more_rows_are_hit_as_the_share_grows_and_none_is_spared_again() -> None:
    few, many = (hit_rows(mixed_sample(1000), share, np.random.default_rng(0)) for share in (0.2, 0.6))
    assert many[few].all()
    assert not hit_rows(mixed_sample(), 0.0, np.random.default_rng(0)).any()
    assert hit_rows(mixed_sample(), 1.0, np.random.default_rng(0)).all()


def test_null_is_none_or_nan_or_a_vector_with_one() -> None:
    assert is_null(np.array([None, "a", float("nan")], dtype=object)).tolist() == [True, False, True]
    assert is_null(np.array([[1.0, np.nan], [1, 2]])).tolist() == [True, False]
    assert is_null(np.empty(0)).tolist() == []


def test_columns_keep_their_order() -> None:
    sample = mixed_sample()
    assert list(with_columns(sample, {"holes": sample.columns["heat"]}).columns) == list(sample.columns)
    assert with_columns(sample, {}) is sample


def test_a_form_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="must be one of fog, snow; got 'snwo'; did you mean 'snow'"):
        check_form("snwo", ("fog", "snow"))
