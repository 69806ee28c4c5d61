from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from roadworthy.core.errors import BadData
from roadworthy.route.cascades.batch import allowed_errors, answer_batch
from roadworthy.route.cascades.fits import Target

NINE = Target(precision=0.9, recall=0.9, delta=0.2)


@pytest.mark.parametrize("clustered", [False, True])
def test_targets_are_missed_no_oftener_than_delta_whatever_the_order(rows, worst, clustered):
    missed, sent = 0, []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        scores, truth = rows(3000, rng)
        order = np.argsort(scores) if clustered else np.arange(3000)
        scores, truth = scores[order], truth[order]
        found = answer_batch(scores, lambda asked, truth=truth: truth[asked], NINE, rng)
        missed += worst(found.positive, truth) < 0.9
        sent.append(found.by_last.mean())
    assert missed <= binom.ppf(0.999, 150, 0.2)
    assert np.mean(sent) < 0.5


def test_each_label_is_bought_once_and_answers_its_row(rows):
    asked = []
    scores, truth = rows(3000, np.random.default_rng(0))

    def oracle(numbers):
        asked.extend(numbers.tolist())
        return truth[numbers]

    found = answer_batch(scores, oracle, NINE, np.random.default_rng(1))
    assert len(asked) == len(set(asked)) == found.by_last.sum() == found.fit.bought
    assert np.array_equal(found.positive[found.by_last], truth[found.by_last])
    assert found.fit.delegation.value == len(asked) / 3000


def test_cheap_answers_follow_the_thresholds(rows):
    scores, truth = rows(3000, np.random.default_rng(0))
    found = answer_batch(scores, lambda asked: truth[asked], NINE, np.random.default_rng(1))
    (level,) = found.fit.levels
    cheap = ~found.by_last
    assert set(np.unique(found.positive[cheap & (scores >= level.accept_from)])) == {True}
    assert set(np.unique(found.positive[cheap & (scores < level.reject_below)])) == {False}
    assert not cheap[(scores >= level.reject_below) & (scores < level.accept_from)].any()


def test_rows_without_a_score_are_sent_on(rows):
    scores, truth = rows(3000, np.random.default_rng(0))
    scores[::10] = np.nan
    found = answer_batch(scores, lambda asked: truth[asked], NINE, np.random.default_rng(1))
    assert found.by_last[::10].all()
    assert found.fit.certified


@pytest.mark.parametrize("score", [-0.1, 1.5, np.inf])
def test_scores_that_are_not_probabilities_are_refused(score):
    with pytest.raises(BadData, match="not probabilities"):
        answer_batch(np.array([0.5, score]), lambda asked: asked > 0, NINE, np.random.default_rng(0))


@pytest.mark.parametrize("n", [0, 1, 20])
def test_a_batch_too_small_to_show_anything_is_sent_on_whole(n):
    found = answer_batch(np.linspace(0, 1, n), lambda asked: asked % 2 == 0, NINE, np.random.default_rng(0))
    assert found.by_last.all()
    assert "fewer than the" in found.fit.certificate
    assert not found.fit.certified


@pytest.mark.parametrize("truth", [np.zeros(2000, bool), np.ones(2000, bool)])
def test_one_class_keeps_the_promise(rows, worst, truth):
    scores, _ = rows(2000, np.random.default_rng(0))
    found = answer_batch(scores, lambda asked: truth[asked], NINE, np.random.default_rng(1))
    assert np.array_equal(found.positive, truth) or worst(found.positive, truth) >= 0.9


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_scores_that_are_all_alike_keep_the_promise(worst, value):
    truth = np.random.default_rng(0).random(1000) < 0.5
    found = answer_batch(np.full(1000, value), lambda asked: truth[asked], NINE, np.random.default_rng(1))
    assert worst(found.positive, truth) >= 0.9


def test_a_model_that_errs_the_wrong_way_round_is_not_trusted(rows, worst):
    scores, truth = rows(3000, np.random.default_rng(0))
    found = answer_batch(1 - scores, lambda asked: truth[asked], NINE, np.random.default_rng(1))
    assert worst(found.positive, truth) >= 0.9


def test_a_last_model_that_contradicts_itself_leaves_fewer_errors(rows):
    assert allowed_errors(NINE, 900, 1000, 2000, 0.0) == (100, 100)
    less = allowed_errors(NINE, 900, 1000, 2000, 0.02)
    assert less == (78, 81)
    scores, truth = rows(3000, np.random.default_rng(0))
    sent = [
        answer_batch(scores, lambda asked: truth[asked], NINE, np.random.default_rng(1), flips=f).fit.delegation.value
        for f in (0.0, 0.03, 0.2)
    ]
    assert sent[0] < sent[1] < sent[2] == 1.0
