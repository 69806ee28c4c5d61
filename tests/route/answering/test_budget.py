"""A budget holds over any hour and any day, whatever is under way, and whoever else spends of it."""

from __future__ import annotations

from random import Random

import pytest

from roadworthy.core.spending import Spender
from roadworthy.route.answering.budget import Budget


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_is_reserved_counts_until_it_is_settled(clock):
    budget = Budget("b", clock, usd_per_hour=1.0)
    assert budget.allows(0.6)
    budget.reserve(0.6)
    assert not budget.allows(0.6)
    budget.settle(0.6, 0.2)
    assert budget.allows(0.6)
    assert (budget.spent, budget.total) == (0.2, 0.2)


def test_an_hour_later_there_is_room_again_and_the_day_goes_on(clock):
    budget = Budget("b", clock, usd_per_hour=1.0, usd_per_day=1.5)
    assert budget.pay(1.0)
    clock.at = 3600.0
    assert not budget.pay(0.1), "a minute counts whole, so that no hour is ever above"
    clock.at = 3660.0
    assert not budget.pay(1.0)
    assert budget.pay(0.5)
    clock.at = 86_400.0
    assert not budget.pay(1.0)
    clock.at = 86_460.0
    assert budget.pay(1.0)
    assert budget.total == pytest.approx(2.5)


def test_no_hour_and_no_day_is_ever_above_the_budget(clock):
    rng, paid = Random(0), []
    budget = Budget("b", clock, usd_per_hour=2.0, usd_per_day=9.0)
    for _ in range(4000):
        clock.at += rng.expovariate(1 / 60)
        if budget.pay(0.1):
            paid.append(clock.at)
    for seconds, most in ((3600.0, 20), (86_400.0, 90)):
        within = max(sum(start <= at < start + seconds for at in paid) for start in paid)
        assert most - 1 <= within <= most


def test_what_others_spent_counts_as_it_was_heard_last(clock):
    budget = Budget("b", clock, usd_per_hour=1.0, usd_per_day=2.0)
    budget.hear(0.7, 0.7)
    assert not budget.allows(0.4)
    assert budget.pay(0.3)
    assert budget.total == 0.3, "what others spent is not told as its own"
    clock.at = 10_000.0
    assert not budget.allows(0.4), "while nobody tells anything new, what was heard stands"
    budget.hear(0.0, 1.5)
    assert budget.allows(0.2)
    assert not budget.allows(0.3), "the day is nearly used up"


def test_without_a_limit_everything_is_allowed_and_nothing_need_be_shared(clock):
    budget: Spender = Budget("b", clock)
    assert isinstance(budget, Budget)
    assert budget.pay(1e9)
    assert not budget.bounded
    assert Budget("b", clock, usd_per_day=1.0).bounded
