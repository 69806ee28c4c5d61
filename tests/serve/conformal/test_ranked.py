"""Ranked scores are those of the papers, and one row alone is held as it is among others."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from roadworthy.serve.conformal.ranked import Ranking, draw, hold_ranked

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "ranking", [Ranking(False), Ranking(True, 3), Ranking(True, 1, 0.1, 2), Ranking(False, 0, 0.2, 0)]
)
def test_scores_are_those_of_the_formula_written_out(ranking):
    p = RNG.dirichlet(np.ones(6), 20)
    found = ranking.scores(p)
    for row, scores in zip(p, found, strict=True):
        share = draw(row, ranking.seed) if ranking.randomised else 1.0
        for k in range(6):
            rank = int((row > row[k]).sum()) + 1
            penalty = ranking.penalty * max(0, rank - ranking.free)
            assert scores[k] == pytest.approx(row[row > row[k]].sum() + share * row[k] + penalty)


@pytest.mark.parametrize("classes", [2, 10, 16, 17, 77])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ranking", [Ranking(False), Ranking(True), Ranking(True, 1, 0.05, 1)])
def test_a_row_alone_is_held_as_among_others(classes, dtype, ranking):
    p = RNG.dirichlet(np.full(classes, 0.3), 60).astype(dtype)
    p[0] = 1 / classes  # ties
    p[1, 0] = np.nan
    for threshold in (-1.0, 0.3, 0.9, 1.5):
        together = hold_ranked({"p": p}, "p", threshold, (), ranking)["prediction_set"].tolist()
        alone = [hold_ranked({"p": p[[k]]}, "p", threshold, (), ranking)["prediction_set"][0] for k in range(len(p))]
        assert alone == together


def test_a_set_of_which_nothing_is_known_holds_what_is_not_known():
    p = np.array([[0.5, np.nan, 0.2], [0.7, 0.2, 0.1]])
    sets = hold_ranked({"p": p}, "p", 0.6, (), Ranking(False))["prediction_set"].tolist()
    assert sets == [("0", "1"), ()]


def test_draws_are_even_repeat_and_follow_the_seed():
    p = RNG.dirichlet(np.ones(10), 3000)
    drawn = np.array([draw(row, 0) for row in p])
    assert kstest(drawn, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(drawn, p.max(axis=1))[0, 1]) < 0.06
    assert [draw(row, 0) for row in p[:9]] == drawn[:9].tolist()
    assert abs(np.corrcoef(drawn, [draw(row, 1) for row in p])[0, 1]) < 0.06
