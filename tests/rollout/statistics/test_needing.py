from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.core.window import Window
from roadworthy.rollout.base import Expected
from roadworthy.rollout.statistics.differences import Allowed, Pairs
from roadworthy.rollout.statistics.needing import LIKENESS, need_of

ALLOWED = Allowed("gap", 0.1, 0.05, 50)
VALUE = np.random.default_rng(0).normal(size=5000)


def expected(share: float = 0.1, paired: bool = False, labels: float = 500.0) -> Expected:
    return Expected(Window.of_all(()), 1000.0, share, paired, labels, 2.0)


def test_a_tighter_margin_needs_more_and_notices_less() -> None:
    wide, narrow = (need_of(expected(), VALUE, Allowed("gap", m, 0.05, 50), labelled=False) for m in (0.2, 0.1))
    assert narrow.requests > 2 * wide.requests
    assert narrow.effect is not None
    assert wide.effect is not None
    assert 0.1 < narrow.effect.value < wide.effect.value


def test_labels_take_the_hours_of_their_delay_and_are_fewer_than_requests() -> None:
    need = need_of(expected(), VALUE, ALLOWED, labelled=True)
    assert need.requests == pytest.approx(2 * need.labels)
    assert need.hours == pytest.approx(need.labels / 50.0 + 2.0)


def test_where_equal_arms_are_beyond_the_margin_it_is_never_enough() -> None:
    assert math.isinf(need_of(expected(), VALUE, Allowed("gap", -0.1, 0.05, 50), labelled=False).requests)


def test_a_ratio_leaves_room_of_its_own() -> None:
    nothing = Allowed("cost_excess", 0.0, 0.05, 50)
    assert math.isfinite(need_of(expected(), 1 + np.abs(VALUE), nothing, labelled=False, times=1.1).requests)
    assert math.isinf(need_of(expected(), 1 + np.abs(VALUE), nothing, labelled=False, times=1.0).requests)


def test_no_labels_and_no_rows_are_never_enough() -> None:
    assert math.isinf(need_of(expected(labels=0.0), VALUE, ALLOWED, labelled=True).hours)
    assert "no recent row" in need_of(expected(), np.full(5, np.nan), ALLOWED, labelled=False).because


def test_pairs_as_alike_as_guessed_pass_at_what_is_planned_for_them() -> None:
    need = need_of(expected(1.0, paired=True), VALUE, ALLOWED, labelled=False)
    rng, passed = np.random.default_rng(1), 0
    n = round(need.requests)
    for _ in range(40):
        shared, one, other = rng.normal(size=(3, n))
        own = math.sqrt(1 - LIKENESS)
        pairs = Pairs(math.sqrt(LIKENESS) * shared + own * one, math.sqrt(LIKENESS) * shared + own * other)
        passed += ALLOWED.measure(pairs).high <= ALLOWED.margin
    assert passed >= 24, "of 40 at 80 %, fewer than 24 happen once in a thousand"
