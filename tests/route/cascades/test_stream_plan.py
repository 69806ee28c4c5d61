from __future__ import annotations

import numpy as np
import pytest

from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.hidden import Errors
from roadworthy.route.cascades.stream_plan import RISKIEST, Reach, allowed_errors, apart, furthest

WRONG = np.linspace(0.001, 0.5, 4000)


def test_more_room_for_errors_reaches_further():
    ends = [furthest(WRONG, Errors(), allowed, 0.05).end for allowed in (0.0, 60.0, 120.0, 400.0)]
    assert ends[0] == 0
    assert sorted(ends) == ends
    assert 0 < ends[1] < ends[3]
    found = furthest(WRONG, Errors(), 400.0, 0.05)
    assert (WRONG[: found.end] * (1 - found.chances)).sum() < 400


def test_risky_rows_are_drawn_oftener():
    found = furthest(WRONG, Errors(), 200.0, 0.05)
    assert found.chances[0] < found.chances[-1] <= 1
    assert len(found.chances) == found.end


def test_what_hides_already_leaves_less_room_and_none_where_it_is_all():
    now = Errors().drawn(np.full(20, 0.5), 0.3).settled(20, 100, 0.05)
    assert furthest(WRONG, now, 200.0, 0.05).end < furthest(WRONG, Errors(), 200.0, 0.05).end
    assert furthest(WRONG, now, now.remaining, 0.05).end == 0


def test_rows_that_are_likely_wrong_are_left_and_none_make_no_plan():
    assert furthest(np.full(100, RISKIEST + 0.01), Errors(), 1e9, 0.05).end == 0
    assert furthest(np.zeros(0), Errors(), 10.0, 0.05).end == 0


def test_sides_that_would_meet_are_shortened():
    no, yes = Reach(60, np.ones(60)), Reach(90, np.ones(90))
    assert apart(no, yes, 150) == (no, yes)
    here, there = apart(no, yes, 100)
    assert (here.end, there.end, len(here.chances), len(there.chances)) == (40, 60, 40, 60)


def test_the_errors_allowed_follow_from_the_promise():
    assert allowed_errors(Target(agreement=0.9), 0.0, 1000) == pytest.approx((0, 100))
    assert allowed_errors(Target(precision=0.8, recall=0.9), 100.0, 1000) == pytest.approx((10, 22.5))
