"""A cap holds over any rows in a row and any hour, however the requests are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.route.answering.cap import Cap, Granting


class Clock:
    at = 10_000.0

    def __call__(self) -> float:
        return self.at


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=40), max_size=30), st.integers(2, 25), st.integers(1, 9))
def test_of_any_rows_in_a_row_no_more_than_the_share_go_on(requests, over, tenths):
    share = max(tenths / 10, 1 / over)
    granting, sent = Granting(Cap(share, over), Clock()), []
    for wanted in requests:
        granted = granting.last(wanted, 0.0)
        assert all(want or not got for want, got in zip(wanted, granted, strict=True))
        sent += granted
    most = int(share * over + 1e-9)
    sums = np.convolve(sent, np.ones(over, int)) if sent else np.zeros(1)
    assert sums.max() <= most
    assert granting.sent == sum(sent[-over:])


def test_everything_that_fits_is_granted():
    granting = Granting(Cap(0.3, 10), Clock())
    assert granting.last([True] * 10, 0.0) == [True] * 3 + [False] * 7
    granting.saw(3)
    assert granting.last([True] * 4, 0.0) == [True, True, True, False]


def test_money_is_spent_up_to_the_budget_and_comes_back_after_an_hour():
    clock = Clock()
    granting = Granting(Cap(usd_per_hour=1.0), clock)
    assert [granting.pay(0.3) for _ in range(4)] == [True, True, True, False]
    assert granting.spent == pytest.approx(0.9)
    clock.at += 3599
    assert granting.pay(0.3) is False
    clock.at += 121  # a minute counts whole, so that no hour is ever above
    assert granting.pay(0.3) is True
    assert granting.words() == "0.3 of 1 USD an hour are spent"


def test_no_hour_costs_more_than_the_budget():
    clock, rng, paid = Clock(), np.random.default_rng(0), []
    granting = Granting(Cap(usd_per_hour=2.0), clock)
    for _ in range(3000):
        clock.at += float(rng.exponential(10.0))
        if granting.pay(0.05):
            paid.append(clock.at)
    at = np.array(paid)
    most = max(int(((at >= t) & (at < t + 3600)).sum()) for t in at)
    assert most <= 40
    assert most >= 38


@pytest.mark.parametrize("wrong", [{"share": 1.1}, {"share": 0.01, "over_rows": 50}, {"usd_per_hour": 0.0}])
def test_a_cap_that_bounds_nothing_sensible_is_refused(wrong):
    with pytest.raises(ValueError):
        Cap(**wrong)
