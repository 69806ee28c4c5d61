from __future__ import annotations

from math import inf

import numpy as np
import pytest

from roadworthy.route.routers.budgets import Reference, plan


def reference(n: int = 3000, segments: int = 4, seed: int = 0) -> Reference:
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % segments
    return Reference.of(rng.normal(0.05 + 0.05 * codes, 0.1), codes)


def sent(thresholds, rows: Reference) -> np.ndarray:
    return rows.gains >= np.array(thresholds)[rows.codes]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_share_of_the_budget_is_sent(share):
    rows = reference(segments=1)
    found = plan(rows, share, np.empty(0), np.empty(0))
    assert sent(found.thresholds, rows).mean() == pytest.approx(share, abs=1 / 3000)
    assert found.share.low <= share <= found.share.high


def test_the_interval_holds_the_share_of_other_rows():
    rng, inside = np.random.default_rng(1), 0
    for _ in range(300):
        gains = rng.normal(size=200)
        found = plan(Reference.of(gains, np.zeros(200)), 0.3, np.empty(0), np.empty(0))
        truth = float((rng.normal(size=20_000) >= found.thresholds[0]).mean())
        inside += found.share.low <= truth <= found.share.high
    # 95 % of 300, less four standard deviations.
    assert inside >= 285 - 4 * 3.8


def lost(rows: Reference, weak: np.ndarray, means: np.ndarray) -> np.ndarray:
    """What each segment loses where rows gain what the router says, moved to the segment's mean."""
    counts = np.bincount(rows.codes)
    moved = rows.gains + (means - np.bincount(rows.codes, rows.gains) / counts)[rows.codes]
    return np.bincount(rows.codes, weak * moved) / counts


def test_no_segment_is_expected_to_lose_more_than_twice_the_mean():
    rows = reference()
    means, spreads = np.array([0.1, 0.1, 0.1, 0.5]), np.full(4, 0.01)
    flat, found = (plan(rows, 0.5, means, spreads, times) for times in (None, 2.0))
    before, after = (lost(rows, ~sent(told.thresholds, rows), means) for told in (flat, found))
    assert before.max() > 2 * before.mean()
    assert after.max() <= found.limit + 1e-9
    assert after.max() <= 2 * after.mean() + 1e-6
    assert found.loss == pytest.approx(after.mean())
    assert sent(found.thresholds, rows).mean() == pytest.approx(0.5, abs=2 / 3000)
    assert 0.5 < found.sureness <= 1.0


def test_a_segment_about_which_little_is_known_is_sent_more():
    rows, means = reference(), 0.05 + 0.05 * np.arange(4)
    known = plan(rows, 0.5, means, np.full(4, 0.01))
    unsure = plan(rows, 0.5, means, np.array([0.3, 0.01, 0.01, 0.01]))
    before, after = (sent(found.thresholds, rows)[rows.codes == 0].mean() for found in (known, unsure))
    assert after > before + 0.1


def test_a_budget_that_no_floor_can_keep_is_said_not_to():
    # Nearly all must go to the cheap model, and what one half then loses the other wins.
    rows = reference(segments=2)
    found = plan(rows, 0.02, np.array([0.5, -0.4]), np.zeros(2))
    assert found.sureness == 0.0
    assert found.limit == inf
    assert sent(found.thresholds, rows).mean() == pytest.approx(0.02, abs=2 / 3000)


def test_rows_that_stand_for_more_are_more_of_the_share():
    gains = np.linspace(0, 1, 100)
    weights = np.where(gains > 0.9, 9.0, 1.0)
    found = plan(Reference.of(gains, np.zeros(100), weights), 0.5, np.empty(0), np.empty(0))
    assert weights[gains >= found.thresholds[0]].sum() / weights.sum() == pytest.approx(0.5, abs=0.06)
    assert found.thresholds[0] > 0.85
