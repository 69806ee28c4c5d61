from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.serve.retry_budget import RetryBudget


def test_a_full_bucket_pays_for_a_run_of_retries_and_then_for_a_tenth() -> None:
    budget = RetryBudget(share=0.1, most=10)
    assert budget.spend(10)
    assert not budget.spend()
    budget.earn(9)
    assert not budget.spend()
    budget.earn(2)
    assert budget.spend()
    assert (budget.spent, budget.refused) == (11, 2)


def test_it_gives_all_that_was_asked_for_or_nothing() -> None:
    budget = RetryBudget(most=10)
    assert not budget.spend(11)
    assert budget.spend(10)


def test_a_quiet_time_saves_up_no_more_than_the_bucket_holds() -> None:
    budget = RetryBudget(most=10)
    budget.earn(10_000)
    assert not budget.spend(11)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=50))
def test_retries_never_exceed_their_share_and_the_bucket(steps: list[tuple[int, int]]) -> None:
    budget, successes = RetryBudget(share=0.1, most=12), 0
    for worked, retries in steps:
        budget.earn(worked)
        successes += worked
        budget.spend(retries)
        assert budget.spent <= 0.1 * successes + 12 + 1e-6


@pytest.mark.parametrize(("share", "most"), [(0.0, 10), (1.5, 10), (0.1, 0)])
def test_impossible_settings_are_refused(share: float, most: float) -> None:
    with pytest.raises(ValueError, match=r"`share` must be in \(0, 1\] and `most` at least 1"):
        RetryBudget(share, most)
