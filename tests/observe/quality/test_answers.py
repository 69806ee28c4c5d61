from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.core.window import Window
from roadworthy.observe.quality.answers import answers_of


def window(stated, labels, name="p"):
    return Window({}, {name: np.array(stated)}, np.array(labels, float), np.zeros(len(labels)))


def test_a_probability_predicts_label_one_from_the_cut_on():
    found = answers_of(window([0.2, 0.5, np.nan, 0.9], [0, 0, 1, np.nan]), "")
    assert found.kind == "binary"
    assert found.predicted[:2].tolist() == [0, 1]
    assert math.isnan(found.predicted[2])
    assert found.sure[[0, 1, 3]].tolist() == [0.8, 0.5, 0.9]
    assert found.known.tolist() == [True, True, False, False]
    assert found.correct[:2].tolist() == [1, 0]
    assert answers_of(window([0.2, 0.5], [0, 0]), "p", cut=0.6).predicted.tolist() == [0, 0]


def test_a_vector_predicts_its_greatest_probability():
    found = answers_of(window([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [np.nan, 0.5, 0.5]], [1, 2, 0]), "p")
    assert found.kind == "classes"
    assert found.predicted[:2].tolist() == [1, 0]
    assert found.sure[:2].tolist() == [0.7, 0.6]
    assert found.answered.tolist() == [True, True, False]
    assert found.loss[:2].tolist() == [0, 1]
    accuracy, loss, error = found.metrics()
    assert (accuracy.value, accuracy.n) == (0.5, 2)
    assert loss.value == pytest.approx(-(math.log(0.7) + math.log(0.1)) / 2)
    assert error.n == 0


def test_other_numbers_are_numbers_with_an_error():
    found = answers_of(window([10.0, 12.0], [11.0, np.nan]), "p")
    assert found.kind == "number"
    assert found.loss[0] == 1.0
    error, bias = found.metrics()
    assert (error.name, error.value, bias.value, bias.n) == ("absolute_error", 1.0, -1.0, 1)


def test_labels_that_are_no_classes_make_a_number_of_a_probability():
    assert answers_of(window([0.2, 0.9], [0.3, 0.7]), "").kind == "number"


def test_text_and_outputs_that_are_not_there_have_no_answers():
    assert answers_of(window(np.array(["yes"], object), [1]), "p") is None
    assert answers_of(window([0.2], [1]), "score") is None
    assert answers_of(Window({}, {}, np.zeros(1), np.zeros(1)), "") is None


def test_metrics_of_probabilities_are_of_the_chosen_rows_with_a_label():
    rng = np.random.default_rng(0)
    p = rng.random(400)
    labels = (rng.random(400) < p).astype(float)
    labels[:100] = np.nan
    chosen = np.arange(400) < 300
    found = {m.name: m for m in answers_of(window(p, labels), "").metrics("late", chosen)}
    assert {m.n for m in found.values()} == {200}
    assert found["brier"].value == pytest.approx(((labels - p)[100:300] ** 2).mean())
    assert found["rate"].where == "late"
    assert set(found) == {"accuracy", "auc", "log_loss", "ece", "brier", "rate"}
