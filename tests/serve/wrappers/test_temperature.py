from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from roadworthy.core.errors import BadData, SpecError
from roadworthy.serve.base import wrapper
from roadworthy.serve.columns import confidence_of
from roadworthy.serve.wrappers.temperature import COLDEST, HOTTEST, Temperature, fit

RNG = np.random.default_rng(0)
SCORES = RNG.normal(0, 3, (500, 4)).astype(np.float32)


def test_scores_become_their_softmax_at_that_temperature() -> None:
    got = Temperature(2.5).on_outputs({"scores": SCORES, "other": SCORES[:, 0]})
    np.testing.assert_allclose(got["scores"], softmax(SCORES / 2.5, axis=1), rtol=1e-5)
    assert got["scores"].dtype == np.float32
    assert got["other"] is not None
    np.testing.assert_allclose(confidence_of(got) or [], got["scores"].max(axis=1), rtol=1e-6)


def test_huge_scores_and_no_rows_are_no_trouble() -> None:
    got = Temperature().on_outputs({"scores": np.array([[1e30, -1e30], [5.0, 5.0]])})["scores"]
    assert got.tolist() == [[1.0, 0.0], [0.5, 0.5]]
    assert Temperature().on_outputs({"scores": np.zeros((0, 3))})["scores"].shape == (0, 3)


def test_an_output_that_is_not_there_or_has_no_classes_is_named() -> None:
    with pytest.raises(SpecError, match="no output 'scores' to calibrate; did you mean 'score'"):
        Temperature().on_outputs({"score": SCORES})
    with pytest.raises(BadData, match=r"output 'scores' has shape \(500,\); allowed: \(n, k\)"):
        Temperature().on_outputs({"scores": SCORES[:, 0]})


def test_fit_finds_the_temperature_that_spoilt_the_scores() -> None:
    scores = RNG.normal(0, 2, (20000, 5))
    labels = [int(RNG.choice(5, p=p)) for p in softmax(scores, axis=1)]
    assert fit(labels, scores * 1.7).temperature == pytest.approx(1.7, rel=0.05)


def test_fit_agrees_with_a_general_minimiser_of_the_log_loss() -> None:
    scores, labels = SCORES.astype(np.float64), RNG.integers(0, 4, len(SCORES))
    labels[:300] = scores[:300].argmax(axis=1)

    def loss(logarithm: float) -> float:
        return float(-log_softmax(scores / math.exp(logarithm), axis=1)[np.arange(len(labels)), labels].mean())

    peer = math.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded", options={"xatol": 1e-9}).x)
    made = fit(labels, scores, "classes")
    assert (made.temperature, made.output) == (pytest.approx(peer, rel=1e-6), "classes")


def test_fit_stays_within_bounds_on_certainty_and_on_nonsense() -> None:
    best, worst = SCORES.argmax(axis=1), SCORES.argmin(axis=1)
    assert fit(best, SCORES).temperature == pytest.approx(COLDEST, rel=1e-6)
    assert fit(worst, SCORES).temperature == pytest.approx(HOTTEST, rel=1e-6)


@pytest.mark.parametrize(
    ("labels", "scores", "said"),
    [
        ([0, 1], SCORES[:3], "one label for each row"),
        ([0, 1], SCORES[:2, :1], "two or more classes"),
        ([], np.zeros((0, 3)), "one label for each row"),
        ([0, 1], np.array([[0.0, math.nan], [0.0, 0.0]]), "finite scores"),
        ([0, 4], SCORES[:2], "a label is the number of a class, 0 to 3, got 4"),
        ([0, 0.5], SCORES[:2], "got 0.5"),
    ],
)
def test_fit_refuses_what_it_cannot_learn_from(labels: Any, scores: Any, said: str) -> None:
    with pytest.raises(BadData, match=said):
        fit(labels, scores)


def test_a_temperature_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="`temperature` must be above 0, got 0"):
        Temperature(0)


def test_a_plan_makes_it() -> None:
    assert wrapper.make("temperature:temperature=1.5") == Temperature(1.5)


def test_one_class_is_refused_to_fit_and_to_answer() -> None:
    with pytest.raises(BadData, match="several classes, and all 500 labels are of class 1"):
        fit(np.ones(500), SCORES)
    with pytest.raises(BadData, match=r"shape \(500, 1\); allowed: \(n, k\) of 2 classes or more"):
        Temperature().on_outputs({"scores": SCORES[:, :1]})
    with pytest.raises(BadData, match="holds int64"):
        Temperature().on_outputs({"scores": np.array([[1, 2]])})
