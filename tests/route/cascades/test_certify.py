from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from roadworthy.route.cascades.certify import furthest_count, least_rows


def test_the_first_failure_ends_the_sequence():
    drawn, wrong = np.arange(0, 100, 2), np.zeros(50, bool)
    wrong[20:30] = True
    ends = np.array([40, 60, 80, 100])
    assert furthest_count(ends, drawn, wrong, 8, 0.1) == 40
    assert furthest_count(ends, drawn, ~wrong & False, 8, 0.1) == 100


def test_so_few_rows_that_all_may_be_wrong_need_no_draw():
    assert furthest_count(np.array([3, 5, 9]), np.zeros(0, np.int64), np.zeros(0, bool), 5, 0.1) == 5
    assert furthest_count(np.array([3]), np.zeros(0, np.int64), np.zeros(0, bool), -1, 0.1) == 0


def test_too_many_errors_pass_no_oftener_than_delta():
    rng, ends = np.random.default_rng(0), np.arange(100, 1001, 50)
    wrong = np.zeros(1000, bool)
    wrong[rng.choice(np.arange(300, 1000), 100, replace=False)] = True
    first_bad = int(np.flatnonzero(np.cumsum(wrong) > 40)[0]) + 1
    passed = 0
    for _ in range(1000):
        drawn = np.sort(rng.choice(1000, 200, replace=False))
        passed += furthest_count(ends, drawn, wrong[drawn], 40, 0.1) >= first_bad
    assert 0 < passed <= binom.ppf(0.999, 1000, 0.1)


@pytest.mark.parametrize(("share", "delta", "rows"), [(0.9, 0.05, 29), (0.95, 0.1, 45), (0.5, 0.5, 1)])
def test_the_least_rows_are_those_whose_luck_is_too_great(share, delta, rows):
    assert least_rows(share, delta) == rows
    assert share**rows <= delta < share ** (rows - 1) + 1e-12


def test_what_comes_after_the_first_failure_is_not_tried():
    drawn, none = np.concatenate([[0, 7, 15], np.arange(20, 77)]), np.zeros(60, bool)
    assert furthest_count(np.array([100]), drawn, none, 2, 0.1) == 100
    assert furthest_count(np.array([20, 100]), drawn, none, 2, 0.1) == 0
