from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from roadworthy.core.errors import BadData, SpecError
from roadworthy.serve.wrappers.doubt import Doubt

P = softmax(np.random.default_rng(0).normal(0, 2, (50, 4)), axis=1)


def test_many_classes_have_the_entropy_and_the_lead_of_the_first() -> None:
    got = Doubt("p").on_outputs({"p": P})
    ordered = np.sort(P, axis=1)
    np.testing.assert_allclose(got["entropy"], entropy(P, axis=1))
    np.testing.assert_allclose(got["margin"], ordered[:, -1] - ordered[:, -2])


def test_one_probability_is_that_of_two_classes() -> None:
    one, two = Doubt().on_outputs({"probability": P[:, 0]}), Doubt("p").on_outputs({"p": np.c_[1 - P[:, 0], P[:, 0]]})
    np.testing.assert_allclose(one["entropy"], two["entropy"])
    np.testing.assert_allclose(one["margin"], two["margin"])


def test_certainty_has_no_entropy_and_a_coin_has_no_margin() -> None:
    got = Doubt().on_outputs({"probability": np.array([0.0, 0.5, 1.0])})
    assert got["entropy"].tolist() == [0.0, pytest.approx(np.log(2)), 0.0]
    assert got["margin"].tolist() == [1.0, 0.0, 1.0]


def test_an_output_that_cannot_be_doubted_is_named() -> None:
    with pytest.raises(SpecError, match="no output 'probability' to doubt"):
        Doubt().on_outputs({"p": P})
    with pytest.raises(BadData, match=r"shape \(50, 1\)"):
        Doubt("p").on_outputs({"p": P[:, :1]})
