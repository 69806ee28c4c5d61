from __future__ import annotations

import numpy as np
import pytest

from roadworthy.route.routers.logistic import Folded, Line, fit_folds, fit_line, sigmoid, stretched
from roadworthy.route.routers.sparse import Rows


def table(n: int = 400, width: int = 12, seed: int = 0):
    rng = np.random.default_rng(seed)
    matrix, truth = rng.normal(size=(n, width)), rng.normal(size=width)
    return matrix, (rng.random(n) < sigmoid(matrix @ truth - 0.5)).astype(float)


@pytest.mark.parametrize("ridge", [0.3, 3.0, 30.0])
def test_the_line_is_scikit_learns(ridge):
    linear_model = pytest.importorskip("sklearn.linear_model")
    matrix, labels = table()
    weights = np.random.default_rng(1).uniform(0.2, 3, len(labels))
    theirs = linear_model.LogisticRegression(C=1 / ridge, tol=1e-8, max_iter=10_000)
    theirs.fit(matrix, labels, sample_weight=weights)
    ours = fit_line(Rows.dense(matrix), labels, ridge, weights)
    assert np.allclose(ours.weights, theirs.coef_[0], atol=2e-3)
    assert ours.intercept == pytest.approx(theirs.intercept_[0], abs=2e-3)


def test_a_good_start_changes_nothing_but_the_time():
    matrix, labels = table()
    rows, weights = Rows.dense(matrix), np.ones(len(labels))
    cold = fit_line(rows, labels, 1.0, weights)
    warm = fit_line(rows, labels, 1.0, weights, fit_line(rows, labels, 9.0, weights))
    assert np.allclose(cold.weights, warm.weights, atol=2e-3)


def test_a_row_that_counts_twice_is_two_rows():
    matrix, labels = table(80)
    twice = np.concatenate([matrix, matrix[:20]]), np.concatenate([labels, labels[:20]])
    weights = np.where(np.arange(80) < 20, 2.0, 1.0)
    ours, theirs = (
        fit_line(Rows.dense(matrix), labels, 1.0, weights),
        fit_line(Rows.dense(twice[0]), twice[1], 1.0, np.ones(100)),
    )
    assert np.allclose(ours.weights, theirs.weights, atol=2e-3)


def test_rows_are_judged_by_lines_that_never_saw_them():
    rng = np.random.default_rng(2)
    matrix, labels = rng.normal(size=(200, 150)), rng.integers(0, 2, (200, 1)).astype(float)
    folds = np.arange(200) % 5
    found = fit_folds(Rows.dense(matrix), labels, np.ones(200), folds, (1e-3,))
    inside = np.mean((found.lines[0].odds(Rows.dense(matrix)) > 0) == (labels[:, 0] > 0))
    outside = np.mean((found.left_out[:, 0] > 0) == (labels[:, 0] > 0))
    assert inside == 1.0
    assert outside < 0.65, "labels are noise, so that whoever sees them in advance is found out"


def test_the_ridge_that_predicts_best_is_taken():
    rng = np.random.default_rng(3)
    noise, signal = rng.integers(0, 2, (200, 2)).astype(float), table(400, 3)
    wild = fit_folds(Rows.dense(rng.normal(size=(200, 60))), noise, np.ones(200), np.arange(200) % 5, (0.1, 1000.0))
    plain = fit_folds(Rows.dense(signal[0]), signal[1][:, None], np.ones(400), np.arange(400) % 5, (0.1, 1000.0))
    assert (wild.ridge, plain.ridge) == (1000.0, 0.1)


def test_odds_that_are_too_tame_are_stretched_and_shifted():
    rng = np.random.default_rng(4)
    truth = rng.normal(size=(4000, 2))
    labels = (rng.random((4000, 2)) < sigmoid(2 * truth + [0.5, -0.5])).astype(float)
    lines = (Line(np.array([1.0]), 0.0), Line(np.array([1.0]), 0.0))
    found = stretched(Folded(lines, truth, 1.0), labels, np.ones(4000))
    assert np.allclose([line.weights[0] for line in found.lines], 2.0, atol=0.15)
    assert np.allclose([line.intercept for line in found.lines], [0.5, -0.5], atol=0.15)
    assert np.allclose(found.left_out, 2 * truth + [0.5, -0.5], atol=0.6)


def test_odds_that_point_the_wrong_way_say_nothing():
    rng = np.random.default_rng(5)
    truth = rng.normal(size=(500, 1))
    labels = (rng.random((500, 1)) < sigmoid(-2 * truth)).astype(float)
    found = stretched(Folded((Line(np.array([1.0]), 0.0),), truth, 1.0), labels, np.ones(500))
    assert found.lines[0].weights[0] == 0.0
