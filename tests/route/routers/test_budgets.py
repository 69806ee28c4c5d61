from __future__ import annotations

from math import inf

import numpy as np
import pytest

from roadworthy.route.routers.budgets import Floors, Reference, plan

MEANS = 0.05 + 0.05 * np.arange(4)


def reference(n: int = 3000, segments: int = 4, seed: int = 0, means: np.ndarray = MEANS) -> Reference:
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % segments
    return Reference.of(rng.normal(means[codes], 0.1), codes)


def sent(thresholds, rows: Reference) -> np.ndarray:
    return rows.gains >= np.array(thresholds)[rows.codes]


def lost(rows: Reference, weak: np.ndarray) -> np.ndarray:
    return np.bincount(rows.codes, weak * rows.gains) / np.bincount(rows.codes)


def alike(spread: float = 0.01, noise: float = 0.4, segments: int = 4, **asked) -> Floors:
    return Floors(np.full(segments, spread), np.full(segments, noise), **asked)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("floors", [None, alike()])
def test_the_share_of_the_budget_is_sent(share, floors):
    rows = reference()
    found = plan(rows, share, 4, floors)
    assert sent(found.thresholds, rows).mean() == pytest.approx(share, abs=2 / 3000)
    assert found.share.low <= share <= found.share.high + 1e-9


def test_the_interval_holds_the_share_of_other_rows():
    rng, inside = np.random.default_rng(1), 0
    for _ in range(300):
        gains = rng.normal(size=200)
        found = plan(Reference.of(gains, np.zeros(200)), 0.3)
        truth = float((rng.normal(size=20_000) >= found.thresholds[0]).mean())
        inside += found.share.low <= truth <= found.share.high
    # 95 % of 300, less four standard deviations.
    assert inside >= 285 - 4 * 3.8


def test_no_segment_loses_more_than_twice_the_mean():
    rows = reference(means=np.full(4, 0.1))
    # Rows of a segment in which all are alike are below the others' threshold together.
    rows = Reference.of(np.where(rows.codes == 3, 0.08 + 0.01 * (rows.gains - 0.1), rows.gains), rows.codes)
    flat, found = (plan(rows, 0.5, 4, floors) for floors in (None, alike(0.001)))
    before, after = (lost(rows, ~sent(told.thresholds, rows)) for told in (flat, found))
    assert before.max() > 2 * before.mean()
    assert after.max() <= found.limit == pytest.approx(2 * found.loss)
    assert found.loss == pytest.approx(after.mean(), abs=1e-4)
    assert 0.975 <= found.sureness <= 1.0
    assert flat.limit == inf


def test_a_segment_about_which_little_is_known_is_sent_more():
    rows = reference()
    known, unsure = (
        plan(rows, 0.5, 4, Floors(np.array([first, 0.01, 0.01, 0.01]), np.zeros(4))) for first in (0.01, 0.3)
    )
    before, after = (sent(found.thresholds, rows)[rows.codes == 0].mean() for found in (known, unsure))
    assert after > before + 0.1


def test_a_small_segment_is_sent_more_where_a_few_requests_are_to_keep_to_the_floor():
    codes = np.where(np.arange(4000) < 200, 0, 1 + np.arange(4000) % 3)
    rows = Reference.of(np.random.default_rng(3).normal(0.12, 0.05, 4000), codes)
    many, few = (plan(rows, 0.5, 4, alike(0.02, times=1.5, requests=asked)) for asked in (inf, 500))
    before, after = (sent(found.thresholds, rows)[rows.codes == 0].mean() for found in (many, few))
    assert after > before + 0.2


def test_what_a_segment_loses_keeps_to_the_limit_as_often_as_said():
    rng, over = np.random.default_rng(4), 0
    rows = reference(8000)
    spreads, noise, requests = np.array([0.02, 0.06, 0.02, 0.04]), 0.4, 2000
    found = plan(rows, 0.5, 4, Floors(spreads, np.full(4, noise), 2.0, 0.9, requests))
    weak = ~sent(found.thresholds, rows)
    counts = np.bincount(rows.codes[weak], minlength=4) / np.bincount(rows.codes)
    for _ in range(2000):
        means = rng.normal(0.0, spreads) * counts + lost(rows, weak)
        drawn = means + rng.normal(0.0, noise * np.sqrt(counts / (requests / 4)))
        over += int((drawn > found.limit).sum() > 0)
    worst_alone = (1 - found.sureness) * 2000
    # At most all four may fail as often as the worst, and that one does fail.
    assert worst_alone - 4 * worst_alone**0.5 <= over <= 4 * worst_alone + 4 * (4 * worst_alone) ** 0.5


def test_where_no_floor_can_be_kept_the_worst_segment_is_kept_as_well_as_the_budget_can():
    rows = reference(means=np.array([0.5, 0.1, 0.1, 0.1]))
    flat = plan(rows, 0.1, 4)
    found = plan(rows, 0.1, 4, alike(0.1, times=1.0))
    before, after = (lost(rows, ~sent(told.thresholds, rows)) for told in (flat, found))
    assert found.sureness < 0.5
    assert after.max() <= before.max() + 1e-9
    assert sent(found.thresholds, rows).mean() == pytest.approx(0.1, abs=2 / 3000)


def test_a_little_slack_for_the_worst_segment_spares_the_mean():
    rows = reference(means=np.array([0.3, 0.1, 0.1, 0.1]))
    pressed, spared = (plan(rows, 0.4, 4, alike(0.0, 0.0, times=1.0, slack=slack)) for slack in (0.0, 0.2))
    worst = [lost(rows, ~sent(found.thresholds, rows)).max() for found in (pressed, spared)]
    assert spared.loss < pressed.loss
    assert worst[0] < worst[1] <= 1.3 * worst[0]


def test_rows_that_stand_for_more_are_more_of_the_share():
    gains = np.linspace(0, 1, 100)
    weights = np.where(gains > 0.9, 9.0, 1.0)
    found = plan(Reference.of(gains, np.zeros(100), weights), 0.5)
    assert weights[gains >= found.thresholds[0]].sum() / weights.sum() == pytest.approx(0.5, abs=0.06)
    assert found.thresholds[0] > 0.85
