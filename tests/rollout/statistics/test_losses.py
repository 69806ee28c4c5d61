from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics

from roadworthy.core.window import Window
from roadworthy.rollout.statistics.losses import Metric, answers_of, judges, losses

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 300).astype(float)
CHANCES = RNG.dirichlet((1.0, 1.0, 2.0), 300)


def test_the_mean_of_the_losses_is_the_metric_of_scikit_learn() -> None:
    binary, chance = (LABELS > 1).astype(float), CHANCES[:, 2]
    assert losses("log_loss", binary, chance).mean() == pytest.approx(metrics.log_loss(binary, chance))
    assert losses("brier", binary, chance).mean() == pytest.approx(metrics.brier_score_loss(binary, chance))
    assert losses("auc", binary, chance).mean() == pytest.approx(1 - metrics.roc_auc_score(binary, chance))
    assert losses("error", binary, chance).mean() == pytest.approx(1 - metrics.accuracy_score(binary, chance >= 0.5))


def test_vectors_are_judged_by_the_class_that_the_label_names() -> None:
    assert losses("log_loss", LABELS, CHANCES).mean() == pytest.approx(metrics.log_loss(LABELS, CHANCES))
    wrong = 1 - metrics.accuracy_score(LABELS, CHANCES.argmax(axis=1))
    assert losses("error", LABELS, CHANCES).mean() == pytest.approx(wrong)
    squares = ((CHANCES - np.eye(3)[LABELS.astype(int)]) ** 2).sum(axis=1)
    assert losses("brier", LABELS, CHANCES) == pytest.approx(squares)


def test_a_label_that_is_no_class_was_given_no_probability() -> None:
    unknown, sure = np.array([3.0, -1.0]), np.eye(3)[:2]
    assert losses("log_loss", unknown, sure) == pytest.approx([-math.log(1e-6)] * 2)
    assert losses("error", unknown, sure).tolist() == [1, 1]


def test_numbers_are_judged_by_their_distance() -> None:
    assert losses("absolute", np.array([10.0, 20.0]), np.array([12.0, 15.0])).tolist() == [2, 5]
    assert losses("squared", np.array([10.0, 20.0]), np.array([12.0, 15.0])).tolist() == [4, 25]


@pytest.mark.parametrize("metric", ["auc", "absolute", "squared"])
def test_a_vector_has_no_ranking_and_no_distance(metric: Metric) -> None:
    assert not judges(metric, CHANCES)
    assert judges(metric, CHANCES[:, 0])
    assert judges("log_loss", CHANCES)


def test_answers_come_as_numbers_vectors_or_not_at_all() -> None:
    made = np.empty(4, object)
    made[:] = [[0.2, 0.8], None, [1.0], (0.5, 0.5)]
    found = answers_of(made)
    assert found.shape == (4, 2)
    assert np.isfinite(found).all(axis=1).tolist() == [True, False, False, True]
    assert answers_of(np.array([0.5, None, "text"], object))[0] == 0.5
    assert np.isnan(answers_of(np.array([0.5, None, "text"], object))[1:]).all()
    assert answers_of(Window({}, {"p": CHANCES}, LABELS, LABELS).outputs["p"]).shape == (300, 3)
