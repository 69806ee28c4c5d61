from __future__ import annotations

import numpy as np

from roadworthy.core.window import Window
from roadworthy.observe.quality.answers import answers_of
from roadworthy.observe.quality.reliability import coverage, reliability


def answers(p, labels):
    return answers_of(Window({}, {"p": p}, labels, np.zeros(len(labels))), "p")


def test_bins_hold_all_labelled_rows_and_say_what_came_true():
    rng = np.random.default_rng(0)
    p = rng.random(5000)
    labels = np.where(rng.random(5000) < 0.2, np.nan, rng.random(5000) < p**2)
    bins = reliability(answers(p, labels))
    assert len(bins) == 10
    assert sum(each.rate.n for each in bins) == (~np.isnan(labels)).sum()
    assert all(each.low <= each.stated <= each.high for each in bins)
    assert all(abs(each.rate.value - each.stated**2) < 0.08 for each in bins)
    assert bins[5].rate.high < bins[5].stated


def test_few_rows_make_few_bins_and_ties_share_one():
    rng = np.random.default_rng(1)
    assert len(reliability(answers(rng.random(45), np.ones(45)))) == 2
    assert reliability(answers(rng.random(19), np.ones(19))) == ()
    assert len(reliability(answers(np.repeat([0.2, 0.8], 100), np.ones(200)))) == 2


def test_of_several_classes_it_is_the_predicted_one_that_comes_true():
    stated = np.repeat([[0.7, 0.2, 0.1]], 100, axis=0)
    labels = np.repeat([0.0, 1.0], [60, 40])
    (only,) = reliability(answers(stated, labels))
    assert (round(only.stated, 3), only.rate.value) == (0.7, 0.6)
    assert reliability(answers(np.full(100, 7.5), np.ones(100))) == ()


def test_coverage_counts_rows_with_a_set_and_a_label():
    sets = [("no",), ("no", "yes"), (), None, ("yes",)]
    held, size = coverage(sets, np.array([0.0, 1.0, 1.0, 1.0, np.nan]), ("no", "yes"))
    assert (held.name, held.n, held.value) == ("coverage", 3, 2 / 3)
    assert size.value == 1.0
    numbered, _ = coverage([("2",), ("2",)], np.array([2.0, 2.5]))
    assert numbered.value == 0.5
    assert coverage([], np.empty(0))[0].n == 0
