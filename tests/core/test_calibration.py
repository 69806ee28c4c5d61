from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from roadworthy.core.calibration import (
    Brier,
    brier,
    classwise_error,
    debiased_error,
    reliability_bins,
    squared_error,
    top_label_error,
)
from roadworthy.core.stats import calibration_error

LEVELS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


def draws(runs, true, n=400, seed=0):
    """Rows on five levels of stated probability, in no order, which come true as often as `true` says."""
    rng = np.random.default_rng(seed)
    for _ in range(runs):
        level = rng.permutation(np.repeat(np.arange(5), n // 5))
        yield (rng.random(n) < true[level]).astype(float), LEVELS[level]


@pytest.mark.parametrize(
    "true", [LEVELS, LEVELS + 0.02, LEVELS**1.5, LEVELS**1.15], ids=["right", "off", "bent", "bent a little"]
)
def test_the_debiased_error_is_near_the_true_one_where_the_plain_one_is_not(true):
    truth = float(np.abs(LEVELS - true).mean())
    found = [(debiased_error(y, p, bins=5).value, calibration_error(y, p, bins=5).value) for y, p in draws(300, true)]
    debiased, plain = np.mean(found, axis=0) - truth
    assert abs(debiased) < max(0.5 * plain, 0.005)


def test_the_debiased_error_lies_in_the_interval_of_the_plain_one_and_says_nothing_of_few_rows():
    for y, p in draws(20, LEVELS**1.5):
        found, plain = debiased_error(y, p, "here", confidence=0.9), calibration_error(y, p, "here", confidence=0.9)
        assert (found.low, found.high, found.where, found.conditions) == (
            plain.low,
            plain.high,
            "here",
            plain.conditions,
        )
        assert found.low <= found.value <= plain.value
    assert debiased_error([1.0] * 29, [0.5] * 29).n == 0


def test_the_debiased_square_has_the_true_one_for_its_mean():
    true = LEVELS**1.5
    truth = float(((LEVELS - true) ** 2).mean())
    found = np.array([brier(y, p, bins=5).reliability.value for y, p in draws(600, true, n=200)])
    rates = [[y[p == level].mean() for level in LEVELS] for y, p in draws(600, true, n=200)]
    plain = ((LEVELS - np.array(rates)) ** 2).mean(axis=1)
    error = found.std() / math.sqrt(len(found))
    assert abs(found.mean() - truth) < 4 * error
    assert plain.mean() - truth > 10 * error


def test_the_root_of_the_square_is_never_below_nothing():
    y, p = next(draws(1, LEVELS**1.5, n=4000))
    found, square = squared_error(y, p), brier(y, p).reliability
    assert found.value == pytest.approx(math.sqrt(square.value))
    assert (found.name, found.high) == ("rms_calibration_error", pytest.approx(math.sqrt(square.high)))
    assert min(squared_error(y, p).value for y, p in draws(20, LEVELS)) == 0.0


@pytest.mark.parametrize("classes", [2, 4])
def test_the_parts_of_the_brier_score_add_up(classes):
    rng = np.random.default_rng(classes)
    p = rng.dirichlet(np.ones(classes), 700)
    y = np.array([rng.choice(classes, p=row) for row in p**2 / (p**2).sum(axis=1, keepdims=True)])
    found = brier(y, p if classes > 2 else p[:, 1])
    assert found.total == pytest.approx(found.score.value, abs=1e-12)
    theirs = ((np.eye(classes)[y] - p) ** 2).sum(axis=1).mean() if classes > 2 else brier_score_loss(y, p[:, 1])
    assert found.score.value == pytest.approx(theirs, abs=1e-12)
    assert found.reliability.low < found.reliability.value < found.reliability.high
    assert msgspec.json.decode(msgspec.json.encode(found), type=Brier) == found


def test_the_parts_mean_what_they_say():
    right, useless = next(draws(1, LEVELS, n=5000)), next(draws(1, np.full(5, 0.5), n=5000))
    assert brier(*right, bins=5).reliability.high < 0.002 < 0.06 < brier(*right, bins=5).resolution.low
    assert brier(*useless, bins=5).resolution.high < 0.003 < 0.05 < brier(*useless, bins=5).reliability.low
    assert brier(*useless, bins=5).uncertainty.value == pytest.approx(0.25, abs=0.002)


def test_the_interval_of_the_reliability_holds_the_truth():
    for true in (LEVELS, LEVELS**1.5):
        truth = float(((LEVELS - true) ** 2).mean())
        found = [brier(y, p, bins=5).reliability for y, p in draws(200, true)]
        assert sum(m.low <= truth <= m.high for m in found) >= 180


def test_a_storm_over_a_stretch_widens_the_score_and_shuffled_rows_do_not_know_of_it():
    rng = np.random.default_rng(2)
    storm = np.repeat(rng.normal(0, 1, 40), 100)
    p = rng.uniform(0.2, 0.4, 4000)
    y = (rng.random(4000) < 1 / (1 + np.exp(-np.log(p / (1 - p)) - storm))).astype(float)
    order = rng.permutation(4000)
    in_time, shuffled = brier(y, p).score, brier(y[order], p[order]).score
    assert in_time.value == pytest.approx(shuffled.value)
    assert in_time.high - in_time.low > 1.5 * (shuffled.high - shuffled.low)


def test_few_rows_have_no_parts():
    found = brier([0.0, 1.0] * 19, [0.5] * 38)
    assert all(getattr(found, name).n == 0 for name in Brier.__struct_fields__)
    assert squared_error([0.0] * 10, [0.1] * 10).n == 0


def test_the_top_label_error_sees_the_likeliest_class_and_the_classwise_one_all():
    rng = np.random.default_rng(3)
    p = rng.dirichlet((0.5, 0.5, 0.5), 6000)
    y = np.array([rng.choice(3, p=row) for row in p])
    assert top_label_error(y, p).high < 0.03
    assert classwise_error(y, p).high < 0.04
    sure = p**3 / (p**3).sum(axis=1, keepdims=True)
    assert top_label_error(y, sure).low > 0.05
    found = classwise_error(y, sure, "here", confidence=0.9)
    assert 0.03 < found.low < found.value < found.high
    assert (found.n, found.where, found.conditions) == (6000, "here", {"confidence": 0.9})
    together = [debiased_error(y == c, sure[:, c], confidence=1 - 0.1 / 3) for c in range(3)]
    assert found.low == pytest.approx(sum(m.low for m in together) / 3)
    assert found.value == pytest.approx(sum(m.value for m in together) / 3)


def test_errors_of_several_classes_say_nothing_of_few_rows():
    p = np.full((10, 3), 1 / 3)
    assert (top_label_error(np.zeros(10), p).n, classwise_error(np.zeros(10), p).n) == (0, 0)


def test_the_diagram_has_bins_of_near_equal_count_with_their_rates():
    rng = np.random.default_rng(4)
    p = rng.random(1000)
    bins = reliability_bins(p, rng.random(1000) < p)
    assert [each.rate.n for each in bins] == [100] * 10
    assert all(each.low <= each.stated <= each.high for each in bins)
    assert sum(each.rate.low <= each.stated <= each.rate.high for each in bins) >= 7
    assert reliability_bins(p[:19], p[:19] > 0.5) == ()
