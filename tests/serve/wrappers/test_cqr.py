"""Quantiles moved until they hold the truth as often as promised."""

from __future__ import annotations

import numpy as np

from roadworthy.serve.conformal.fitting import fit
from roadworthy.serve.wrappers.cqr import Cqr

Y = np.arange(19.0)


def test_quantiles_that_hold_too_much_are_moved_in_and_those_that_hold_too_little_out():
    wide = fit(Cqr(), Y, {"lower": Y - 5, "upper": Y + 3}, 0.9)
    narrow = fit(Cqr(), Y, {"lower": Y + 1, "upper": Y + 2}, 0.9)
    assert (wide.threshold, narrow.threshold) == (-3.0, 1.0)
    found = wide.on_outputs({"lower": np.array([0.0]), "upper": np.array([10.0])})
    assert (found["low"].tolist(), found["high"].tolist()) == ([3.0], [7.0])


def test_the_score_is_the_distance_to_the_nearer_end():
    outputs = {"lower": np.array([0.0, 0.0, 0.0]), "upper": np.array([4.0, 4.0, 4.0])}
    assert Cqr().true_scores(outputs, [-1.0, 3.0, 6.0]).tolist() == [1.0, -1.0, 2.0]


def test_an_interval_that_shrank_through_itself_becomes_its_middle():
    found = Cqr(-3.0).on_outputs({"lower": np.array([0.0, 0.0]), "upper": np.array([4.0, 9.0])})
    assert (found["low"].tolist(), found["high"].tolist()) == ([2.0, 3.0], [2.0, 6.0])
