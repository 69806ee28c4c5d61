from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from roadworthy.core.errors import BadData
from roadworthy.route.cascades.filters import fit_filter, sort_rows
from roadworthy.route.cascades.fits import Level, Target
from roadworthy.route.cascades.samples import draw_chances

NINE = Target(precision=0.9, recall=0.9, delta=0.2)


def served(fit, scores, truth):
    out = sort_rows(fit.levels, scores)
    return out.yes | ((out.level < 0) & truth), out.level < 0


def test_rows_stop_at_the_first_level_that_answers():
    levels = (Level(0.2, 0.9), Level(0.4, None))
    out = sort_rows(levels, [np.array([0.1, 0.95, 0.5, 0.5, np.nan]), np.array([0.99, 0.0, 0.3, 0.5, 0.1])])
    assert out.level.tolist() == [0, 0, 1, -1, 1]
    assert out.yes.tolist() == [False, True, False, False, False]


def test_a_score_at_the_threshold_is_accepted_and_not_rejected():
    out = sort_rows((Level(0.3, 0.7),), [np.array([0.3, 0.7])])
    assert (out.level.tolist(), out.yes.tolist()) == ([-1, 0], [False, True])


@pytest.mark.parametrize("weighted", [False, True])
def test_the_traffic_misses_the_targets_no_oftener_than_delta(rows, worst, weighted):
    scores, truth = rows(40_000, np.random.default_rng(9))
    chances, least = draw_chances(scores, (0.3, 0.7), 0.02) if weighted else (np.full(40_000, 0.05), 0.05)
    missed, sent = 0, []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        drawn = rng.choice(40_000, 2000, p=chances / chances.sum())
        given = {"chances": chances[drawn], "least_chance": least} if weighted else {}
        fit = fit_filter(truth[drawn], [scores[drawn]], NINE, rng, **given)
        answers, last = served(fit, [scores], truth)
        missed += worst(answers, truth) < 0.9
        sent.append(last.mean())
    assert missed <= binom.ppf(0.999, 100, 0.2)
    assert np.mean(sent) < 0.6


def test_two_levels_send_on_less_than_one(rows, worst):
    rng = np.random.default_rng(0)
    truth = rng.random(6000) < 0.5
    scores = [1 / (1 + np.exp(-rng.normal((truth - 0.5) * width, 1.0))) for width in (1.5, 4.0)]
    one = fit_filter(truth, scores[:1], NINE, np.random.default_rng(1))
    both = fit_filter(truth, scores, NINE, np.random.default_rng(1), names=("tiny", "small"))
    assert both.delegation.value < one.delegation.value - 0.2
    assert [level.name for level in both.levels] == ["tiny", "small"]
    assert sum(level.answers for level in both.levels) == pytest.approx(1 - both.delegation.value)
    assert worst(served(both, scores, truth)[0], truth) > 0.89


def test_more_labels_send_on_less(rows):
    scores, truth = rows(20_000, np.random.default_rng(0))
    sent = [
        np.mean(
            [fit_filter(truth[:n], [scores[:n]], NINE, np.random.default_rng(s)).delegation.value for s in range(8)]
        )
        for n in (300, 20_000)
    ]
    assert sent[1] < sent[0]


def test_a_sample_too_small_is_refused_with_the_rows_that_it_would_take(rows):
    scores, truth = rows(40, np.random.default_rng(0))
    with pytest.raises(BadData, match=r"needs at least 16 positive rows .* label about \d+ rows in all"):
        fit_filter(truth, [scores], NINE, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("labels", "words"),
    [([1.0] * 50, "rows of both classes"), ([0.0, np.nan] * 25, "0 or 1, got nan"), ([0.0, 1.0], "as many labels")],
)
def test_labels_that_say_nothing_are_refused(labels, words):
    with pytest.raises(BadData, match=words):
        fit_filter(labels, [np.linspace(0, 1, 50)], NINE, np.random.default_rng(0))


def test_scores_that_say_nothing_send_every_row_on():
    rng = np.random.default_rng(0)
    fit = fit_filter(rng.random(800) < 0.5, [np.full(800, np.nan)], NINE, rng)
    assert fit.delegation.value == 1.0


def test_the_order_of_rows_does_not_matter(rows):
    scores, truth = rows(3000, np.random.default_rng(0))
    order = np.argsort(scores)
    sent = [
        fit_filter(truth[o], [scores[o]], NINE, np.random.default_rng(3)).delegation.value for o in (order, order[::-1])
    ]
    assert all(0.05 < s < 0.5 for s in sent)


def test_the_curve_falls_from_all_rows_sent_on(rows):
    scores, truth = rows(5000, np.random.default_rng(0))
    fit = fit_filter(truth, [scores], NINE, np.random.default_rng(0))
    sent = [point.delegation for point in fit.curve]
    assert sent == sorted(sent, reverse=True)
    assert min(fit.curve[0].reached) > min(fit.curve[-1].reached)


def test_flips_that_alone_break_the_target_are_refused(rows):
    scores, truth = rows(3000, np.random.default_rng(0))
    with pytest.raises(BadData, match=r"flips up to 0\.2"):
        fit_filter(truth, [scores], NINE, np.random.default_rng(0), flips=0.2)
