from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.core.measure import Measurement
from roadworthy.core.window import Window
from roadworthy.rollout.statistics.differences import (
    Allowed,
    Pairs,
    Split,
    decided,
    in_rollout,
    plainly,
    without_effect_of,
)

ALLOWED = Allowed("gap", 0.1, 0.05, 50)


def found(value: float, half: float, where: str = "pairs", name: str = "gap") -> Measurement:
    allowed = Allowed(name, 0.1, 0.05, 50)
    return allowed.interval(value, value - half, value + half, 100, where)


def said(m: Measurement) -> str:
    return plainly(m, "more by")


def window(ids: list[str], at: list[float]) -> Window:
    return Window({}, {}, np.full(len(ids), np.nan), np.array(at), ids=np.array(ids, object))


def test_pairs_are_compared_request_by_request() -> None:
    rng = np.random.default_rng(0)
    shared = 100 * rng.normal(size=400)
    gap = ALLOWED.measure(Pairs(shared, shared + 0.5 + 0.1 * rng.normal(size=400)))
    assert 0.4 < gap.low < 0.5 < gap.high < 0.6
    assert gap.where == "pairs"


def test_a_split_is_compared_within_blocks_of_time() -> None:
    """The share is raised while the number rises: plain means would differ by far more than the 1 that is true."""
    rng = np.random.default_rng(0)
    rise = np.linspace(0, 10, 4000)
    on_candidate = rng.random(4000) < np.where(rise < 5, 0.1, 0.5)
    gap = ALLOWED.measure(Split(on_candidate, rise + on_candidate + rng.normal(size=4000)))
    assert gap.low < 1 < gap.high
    assert gap.high - gap.low < 0.6


def test_stable_can_be_scaled_to_compare_a_ratio() -> None:
    control, candidate = np.full(100, 2.0), np.full(100, 3.0)
    assert ALLOWED.measure(Pairs(control, candidate), times=1.5).value == pytest.approx(0.0)
    on_candidate = np.arange(200) % 2 == 0
    split = Split(on_candidate, np.where(on_candidate, 3.0, 2.0))
    assert ALLOWED.measure(split, times=1.5).value == pytest.approx(0.0)


def test_below_the_least_rows_nothing_is_said() -> None:
    gap = ALLOWED.measure(Pairs(np.zeros(49), np.ones(49)))
    assert math.isnan(gap.value)
    assert gap.n == 49
    assert decided([gap], said, "test").decision == "wait"
    assert "49 of 50 rows" in decided([gap], said, "test").because


def test_one_failing_name_fails_all() -> None:
    verdict = decided([found(0.0, 0.05), found(1.0, 0.2, name="other")], said, "test")
    assert (verdict.decision, verdict.of) == ("fail", "test")
    assert verdict.because == "more by +1 [+0.8, +1.2] on 100 pairs: above 0.1"


def test_each_name_passes_in_one_of_its_places() -> None:
    wide, narrow = found(0.0, 5.0, "pairs"), found(0.0, 0.05, "split")
    assert decided([wide, narrow], said, "test").decision == "pass"
    other = found(0.0, 5.0, "split", "other")
    verdict = decided([wide, narrow, other], said, "test")
    assert verdict.decision == "wait"
    assert "must come down to 0.1" in verdict.because


def test_columns_of_one_name_must_each_pass() -> None:
    one, other = found(0.0, 0.05, "outputs.a: pairs"), found(0.0, 5.0, "outputs.b: pairs")
    assert decided([one, other], said, "test").decision == "wait"


def test_an_interval_across_the_bound_waits() -> None:
    assert decided([found(0.1, 0.05)], said, "test").decision == "wait"


def test_the_rows_of_a_rollout_are_pairs_and_what_was_split() -> None:
    control = window(["a", "b", "c"], [1.0, 2.0, 4.0])
    candidate = window(["b", "d"], [2.0, 3.0])
    before, after = np.array([1.0, 2.0, np.nan]), np.array([20.0, 30.0])
    ((pairs, split),) = in_rollout(control, candidate, (before, after))
    assert isinstance(pairs, Pairs)
    assert isinstance(split, Split)
    assert (pairs.control.tolist(), pairs.candidate.tolist()) == ([2.0], [20.0])
    assert (split.value.tolist(), split.on_candidate.tolist()) == ([1.0, 30.0], [False, True])


def test_a_covariate_takes_out_the_variance_that_it_explains() -> None:
    rng = np.random.default_rng(0)
    covariate = rng.normal(size=5000)
    value = 3 * covariate + rng.normal(size=5000)
    covariate[::100] = np.nan
    left = without_effect_of(value, covariate)
    known = np.isfinite(covariate)
    assert left[known].std() == pytest.approx(1.0, abs=0.05)
    np.testing.assert_array_equal(left[~known], value[~known])
    assert left[known].mean() == pytest.approx(value[known].mean(), abs=1e-9)


def test_a_covariate_that_says_nothing_changes_nothing() -> None:
    value = np.arange(5.0)
    for covariate in (np.full(5, np.nan), np.ones(5)):
        np.testing.assert_array_equal(without_effect_of(value, covariate), value)
