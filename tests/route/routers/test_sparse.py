from __future__ import annotations

import numpy as np
import pytest

from roadworthy.route.routers.sparse import Rows, beside


@pytest.fixture
def matrix() -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.normal(size=(6, 9)) * (rng.random((6, 9)) < 0.4)


def sparse(matrix: np.ndarray) -> Rows:
    row, column = np.nonzero(matrix)
    starts = np.append(0, np.cumsum(np.bincount(row, minlength=len(matrix))))
    return Rows(starts, column, matrix[row, column], matrix.shape[1])


def test_products_are_those_of_the_matrix(matrix):
    rows, rng = sparse(matrix), np.random.default_rng(2)
    wide, tall = rng.normal(size=9), rng.normal(size=6)
    assert np.allclose(rows.times(wide), matrix @ wide)
    assert np.allclose(rows.summed(tall), matrix.T @ tall)


def test_rows_are_taken_in_the_order_given_empty_ones_too(matrix):
    matrix[3] = 0
    picked = np.array([4, 3, 3, 0])
    wide = np.arange(9.0)
    assert np.allclose(sparse(matrix).take(picked).times(wide), matrix[picked] @ wide)
    assert sparse(matrix).take(np.array([], np.int64)).n == 0


def test_parts_beside_each_other_are_one_matrix(matrix):
    other = np.random.default_rng(3).normal(size=(6, 2))
    both = beside([sparse(matrix), Rows.dense(other)])
    wide = np.arange(11.0)
    assert both.width == 11
    assert np.allclose(both.times(wide), np.hstack([matrix, other]) @ wide)
