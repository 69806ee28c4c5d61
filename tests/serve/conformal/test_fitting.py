"""Fitted sets and intervals hold new rows as often as promised, by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.core.catalog import write_plan
from roadworthy.serve.base import wrapper
from roadworthy.serve.conformal.fitting import fit, promised
from roadworthy.serve.conformal.thresholds import rank_of
from roadworthy.serve.wrappers.absolute import Absolute
from roadworthy.serve.wrappers.aps import Aps
from roadworthy.serve.wrappers.cqr import Cqr
from roadworthy.serve.wrappers.lac import Lac
from roadworthy.serve.wrappers.normalised import Normalised
from roadworthy.serve.wrappers.raps import Raps

ROWS, TEST, TIMES = 60, 200, 150


def classified(rng, n):
    """Probabilities that are wrong on purpose: the guarantee must not hang on them."""
    p = rng.dirichlet(np.ones(4), n)
    labels = (p.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return labels, {"probabilities": p**2 / (p**2).sum(axis=1, keepdims=True)}


def regressed(rng, n):
    x = rng.random(n)
    y = 2 * x + (0.1 + x) * rng.normal(size=n)
    return y, {"prediction": 2 * x, "spread": x, "lower": 2 * x - 0.5, "upper": 2 * x + 0.4}


def covered(leaf, labels, outputs):
    found = leaf.on_outputs(outputs)
    if "low" in found:
        return float(((found["low"] <= labels) & (labels <= found["high"])).mean())
    return float(np.mean([str(label) in held for label, held in zip(labels, found["prediction_set"], strict=True)]))


@pytest.mark.parametrize(
    "leaf", [Lac(), Aps(), Aps(randomised=False), Raps(penalty=0.1, free=1), Absolute(), Normalised(), Cqr()]
)
def test_coverage_is_nominal_within_the_binomial_tolerance(leaf):
    rng, drawn = np.random.default_rng(5), classified if hasattr(leaf, "classes") else regressed
    shares = []
    for _ in range(TIMES):
        fitted = fit(leaf, *drawn(rng, ROWS), 0.9)
        shares.append(covered(fitted, *drawn(rng, TEST)))
    wanted = rank_of(ROWS, 0.9) / (ROWS + 1)
    spread = math.sqrt(wanted * (1 - wanted) * (1 / (ROWS + 2) + 1 / TEST) / TIMES)
    assert np.mean(shares) == pytest.approx(wanted, abs=4 * spread)
    told = promised(fitted)
    assert told.low < np.mean(shares) < told.high
    assert (told.n, fitted.rows, fitted.target) == (ROWS, ROWS, 0.9)


@pytest.mark.parametrize("leaf", [Lac(), Raps(), Cqr()])
def test_a_fitted_leaf_survives_its_plan(leaf):
    drawn = classified if hasattr(leaf, "classes") else regressed
    fitted = fit(leaf, *drawn(np.random.default_rng(0), ROWS), 0.8)
    assert wrapper.make(write_plan(fitted)) == fitted


def test_the_threshold_is_the_order_statistic_of_the_true_scores():
    labels, outputs = classified(np.random.default_rng(1), ROWS)
    scores = np.sort(1 - outputs["probabilities"][np.arange(ROWS), labels])
    assert fit(Lac(), labels, outputs, 0.9).threshold == scores[math.ceil(61 * 0.9) - 1]
