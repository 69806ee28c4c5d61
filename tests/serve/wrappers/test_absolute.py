"""Intervals of one width around an answer, and what rows of a regression must be like."""

from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.core.errors import BadData, SpecError
from roadworthy.serve.conformal.fitting import fit
from roadworthy.serve.wrappers.absolute import Absolute

Y, F = np.arange(20.0), np.arange(20.0) + np.tile([0.5, -1.0], 10)


def test_the_width_is_the_order_statistic_of_the_errors():
    fitted = fit(Absolute(), Y, {"prediction": F}, 0.5)
    found = fitted.on_outputs({"prediction": np.array([[3.0]], np.float32)})
    assert (fitted.threshold, found["low"].tolist(), found["high"].tolist()) == (1.0, [2.0], [4.0])


def test_thresholds_may_differ_by_row_and_not_fitted_it_is_endless():
    found = Absolute().hold({"prediction": np.array([1.0, 2.0])}, np.array([[0.5], [1.0]]))
    assert (found["low"].tolist(), found["high"].tolist()) == ([0.5, 1.0], [1.5, 3.0])
    assert Absolute().on_outputs({"prediction": np.array([1.0])})["high"].tolist() == [math.inf]


@pytest.mark.parametrize(
    ("y", "f", "told"),
    [
        (np.where(Y == 3, np.nan, Y), F, "1 of 20 rows hold a label or an output that is NaN"),
        (Y, np.where(Y == 3, np.inf, F), "1 of 20 rows"),
        (Y[:5], F, "one label for each row"),
        (Y[:5], F[:5], "5 labelled rows cannot promise"),
        (Y, np.zeros((20, 2)), "one number a row"),
    ],
)
def test_what_cannot_promise_anything_is_refused(y, f, told):
    with pytest.raises(BadData, match=told):
        fit(Absolute(), y, {"prediction": f}, 0.9)


def test_an_output_that_is_not_there_is_named():
    with pytest.raises(SpecError, match="no output 'prediction' to make an interval of"):
        Absolute(1.0).on_outputs({"price": F})
