"""The formulas against what the papers say, written out as slowly as can be."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from roadworthy.serve.conformal.following import Following, Seen
from roadworthy.serve.conformal.thresholds import least_rows, rank_of, share_as_strange, threshold_at
from roadworthy.serve.wrappers import lac, mondrian_class
from roadworthy.serve.wrappers.weighted import Weighted

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("target", ["1/2", "2/3", "4/5", "9/10", "19/20", "99/100"])
def test_the_rank_is_that_of_exact_arithmetic(target):
    exact = Fraction(target)
    for n in range(1, 300):
        assert rank_of(n, float(exact)) == math.ceil((n + 1) * exact)
        assert (rank_of(n, float(exact)) > n) == (n < least_rows(float(exact)))


@pytest.mark.parametrize(("n", "target"), [(9, 0.9), (12, 0.9), (19, 0.8)])
def test_few_rows_cover_as_often_as_the_rank_says(n, target):
    fitted, asked = np.sort(RNG.random((20_000, n)), axis=1), RNG.random(20_000)
    thresholds = fitted[:, rank_of(n, target) - 1]
    due = rank_of(n, target) / (n + 1)
    assert (asked <= thresholds).mean() == pytest.approx(due, abs=4 * math.sqrt(due * (1 - due) / 20_000))


def test_a_score_is_held_by_exactly_the_alphas_below_its_p_value_ties_or_not():
    for _ in range(1000):
        scores, score = sorted(RNG.integers(0, 10, RNG.integers(1, 40)) / 10), float(RNG.integers(0, 10)) / 10
        alpha = float(RNG.random())
        assert (score <= threshold_at(scores, 1 - alpha)) == (share_as_strange(scores, score) > alpha)


def test_the_weighted_threshold_counts_the_asked_rows_own_weight():
    for _ in range(300):
        n, target = int(RNG.integers(1, 30)), float(RNG.choice([0.5, 0.8, 0.9]))
        scores, weights, own = np.sort(RNG.integers(0, 10, n) / 10), RNG.random(n) * 3, float(RNG.random() * 5)
        leaf = Weighted({"absolute": {}}, tuple(scores.tolist()), tuple(weights.tolist()), target=target)
        places, masses = np.append(scores, np.inf), np.append(weights, own) / (weights.sum() + own)
        slow = next(place for place in np.unique(places) if masses[places <= place].sum() >= target - 1e-12)
        assert leaf.threshold_for(own) == slow


def test_each_class_is_covered_by_its_own_few_rows():
    held: list[list[float]] = [[], []]
    for _ in range(150):
        y, asked = (RNG.random(400) < 0.15).astype(int), (RNG.random(400) < 0.15).astype(int)
        p, q = (0.3 * y + 0.7 * RNG.random(400)), (0.3 * asked + 0.7 * RNG.random(400))
        sets = mondrian_class.fit(lac.Lac(output="p"), y, {"p": p}, 0.8).on_outputs({"p": q})["prediction_set"]
        for k in (0, 1):
            held[k].append(np.mean([str(k) in one for one, truth in zip(sets, asked, strict=True) if truth == k]))
    for of_class, rows in zip(held, (340, 60), strict=True):
        assert np.mean(of_class) == pytest.approx(0.8, abs=0.01 + 4 * math.sqrt(0.16 * (2 / rows) / 150))


def test_aci_takes_the_step_of_the_paper():
    scores, rule, alpha = sorted(RNG.random(99).tolist()), Following(0.9, "aci", 0.01), 0.1
    stand = rule.start(scores)
    for score in RNG.random(500).tolist():
        missed = score > threshold_at(scores, 1 - alpha)
        stand, alpha = rule.follow(stand, scores, [Seen(score)]), alpha + 0.01 * (0.1 - missed)
        assert stand.alpha == pytest.approx(alpha, abs=1e-9)


def test_dtaci_weighs_its_experts_as_the_paper_does():
    steps, rows, target = (0.001, 0.004, 0.016, 0.064), 200, 0.1
    scores, rule = sorted(RNG.random(99).tolist()), Following(0.9, "dtaci", 0.005, (0.001, 0.004, 0.016, 0.064), 200)
    stand, alphas, weights, offset, alpha = rule.start(scores), np.full(4, 0.1), np.full(4, 0.25), 0.0, 0.1
    spread = (1 - target) ** 2 * target**3 + (1 - target) ** 3 * target**2
    rate, mixed = math.sqrt(3 / rows * (math.log(rows * 4) + 2) / spread), 1 / (2 * rows)
    for score in (0.97 * RNG.random(300)).tolist():
        beta = share_as_strange(scores, score)
        offset += 0.005 * (target - (beta <= alpha))
        losses = target * (beta - alphas) - np.minimum(0, beta - alphas)
        grown = weights * np.exp(-rate * losses)
        weights = (1 - mixed) * grown / grown.sum() + mixed / 4
        alphas = alphas + np.array(steps) * (target - (beta <= alphas))
        alpha = offset + float(weights @ alphas)
        stand = rule.follow(stand, scores, [Seen(score)])
        assert stand.alpha == pytest.approx(alpha, abs=1e-9)
