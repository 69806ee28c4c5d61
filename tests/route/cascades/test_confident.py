from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from roadworthy.core.errors import BadData
from roadworthy.route.cascades.confident import Cheap, fit_confident, fit_each_class, keeps, level_of
from roadworthy.route.cascades.fits import Level, Target

WANTED = Target(agreement=0.9, delta=0.2)


def made(n, rng, classes=3):
    """Class 2 is overrated: its confidence says more than it is right."""
    confidence, predicted = rng.beta(3, 1, n), rng.integers(0, classes, n)
    right = rng.random(n) < np.where(predicted == 2, confidence - 0.25, confidence)
    return Cheap(predicted, confidence), np.where(right, predicted, (predicted + 1) % classes)


def reached(fit, cheap, truth):
    at = level_of(fit.levels, [cheap])
    return ((at < 0) | (cheap.predicted == truth)).mean(), (at < 0).mean()


def test_a_level_keeps_what_reaches_the_threshold_of_its_class():
    rows = Cheap(np.array([0, 0, 1, 1]), np.array([0.5, 0.4, 0.9, np.nan]))
    assert keeps(Level(keep_from=0.5), rows).tolist() == [True, False, True, False]
    assert keeps(Level(by_class=(0.4, None)), rows).tolist() == [True, True, False, False]
    assert not keeps(Level(), rows).any()


@pytest.mark.parametrize("by_class", [False, True])
def test_the_traffic_misses_agreement_no_oftener_than_delta(by_class):
    cheap, truth = made(40_000, np.random.default_rng(9))
    missed = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        drawn = rng.integers(0, 40_000, 1500)
        fit = fit_confident(truth[drawn], [cheap.take(drawn)], WANTED, rng, by_class=by_class)
        missed += reached(fit, cheap, truth)[0] < 0.9
    assert missed <= binom.ppf(0.999, 80, 0.2)


def test_a_threshold_for_each_class_sends_on_less():
    cheap, truth = made(20_000, np.random.default_rng(0))
    one, each = (fit_confident(truth, [cheap], WANTED, np.random.default_rng(1), by_class=b) for b in (False, True))
    assert each.levels[0].by_class[2] > each.levels[0].by_class[0]
    assert each.delegation.value < one.delegation.value - 0.02


def test_each_class_keeps_a_promise_of_its_own_and_a_rare_one_is_sent_on():
    rng = np.random.default_rng(0)
    cheap, truth = made(12_000, rng, classes=4)
    cheap.predicted[cheap.predicted == 3] = np.where(rng.random((cheap.predicted == 3).sum()) < 0.002, 3, 0)
    fit = fit_each_class(truth, cheap, WANTED, rng, 4)
    at = level_of(fit.levels, [cheap])
    for name in range(3):
        mine = cheap.predicted == name
        assert ((at < 0) | (cheap.predicted == truth))[mine].mean() > 0.89
    assert fit.levels[0].by_class[3] is None
    assert "class 3 is always sent on" in fit.certificate


def test_levels_share_the_errors_allowed():
    rng = np.random.default_rng(0)
    tiny, truth = made(12_000, rng)
    sure = rng.beta(4, 1, 12_000)
    sharp = Cheap(np.where(rng.random(12_000) < sure, truth, (truth + 1) % 3), sure, "small")
    fit = fit_confident(truth, [tiny, sharp], WANTED, rng)
    at = level_of(fit.levels, [tiny, sharp])
    answers = np.where(at == 0, tiny.predicted, np.where(at == 1, sharp.predicted, truth))
    assert (answers == truth).mean() > 0.895
    assert all(level.answers > 0.05 for level in fit.levels)


def test_a_last_model_that_is_wrong_itself_counts_against_accuracy():
    rng = np.random.default_rng(0)
    cheap, truth = made(8000, rng)
    last = np.where(rng.random(8000) < 0.95, truth, (truth + 1) % 3)
    wanted = Target(accuracy=0.9, delta=0.1)
    right, wrong = (fit_confident(truth, [cheap], wanted, np.random.default_rng(1), last=x) for x in (None, last))
    assert right.delegation.value < wrong.delegation.value < 1
    bad = fit_confident(truth, [cheap], wanted, np.random.default_rng(1), last=(truth + (rng.random(8000) < 0.2)) % 3)
    assert not bad.certified
    assert "do not show accuracy 0.9" in bad.certificate


@pytest.mark.parametrize(
    ("labels", "words"),
    [(np.zeros(200), "one class"), (np.full(200, np.nan), "no whole numbers"), (np.arange(3), "as many predictions")],
)
def test_labels_that_say_nothing_are_refused(labels, words):
    cheap, _ = made(200, np.random.default_rng(0))
    with pytest.raises(BadData, match=words):
        fit_confident(labels, [cheap], WANTED, np.random.default_rng(0))


def test_too_few_rows_are_refused():
    cheap, truth = made(10, np.random.default_rng(0))
    with pytest.raises(BadData, match="needs at least 16 rows"):
        fit_confident(truth, [cheap], WANTED, np.random.default_rng(0))
