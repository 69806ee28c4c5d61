"""The likelihood ratio of a known shift is found from two tables, and a request is weighed as a table is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.wire import Request, Tensor
from roadworthy.serve.conformal.shift import Ratio, fit_ratio


def tables(n=4000):
    rng = np.random.default_rng(0)
    before = {"x": rng.normal(0, 1, n), "airport": rng.choice(np.array(["A", "B"], object), n)}
    few = n // 2
    now = {"x": rng.normal(1, 1, few), "airport": rng.choice(np.array(["A", "B"], object), few, p=[0.8, 0.2])}
    return before, now


def test_the_ratio_of_two_normal_laws_and_of_two_mixtures_is_found():
    before, now = tables()
    ratio = fit_ratio(before, now, ("x", "airport"))
    assert ratio.coefficients["x"] == pytest.approx(1.0, abs=0.1)
    apart = ratio.coefficients["airport=A"] - ratio.coefficients["airport=B"]
    assert apart == pytest.approx(math.log(0.8 / 0.2), abs=0.2)
    at = {"x": np.array([0.0, 2.0]), "airport": np.array(["A", "A"], object)}
    small, large = ratio.of_columns(at)
    assert (small, large) == pytest.approx((1.6 * math.exp(-0.5), 1.6 * math.exp(1.5)), rel=0.2)


def test_a_request_is_weighed_as_a_table_is():
    ratio = fit_ratio(*tables(), ("x", "airport"))
    columns = {"x": np.array([0.5, np.nan, 1.5]), "airport": np.array(["A", "B", "never seen"], object)}
    tensors = {
        "x": Tensor("x", "FP64", (3, 1), [0.5, None, 1.5]),
        "airport": Tensor("airport", "BYTES", (3, 1), ["A", "B", "never seen"]),
        "other": Tensor("other", "FP64", (3, 2), np.zeros((3, 2))),
    }
    assert ratio.of(Request("r", tensors, 0.0)) == pytest.approx(ratio.of_columns(columns).tolist())


def test_a_null_counts_as_the_mean_and_nothing_overflows():
    ratio = Ratio(0.0, {"x": 2.0}, {"x": 0.25})
    x = Tensor("x", "FP64", (2,), [None, 1e9])
    assert ratio.of(Request("r", {"x": x}, 0.0)) == pytest.approx([math.exp(0.5), math.exp(700)])


def test_tables_that_can_be_told_apart_for_certain_give_finite_weights():
    ratio = fit_ratio({"x": np.zeros(50)}, {"x": np.ones(50)}, ("x",))
    assert np.isfinite(ratio.of_columns({"x": np.array([0.0, 1.0])})).all()


def test_empty_tables_and_lacking_columns_are_refused():
    with pytest.raises(BadData, match="got 0 of before and 2 of now"):
        fit_ratio({"x": np.zeros(0)}, {"x": np.zeros(2)}, ("x",))
    with pytest.raises(BadData, match="lacking: y"):
        fit_ratio({"x": np.zeros(2)}, {"x": np.zeros(2)}, ("x", "y"))
