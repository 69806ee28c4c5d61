from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.window import Window
from roadworthy.rollout.base import Expected
from roadworthy.rollout.gates.business import Business


def dealt(n: int, gain: float, seed: int = 0, shadow: bool = False, spread: float = 1.0) -> tuple[Window, Window]:
    """Baskets whose mean is 10, and `gain` more on the candidate; the input `before` explains most of their spread."""
    rng = np.random.default_rng(seed)
    on_candidate = rng.random(n) < 0.4
    before = 3 * rng.normal(size=n)
    basket = 10 + before + spread * rng.normal(size=n) + gain * on_candidate
    arms = []
    for mine, arm in ((~on_candidate, "stable"), (on_candidate, "shadow" if shadow else "canary")):
        m = int(mine.sum())
        at = np.arange(n, dtype=np.float64)[mine]
        ids = np.array([f"r{k}" for k in np.flatnonzero(mine)], object)
        nothing = np.full(m, np.nan)
        columns = {"before": before[mine]}, {"basket": basket[mine]}
        arms.append(Window(*columns, nothing, at, ids=ids, arms=np.full(m, arm, object)))
    return arms[0], arms[1]


BASKET = Business(metric="outputs.basket", margin=0.5)


def test_a_candidate_that_earns_less_fails_with_the_numbers() -> None:
    verdict = BASKET(*dealt(6000, -1.5))
    assert verdict.decision == "fail"
    assert verdict.because.startswith("outputs.basket is lower on the candidate by +1.")
    assert {m.where for m in verdict.evidence} == {"control", "candidate", "split"}


def test_an_equally_good_one_passes_within_the_margin() -> None:
    assert BASKET(*dealt(8000, 0.0)).decision == "pass"


def test_a_covariate_needs_fewer_rows() -> None:
    arms = dealt(1000, 0.0)
    with_covariate = dataclasses.replace(BASKET, covariate="before")
    assert BASKET(*arms).decision == "wait"
    assert with_covariate(*arms).decision == "pass"


def test_a_negative_margin_asks_for_more_and_lets_an_equal_one_wait() -> None:
    better = Business(metric="outputs.basket", margin=-0.5, covariate="before")
    assert better(*dealt(4000, 0.0)).decision == "wait"
    assert better(*dealt(4000, 1.5)).decision == "pass"
    assert better(*dealt(4000, -1.5)).decision == "fail"


def test_lower_may_be_better() -> None:
    gate = Business(metric="outputs.basket", margin=0.5, better="lower")
    assert gate(*dealt(6000, 1.5)).decision == "fail"
    assert gate(*dealt(6000, -1.5)).decision == "pass"


def test_a_shadow_changes_no_outcome() -> None:
    verdict = BASKET(*dealt(2000, -5.0, shadow=True))
    assert verdict.decision == "wait"
    assert "reach nobody" in verdict.because


@pytest.mark.parametrize("metric", ["label", "outputs.nothing", "tags.nothing * usd"])
def test_a_metric_that_no_row_has_waits(metric: str) -> None:
    verdict = Business(metric=metric)(*dealt(1000, 0.0))
    assert verdict.decision == "wait"
    assert "0 of 200 rows an arm" in verdict.because


def test_a_metric_that_cannot_be_is_refused() -> None:
    with pytest.raises(SpecError, match="'revenue' names no number"):
        Business(metric="revenue")


def test_the_effect_it_plans_for_is_found_four_times_in_five() -> None:
    stable, _ = dealt(4000, 0.0)
    need = BASKET.plan(Expected(stable, 100.0, 0.4, False, 0.0, 0.0))
    assert need.effect is not None
    assert need.hours == pytest.approx(need.requests / 40.0)
    rows = round(need.requests / 0.4)
    worse = sum(BASKET(*dealt(rows, -need.effect.value, seed)).decision == "fail" for seed in range(20))
    equal = sum(BASKET(*dealt(rows, 0.0, seed)).decision == "pass" for seed in range(20))
    assert min(worse, equal) >= 11, "80 % of 20 are 16, and 11 or fewer are one case in 100"


def test_nothing_can_be_planned_without_rows() -> None:
    need = BASKET.plan(Expected(Window.of_all(()), 100.0, 0.4, False, 0.0, 0.0))
    assert math.isinf(need.requests)
