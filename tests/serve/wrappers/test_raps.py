"""A penalty on classes far down keeps the largest sets small."""

from __future__ import annotations

import numpy as np
import pytest

from roadworthy.serve.conformal.fitting import fit
from roadworthy.serve.wrappers.aps import Aps
from roadworthy.serve.wrappers.raps import Raps, tuned

RNG = np.random.default_rng(0)
P = RNG.dirichlet(np.full(20, 0.1), 1200)
LABELS = (P.cumsum(axis=1) > RNG.random((1200, 1))).argmax(axis=1)
OUTPUTS = {"probabilities": P}


def sizes(leaf):
    return np.array([len(one) for one in leaf.on_outputs(OUTPUTS)["prediction_set"]])


def test_without_a_penalty_it_is_aps():
    assert (sizes(Raps(0.8, penalty=0.0)) == sizes(Aps(0.8))).all()


def test_a_penalty_makes_the_largest_sets_smaller():
    plain, penalised = (fit(leaf, LABELS, OUTPUTS, 0.95) for leaf in (Aps(), Raps(penalty=0.2, free=2)))
    assert sizes(penalised).max() < sizes(plain).max()


def test_tuned_takes_the_rank_that_holds_most_truths_and_the_penalty_of_the_smallest_sets():
    made = tuned(Raps(), LABELS, OUTPUTS, 0.9)
    ranks = np.sort((P[np.arange(1200), LABELS][:, None] < P).sum(axis=1) + 1)
    assert made.free == ranks[int(np.ceil(1201 * 0.9)) - 1]
    best = sizes(fit(made, LABELS, OUTPUTS, 0.9)).mean()
    for penalty in (0.001, 0.5):
        assert best <= sizes(fit(Raps(penalty=penalty, free=made.free), LABELS, OUTPUTS, 0.9)).mean()


def test_a_negative_penalty_is_refused():
    with pytest.raises(ValueError, match=r"must be 0 or more, got -0\.1 and 5"):
        Raps(penalty=-0.1)
