from __future__ import annotations

import numpy as np

from roadworthy.data.compared import compare, null, shown


def kinds(first, second):
    found = compare(first, second, 1e-5, 1e-9)
    parts = {"same": found.match, "differs": found.differ, "missing": found.missing, "extra": found.extra}
    told = [[name for name, part in parts.items() if part[k]] for k in range(len(first))]
    assert all(len(each) == 1 for each in told)
    return [each[0] for each in told]


def test_each_row_is_one_of_four_things():
    first = np.array([1.0, 1.0, np.nan, 1.0, np.nan])
    assert kinds(first, np.array([1.000001, 2.0, np.nan, np.nan, 1.0])) == [
        "same",
        "differs",
        "same",
        "missing",
        "extra",
    ]


def test_text_and_vectors_are_compared_whole():
    assert kinds(np.array(["a", "b", None], object), np.array(["a", "c", None], object)) == ["same", "differs", "same"]
    assert kinds(np.ones((2, 3)), np.array([[1, 1, 1], [1, 1, 2.0]])) == ["same", "differs"]
    assert kinds(np.ones((2, 3)), np.ones((2, 2))) == ["differs", "differs"]
    assert kinds(np.array([1.0]), np.array(["1.0"], object)) == ["differs"]


def test_no_rows_compare_to_none():
    assert kinds(np.empty(0), np.empty(0)) == []
    assert null(np.empty((0, 3))).tolist() == []
    assert null(np.array([[1.0, np.nan], [1.0, 2.0]])).tolist() == [True, False]


def test_values_are_shown_short():
    assert (shown(1 / 3), shown("a"), shown(None)) == ("0.333333", "'a'", "None")
