from __future__ import annotations

from random import Random

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from roadworthy.core.artifact import Release
from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.spec import Signature
from roadworthy.serve.base import wrapper
from roadworthy.serve.wrappers.energy import Energy, energies, fit

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (400, 5))


def test_the_energy_is_minus_the_log_of_the_summed_exponentials() -> None:
    np.testing.assert_allclose(energies(LOGITS), -logsumexp(LOGITS, axis=1))
    np.testing.assert_allclose(energies(LOGITS, 2.5), -2.5 * logsumexp(LOGITS / 2.5, axis=1))
    assert energies(np.array([[1e300, 0.0]])).tolist() == [-1e300]


def test_flat_logits_are_strange_and_the_answer_is_left_as_it_was() -> None:
    made = fit(LOGITS, Random(0))
    got = made.on_outputs({"logits": np.r_[np.zeros((1, 5)) - 9, LOGITS[:50]], "other": np.ones(51)})
    assert got["ood"][0] == 1 / 401
    assert got["ood"][1:].mean() == pytest.approx(0.5, abs=0.15)
    assert got["other"].tolist() == [1.0] * 51


def test_like_rows_are_called_strange_as_seldom_as_promised() -> None:
    alarms = [
        (
            fit(RNG.normal(0, 3, (200, 5)), Random(k)).on_outputs({"logits": RNG.normal(0, 3, (200, 5))})["ood"] <= 0.05
        ).mean()
        for k in range(100)
    ]
    assert np.mean(alarms) < 0.05 + 3 * np.std(alarms) / 10


def test_without_held_out_rows_there_is_no_p_value() -> None:
    assert list(Energy().on_outputs({"logits": LOGITS})) == ["logits", "energy"]


def test_its_numbers_are_in_the_plan_and_so_in_the_release() -> None:
    made = fit(LOGITS, Random(0), most=100)
    assert len(made.held) == 100
    assert wrapper.make(write_plan(made)) == made
    one, other = (Release("x", (), Signature({}, {}), wrappers=(write_plan(w),)) for w in (made, Energy()))
    assert one.digest != other.digest


def test_logits_that_are_none_are_refused() -> None:
    with pytest.raises(BadData, match="logarithms of probabilities, whose energy is 0"):
        fit(log_softmax(LOGITS, axis=1), Random(0))
    with pytest.raises(BadData, match="finite logits of 2 or more classes"):
        fit(np.full((30, 2), np.nan), Random(0))
    with pytest.raises(BadData, match="needs 19 held-out rows"):
        fit(LOGITS[:5], Random(0))
    with pytest.raises(SpecError, match="no output 'logits' to take the energy of"):
        Energy().on_outputs({"scores": LOGITS})
    with pytest.raises(BadData, match=r"shape \(400,\); allowed: \(n, k\)"):
        Energy().on_outputs({"logits": LOGITS[:, 0]})
    with pytest.raises(ValueError, match="`temperature` must be above 0"):
        Energy(0.0)
