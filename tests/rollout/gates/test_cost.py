from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from roadworthy.core.window import Window
from roadworthy.rollout.base import Expected
from roadworthy.rollout.gates.cost import Cost


def priced(n: int, times: float, seed: int = 0, arm: str = "canary", unit: str = "usd") -> tuple[Window, Window]:
    rng = np.random.default_rng(seed)
    arms = []
    for factor, name in ((1.0, "stable"), (times, arm)):
        price = factor * np.exp(0.5 * rng.normal(size=n))
        ids = np.array([f"{'r' if arm == 'shadow' else name}{k}" for k in range(n)], object)
        at = np.arange(n, dtype=np.float64) + (name != "stable") / 2
        prices = {unit: price}
        arms.append(Window({}, {}, np.full(n, np.nan), at, ids=ids, arms=np.full(n, name, object), **prices))
    return arms[0], arms[1]


@pytest.mark.parametrize("arm", ["canary", "shadow"])
def test_a_dearer_candidate_fails_and_an_equal_one_passes(arm: str) -> None:
    verdict = Cost()(*priced(3000, 1.5, arm=arm))
    assert verdict.decision == "fail"
    assert "usd on the candidate" in verdict.because
    assert "(1.4" in verdict.because or "(1.5" in verdict.because
    assert Cost()(*priced(8000, 1.0, arm=arm)).decision == "pass"


def test_within_what_may_be_it_does_not_fail() -> None:
    assert Cost(dearer=1.5)(*priced(3000, 1.3)).decision == "pass"


def test_tokens_count_where_no_price_is_known() -> None:
    verdict = Cost()(*priced(3000, 1.5, unit="tokens"))
    assert verdict.decision == "fail"
    assert "tokens on the candidate" in verdict.because


def test_a_price_that_never_changes_is_no_riddle() -> None:
    same = np.full(300, 0.002)
    control, candidate = (dataclasses.replace(rows, usd=same) for rows in priced(300, 1.0))
    assert Cost()(control, candidate).decision == "pass"
    assert Cost()(control, dataclasses.replace(candidate, usd=2 * same)).decision == "fail"


def test_rows_that_failed_or_have_no_price_do_not_count() -> None:
    control, candidate = priced(300, 1.0)
    failed = dataclasses.replace(candidate, errors=np.full(300, "TimeoutError", object))
    free = dataclasses.replace(candidate, usd=np.full(300, np.nan))
    for odd in (failed, free):
        assert Cost()(control, odd).decision == "wait"


def test_a_factor_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="`dearer` is a factor of at least 1"):
        Cost(dearer=0.9)


def test_what_it_needs_grows_as_less_is_allowed() -> None:
    stable, _ = priced(2000, 1.0)
    expected = Expected(stable, 1000.0, 0.1, False, 0.0, 0.0)
    few, many = Cost(dearer=1.5).plan(expected), Cost(dearer=1.05).plan(expected)
    assert 0 < few.requests < many.requests
    assert few.labels == 0
