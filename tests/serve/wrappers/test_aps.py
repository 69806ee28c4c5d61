"""Classes are taken in, the likeliest first, until they add up to enough."""

from __future__ import annotations

import numpy as np

from roadworthy.serve.conformal.fitting import fit
from roadworthy.serve.wrappers.aps import Aps
from roadworthy.serve.wrappers.lac import Lac

P = np.array([[0.1, 0.6, 0.3], [0.34, 0.33, 0.33]])


def test_plain_sets_hold_what_adds_up_to_the_threshold_at_most():
    found = Aps(0.9, ("a", "b", "c"), randomised=False).on_outputs({"probabilities": P})
    assert found["prediction_set"].tolist() == [("b", "c"), ("a", "b")]


def test_randomised_sets_are_those_of_the_row_s_own_draw_each_time():
    leaf, again = Aps(0.5), Aps(0.5, seed=7)
    p = np.random.default_rng(0).dirichlet(np.ones(4), 200)
    first = leaf.on_outputs({"probabilities": p})["prediction_set"].tolist()
    assert leaf.on_outputs({"probabilities": p})["prediction_set"].tolist() == first
    assert again.on_outputs({"probabilities": p})["prediction_set"].tolist() != first


def test_hard_rows_get_larger_sets_and_are_covered_better_than_by_lac():
    rng = np.random.default_rng(1)
    hard = rng.random(6000) < 0.5
    p = np.where(hard[:, None], rng.dirichlet(np.full(5, 3.0), 6000), rng.dirichlet(np.full(5, 0.1), 6000))
    labels = (p.cumsum(axis=1) > rng.random((6000, 1))).argmax(axis=1)
    on_hard = {}
    for leaf in (Aps(), Lac()):
        fitted = fit(leaf, labels[:3000], {"probabilities": p[:3000]}, 0.9)
        sets = fitted.on_outputs({"probabilities": p[3000:]})["prediction_set"]
        held = np.array([str(label) in one for label, one in zip(labels[3000:], sets, strict=True)])
        on_hard[type(leaf)] = held[hard[3000:]].mean()
    assert on_hard[Aps] > 0.87
    assert on_hard[Lac] < 0.85
