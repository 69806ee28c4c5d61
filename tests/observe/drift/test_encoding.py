from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.window import Window
from roadworthy.observe.drift.encoding import Encoding, aligned, nulls_in, rows_of


def window(**columns):
    n = len(next(iter(columns.values())))
    return Window(columns, {}, np.full(n, np.nan), np.arange(n, dtype=float))


def texts(*values):
    return np.array(values, dtype=object)


def test_numbers_keep_their_order_and_stay_within_bounds():
    learnt = np.random.default_rng(0).lognormal(size=500)
    encoding = Encoding.of({"x": learnt})
    place = encoding({"x": np.array([-1e300, 0.1, 1.0, 5.0, 1e300, np.inf])})[:, 0]
    assert (np.diff(place) >= 0).all()
    assert np.isfinite(place).all()
    assert place[-1] == place[-2]


def test_one_outlier_hardly_moves_the_others():
    learnt = np.random.default_rng(0).normal(size=500)
    planted = learnt.copy()
    planted[0] = 1e6
    before, after = (Encoding.of({"x": v})({"x": learnt[1:]})[:, 0] for v in (learnt, planted))
    assert np.abs(before - after).max() < 0.15


def test_nulls_are_a_feature_and_stand_in_the_middle():
    values = np.random.default_rng(0).normal(size=400)
    values[:100] = np.nan
    encoding = Encoding.of({"x": values})
    features = encoding({"x": np.array([np.nan, 0.0])}) * encoding.spreads + encoding.means
    assert features[0].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert features[1, 3] == 0.0


def test_categories_are_the_commonest_any_other_and_null():
    encoding = Encoding.of({"c": texts("a", "a", "b", None)})
    raw = encoding({"c": texts("a", "b", "new", None)}) * encoding.spreads + encoding.means
    assert raw.tolist() == pytest.approx(np.array([[0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0], [1, 0, 0, 0]]))
    assert encoding.owners.tolist() == [0, 0, 0, 0]
    assert encoding.simple.all()


def test_a_column_without_any_value_is_no_harm():
    encoding = Encoding.of({"x": np.full(10, np.nan), "c": texts(*[None] * 10)})
    assert np.isfinite(encoding({"x": np.array([1.0, np.nan]), "c": texts("a", None)})).all()


def test_the_reference_says_how_both_are_read():
    old, new = aligned(window(x=np.arange(3.0)), window(x=texts("1", None, 7)), ("x",))
    assert new["x"].dtype == np.float64
    assert np.isnan(new["x"][:2]).all()
    assert new["x"][2] == 7.0
    old, new = aligned(window(x=np.full(2, np.nan)), window(x=texts("a", None)), ("x",))
    assert (old["x"].dtype, new["x"].tolist()) == (object, ["a", None])


def test_a_column_that_vanished_is_null_and_vectors_are_left_out():
    reference = window(x=np.arange(3.0), c=texts("a", "b", "a"), v=np.zeros((3, 4)))
    old, new = aligned(reference, window(z=np.arange(5.0)), ("x", "c", "v"))
    assert list(old) == list(new) == ["x", "c"]
    assert nulls_in(new["x"]).all()
    assert nulls_in(new["c"]).all()
    assert len(new["c"]) == 5


def test_rows_are_taken_from_every_column():
    taken = rows_of({"x": np.arange(4.0), "c": texts("a", "b", "c", None)}, np.array([3, 0]))
    assert taken["x"].tolist() == [3.0, 0.0]
    assert taken["c"].tolist() == [None, "a"]
