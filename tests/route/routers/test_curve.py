from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.route.routers.curve import curve_of


def answers(n: int = 4000, seed: int = 0):
    rng = np.random.default_rng(seed)
    chance = rng.random(n)
    weak = rng.random(n) < 0.8 - 0.5 * chance
    strong = rng.random(n) < 0.85
    return chance, strong.astype(float), weak.astype(float)


def test_a_small_curve_is_what_one_reckons_by_hand():
    # Two of four rows gain, and the router finds them first: half the calls recover everything.
    found = curve_of([4, 3, 2, 1], [1, 1, 1, 0], [0, 0, 1, 0], resamples=0)
    assert found.apgr.value == pytest.approx(0.75)
    assert found.cpt50.value == pytest.approx(0.25)
    assert found.cpt80.value == pytest.approx(0.4)
    assert (found.weak, found.strong) == (0.25, 0.75)
    assert found.points[0] == pytest.approx((0.0, 0.25, 0.25, 0.25))
    assert found.points[50] == pytest.approx((0.5, 0.75, 0.5, 0.75))
    assert found.points[100] == pytest.approx((1.0, 0.75, 0.75, 0.75))


def test_a_router_that_knows_nothing_earns_one_half():
    _, strong, weak = answers()
    assert curve_of(np.zeros(4000), strong, weak, resamples=0).apgr.value == pytest.approx(0.5)
    assert curve_of(np.random.default_rng(0).permutation(4000), strong, weak, resamples=0).apgr.value == pytest.approx(
        0.5, abs=0.03
    )


def test_nobody_is_above_the_ideal_curve():
    chance, strong, weak = answers()
    found = curve_of(chance, strong, weak, resamples=0)
    assert 0.6 < found.apgr.value < found.ideal_apgr
    assert all(routed <= ideal + 1e-12 for _, routed, _, ideal in found.points)


def test_the_published_formula_gives_the_same_on_its_ten_steps():
    chance, strong, weak = answers()
    found = curve_of(chance, strong, weak, resamples=0)
    shares, accuracy = [], []
    for threshold in np.append(np.quantile(chance, np.linspace(0, 1, 11))[:-1], 2.0):
        routed = chance >= threshold
        shares.append(routed.mean())
        accuracy.append(np.where(routed, strong, weak).mean())
    order = np.argsort(shares)
    shares, accuracy = np.array(shares)[order], np.array(accuracy)[order]
    low, high = weak.mean(), strong.mean()
    apgr = (np.trapezoid(accuracy, shares) - low) / (high - low)
    assert found.apgr.value == pytest.approx(apgr, abs=5e-3)
    for level, ours in ((0.5, found.cpt50), (0.8, found.cpt80)):
        assert ours.value == pytest.approx(np.interp(low + level * (high - low), accuracy, shares), abs=2e-3)


def test_the_interval_holds_the_truth():
    truth = curve_of(*answers(200_000, 99), resamples=0).apgr.value
    found = [curve_of(*answers(800, seed), resamples=60, rng=np.random.default_rng(seed)).apgr for seed in range(60)]
    inside = sum(m.low <= truth <= m.high for m in found)
    # 95 % of 60 less four standard deviations, and 60 resamples are few.
    assert inside >= 57 - 7


def test_models_that_are_equally_good_have_no_gap_to_recover():
    found = curve_of([1, 2, 3, 4], [1, 0, 1, 0], [0, 1, 0, 1], resamples=0)
    assert found.apgr.n == found.cpt50.n == 0


@pytest.mark.parametrize("gains", [[], [1.0, float("nan")], [1.0, 2.0, 3.0]])
def test_what_is_no_curve_is_refused(gains):
    with pytest.raises(BadData, match="a curve needs"):
        curve_of(gains, [1, 0][: len(gains)], [0, 0][: len(gains)])
