from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import BadData, SpecError
from roadworthy.serve.base import wrapper
from roadworthy.serve.wrappers import temperature
from roadworthy.serve.wrappers.vector_scaling import VectorScaling, fit

SCALE, SHIFT = np.array([0.5, 1.5, 1.0]), np.array([0.5, 0.0, -0.5])


def rows(n=600, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (n, 3))
    labels = [int(rng.choice(3, p=p)) for p in softmax(scores * SCALE + SHIFT, axis=1)]
    return np.array(labels), scores


def test_fit_recovers_the_numbers_that_made_the_labels():
    made = fit(*rows(20_000))
    np.testing.assert_allclose(made.scale, SCALE, atol=0.06)
    np.testing.assert_allclose(np.array(made.shift) - np.mean(made.shift), SHIFT, atol=0.08)
    assert made.rows == 20_000


@pytest.mark.parametrize("ridge", [1.0, 25.0])
def test_fit_agrees_with_a_general_minimiser(ridge):
    y, s = rows()
    start = 1 / temperature.fit(y, s).temperature

    def loss(numbers):
        entropy = -log_softmax(s * numbers[:3] + numbers[3:], axis=1)[np.arange(len(y)), y].sum()
        return entropy + ridge / 2 * (((numbers[:3] - start) ** 2).sum() + (numbers[3:] ** 2).sum())

    peer = minimize(loss, np.zeros(6), tol=1e-10).x
    made = fit(y, s, ridge=ridge)
    np.testing.assert_allclose([*made.scale, *made.shift], peer, atol=1e-4)


def test_certain_scores_stay_finite():
    y = np.arange(60) % 3
    made = fit(y, np.eye(3)[y] * 20)
    assert np.isfinite([*made.scale, *made.shift]).all()
    p = made.on_outputs({"scores": np.array([[1e30, -1e30, 0.0], [0.0, 0.0, 0.0]])})["scores"]
    assert p[0].tolist() == [1.0, 0.0, 0.0]


def test_probabilities_are_taken_by_their_logarithms_with_0_among_them():
    y, s = rows()
    p = softmax(s, axis=1)
    by_logits, by_probabilities = fit(y, np.log(p)), fit(y, p, "probabilities", "probabilities")
    np.testing.assert_allclose(by_logits.scale, by_probabilities.scale, atol=1e-6)
    got = by_probabilities.on_outputs({"probabilities": np.array([[1.0, 0.0, 0.0]], np.float32)})
    assert got["probabilities"].dtype == np.float32
    assert got["probabilities"].sum() == pytest.approx(1.0)
    assert got["confidence"][0] == pytest.approx(got["probabilities"].max())
    mended = temperature.fit(y, p, "probabilities", "probabilities")
    assert mended.temperature == pytest.approx(temperature.fit(y, s).temperature, rel=1e-6)
    np.testing.assert_allclose(
        mended.on_outputs({"probabilities": p})["probabilities"], softmax(s / mended.temperature, axis=1)
    )


@pytest.mark.parametrize(
    ("labels", "scores", "said"),
    [
        ([0, 1, 2] * 9, np.zeros((27, 3)), "vector scaling needs 30 labelled rows, got 27: 3 more"),
        ([0, 1] * 20, np.zeros((40, 3)), "2 rows or more of each of 3 classes; too few of class 2 \\(0\\)"),
        ([0, 1, 2] * 20, np.full((60, 3), np.nan), "needs finite outputs, got 60 rows"),
        ([0, 1, 3] * 20, np.zeros((60, 3)), "the number of a class, 0 to 2, got 3.0"),
        ([0, 1], np.zeros(2), "two or more classes"),
    ],
)
def test_fit_refuses_what_it_cannot_learn_from(labels, scores, said):
    with pytest.raises(BadData, match=said):
        fit(labels, scores)


def test_logits_are_no_probabilities():
    y, s = rows()
    with pytest.raises(BadData, match="a probability is a number from 0 to 1"):
        fit(y, s, of="probabilities")
    with pytest.raises(BadData, match=r"adds up to 1\.5; logits\?"):
        fit(y, np.full((len(y), 3), 0.5), of="probabilities")
    with pytest.raises(BadData, match=r"adds up to 1\.5"):
        temperature.fit(y, np.full((len(y), 3), 0.5), of="probabilities")


def test_a_plan_makes_it_again_and_other_classes_are_refused():
    made = fit(*rows())
    assert wrapper.make(json.loads(json.dumps(write_plan(made)))) == made
    with pytest.raises(BadData, match=r"has shape \(2, 4\); allowed: \(n, 3\)"):
        made.on_outputs({"scores": np.zeros((2, 4))})
    with pytest.raises(SpecError, match="each class has both numbers, got 1 `scale` and 0"):
        wrapper.make({"vector_scaling": {"scale": [1.0]}})
    bare = VectorScaling().on_outputs({"scores": np.array([[0.0, 0.0]])})
    assert bare["scores"].tolist() == [[0.5, 0.5]]
