from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, softmax
from scipy.stats import entropy

from roadworthy.core.errors import BadData
from roadworthy.serve.uncertainty.decomposition import as_probabilities, of_probabilities, of_values, spread

RNG = np.random.default_rng(0)
P = softmax(RNG.normal(0, 2, (4, 30, 3)), axis=2)


def test_both_parts_add_up_to_the_entropy_of_the_mean() -> None:
    found = of_probabilities(P)
    np.testing.assert_allclose(found.mean, P.mean(axis=0))
    np.testing.assert_allclose(found.epistemic + found.aleatoric, entropy(P.mean(axis=0), axis=1))
    np.testing.assert_allclose(found.aleatoric, np.mean([entropy(p, axis=1) for p in P], axis=0))


def test_the_epistemic_part_is_the_mean_divergence_of_the_members_from_their_mean() -> None:
    divergence = np.mean([entropy(p, P.mean(axis=0), axis=1) for p in P], axis=0)
    np.testing.assert_allclose(of_probabilities(P).epistemic, divergence)


def test_members_that_agree_know_all_that_can_be_known() -> None:
    agreeing = of_probabilities(np.array([[0.5, 0.1], [0.5, 0.1]]))
    np.testing.assert_allclose(agreeing.epistemic, 0.0, atol=1e-15)
    assert agreeing.aleatoric[0] == pytest.approx(np.log(2))


def test_members_that_contradict_each_other_with_certainty_know_nothing_for_sure() -> None:
    found = of_probabilities(np.array([[0.0], [1.0]]))
    assert found.epistemic[0] == pytest.approx(np.log(2))
    assert found.aleatoric[0] == 0.0


def test_two_classes_and_the_probability_of_the_second_are_the_same_thing() -> None:
    second = P[:, :, 0]
    coin, classes = of_probabilities(second), of_probabilities(np.stack([1 - second, second], axis=2))
    np.testing.assert_allclose(coin.epistemic, classes.epistemic)
    np.testing.assert_allclose(coin.aleatoric, classes.aleatoric)


@given(arrays(np.float64, (3, 5), elements=st.floats(0, 1)))
def test_no_part_is_ever_negative_and_together_they_are_at_most_one_bit(p: np.ndarray) -> None:
    found = of_probabilities(p)
    assert (found.epistemic >= 0).all()
    assert (found.aleatoric >= 0).all()
    assert (found.epistemic + found.aleatoric <= np.log(2) + 1e-9).all()


def test_numbers_split_into_the_variance_of_means_and_the_mean_of_variances() -> None:
    means, variances = RNG.normal(size=(5, 20)), RNG.random((5, 20))
    found = of_values(means, variances)
    draws = RNG.normal(means[:, :, None], np.sqrt(variances)[:, :, None], (5, 20, 20000))
    np.testing.assert_allclose(
        found.epistemic + found.aleatoric, draws.transpose(1, 0, 2).reshape(20, -1).var(1), rtol=0.1
    )
    np.testing.assert_allclose(found.epistemic, means.var(axis=0))


def test_without_variances_no_noise_is_claimed_and_several_numbers_a_row_add_up() -> None:
    found = of_values(np.array([[[0.0, 1.0]], [[2.0, 1.0]]]))
    assert (found.epistemic.tolist(), found.aleatoric.tolist()) == ([1.0], [0.0])


def test_logits_are_made_probabilities_before_the_mean() -> None:
    logits = RNG.normal(size=(2, 6, 3))
    np.testing.assert_allclose(as_probabilities(logits), softmax(logits, axis=2))
    np.testing.assert_allclose(as_probabilities(logits[:, :, 0]), expit(logits[:, :, 0]))
    np.testing.assert_allclose(spread(logits, "logits").mean, softmax(logits, axis=2).mean(axis=0))


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(BadData, match=r"between 0 and 1, got 3: say `kind: logits`"):
        of_probabilities(np.array([[0.5], [3.0]]))
    with pytest.raises(BadData, match=r"add up to 1, got a row that adds up to 0\.6"):
        of_probabilities(np.full((2, 1, 3), 0.2))
    with pytest.raises(BadData, match="a variance is 0 or more"):
        of_values(np.zeros((2, 1)), np.full((2, 1), -1.0))


def test_a_nan_stays_one_and_does_not_touch_its_neighbours() -> None:
    found = of_probabilities(np.array([[np.nan, 0.5], [0.5, 0.5]]))
    assert np.isnan(found.epistemic[0])
    assert found.aleatoric[1] == pytest.approx(np.log(2))
