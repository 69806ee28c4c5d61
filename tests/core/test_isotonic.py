from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from roadworthy.core.isotonic import Isotonic

PAIRS = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60)


@settings(max_examples=40)
@given(PAIRS)
def test_agrees_with_scikit_learn_at_and_between_the_scores(pairs):
    scores, events = (np.array(part, float) for part in zip(*pairs, strict=True))
    asked = np.linspace(-1, 22, 70)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, events).predict(asked)
    np.testing.assert_allclose(Isotonic.fit(scores, events)(asked), theirs, atol=1e-9)


def test_keeps_the_mean_and_counts_the_rows():
    rng = np.random.default_rng(0)
    scores = rng.random(500)
    events = (rng.random(500) < scores**2).astype(float)
    steps = Isotonic.fit(scores, events)
    assert abs(steps(scores).mean() - events.mean()) < 1e-12
    assert steps.rows.sum() == 500
    assert (np.diff(steps.rate) > 0).all()


def test_each_row_belongs_to_the_step_that_holds_it():
    steps = Isotonic.fit(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 1.0, 0.0, 1.0]))
    assert steps.rate.tolist() == [0.0, 0.5, 1.0]
    assert steps.step_of(np.array([0.0, 0.1, 0.2, 0.3, 0.34, 0.36, 9.0])).tolist() == [0, 0, 1, 1, 1, 2, 2]
