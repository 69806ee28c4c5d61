from __future__ import annotations

import numpy as np
import pytest

from roadworthy.route.cascades.deciding import decide_all, decide_next
from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.stream import Stream

PAIR, SAME = Target(precision=0.9, recall=0.9), Target(agreement=0.9)


def shares_of(n, k, rng):
    """A share for each of k classes, and the last model's class, drawn by these shares."""
    shares = rng.dirichlet(np.full(k, 0.2), n)
    last = (rng.random(n)[:, None] > np.cumsum(shares, axis=1)).sum(axis=1).clip(0, k - 1)
    shares[:20] = np.nan
    return shares, last


def decided(whole, target, shares, oracle):
    rng = np.random.default_rng(1)
    return decide_all(shares, oracle, target, rng) if whole else decide_next(Stream(target), shares, oracle, rng)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(("target", "k"), [(PAIR, 2), (SAME, 2), (SAME, 5)])
def test_each_way_keeps_its_promise_and_sends_on_rows_without_a_cheap_answer(whole, target, k):
    shares, last = shares_of(4000, k, np.random.default_rng(0))
    found = decided(whole, target, shares, lambda rows: last[rows])
    assert found.by_last[:20].all()
    assert 0 < found.by_last.mean() < 0.7
    assert np.array_equal(found.classes[found.by_last], last[found.by_last])
    if k > 2 or target is SAME:
        assert (found.classes == last).mean() >= 0.9
    else:
        hits = (found.classes & last).sum()
        assert hits >= 0.9 * max(found.classes.sum(), last.sum())


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("target", [PAIR, SAME])
def test_rows_that_the_last_model_cannot_answer_are_failed_and_promised_nothing(whole, target):
    shares, last = shares_of(4000, 2, np.random.default_rng(0))
    silent = np.arange(4000) % 50 == 0
    found = decided(whole, target, shares, lambda rows: np.where(silent[rows], -1, last[rows]))
    assert found.failed[0]
    assert not (found.failed & ~silent).any()
    assert not (found.failed & found.by_last).any()
    assert found.by_last.mean() < 0.9
