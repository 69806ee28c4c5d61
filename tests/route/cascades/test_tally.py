from __future__ import annotations

import msgspec
import pytest

from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.hidden import Errors
from roadworthy.route.cascades.tally import Tally, shared_out

NINE = Target(precision=0.9, recall=0.8)
SAME = Target(agreement=0.9)


def hiding(unknown, remaining):
    return Errors(unknown=unknown, remaining=remaining)


def test_precision_and_recall_take_hidden_errors_for_granted():
    tally = Tally(rows=1000, positives=60, yes=hiding(50, 10.0), no=hiding(500, 20.0))
    assert tally.reached(NINE) == pytest.approx((100 / 110, 100 / 120))
    assert tally.short(NINE) == (False, False)
    assert tally.short(Target(precision=0.95, recall=0.8)) == (False, True)
    assert tally.short(Target(precision=0.8, recall=0.9)) == (True, False)


def test_agreement_is_one_minus_the_errors_that_may_hide():
    tally = Tally(rows=200, yes=hiding(150, 30.0))
    assert tally.reached(SAME) == (0.85,)
    assert tally.short(SAME) == (False, True)
    assert Tally().reached(SAME) == (1.0,)


def test_without_a_positive_nothing_is_reached_unless_nothing_hides():
    assert Tally(rows=10).reached(NINE) == (1.0, 1.0)
    assert Tally(rows=10, no=hiding(5, 2.0)).reached(NINE) == (0.0, 0.0)


def test_it_is_a_monoid_and_goes_to_json():
    a = Tally(10, 5, 2, 1, 1, 0, hiding(5, 1.0), hiding(2, 0.5))
    b = Tally(20, 2, 9, 0, 1, 1, hiding(9, 3.0), hiding(9, 4.0))
    assert Tally().merge(a) == a == a.merge(Tally())
    assert a.merge(b) == b.merge(a)
    assert (a.merge(b).rows, a.merge(b).failed, a.merge(b).delegation) == (30, 1, 7 / 30)
    assert msgspec.json.decode(msgspec.json.encode(a.merge(b)), type=Tally) == a.merge(b)


def test_workers_share_delta():
    assert shared_out(NINE, 4).delta == pytest.approx(0.025)
    with pytest.raises(ValueError, match="`workers` must be at least 1, got 0"):
        shared_out(NINE, 0)
