"""The laws of estimators: right on one law, blind to labels, waiting on nothing, and pure.

Each check raises AssertionError with a sentence. `check_estimator` runs them all, in a few seconds.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import binomial_survival
from roadworthy.core.window import Window
from roadworthy.observe.base import Estimator
from roadworthy.testing.leaves import check_no_global_chance, example_of

OUTPUT = "probability"
SIZES = (80, 400, 2000)
# A law that holds breaks a check this rarely.
SURPRISE = 1e-5


def check_estimator(leaf: type, draws: int = 100) -> None:
    """All of the laws, on what the class method `example` of an estimator makes, else on settings at their default.

    `draws` pairs of windows are drawn for each size.
    """
    estimate: Estimator = example_of(leaf, leaf, "an estimator of accuracy with a confidence of 0.95")
    check_waits_on_nothing(estimate)
    check_is_pure(estimate)
    check_is_blind_to_labels(estimate)
    check_order_does_not_matter(estimate)
    check_is_right_on_one_law(estimate, draws)


def check_waits_on_nothing(estimate: Estimator) -> None:
    """Without rows, labels in the reference, or probabilities there is nothing to estimate: NaN of no rows."""
    rng = np.random.default_rng(0)
    good, empty = world(rng, 500), world(rng, 0)
    unlabelled = replace(good, labels=np.full(good.n, np.nan))
    text = replace(good, outputs={OUTPUT: np.array(["yes"] * good.n, object)})
    for reference, current, what in (
        (good, empty, "no current rows"),
        (empty, good, "a reference without rows"),
        (unlabelled, good, "a reference without labels"),
        (good, text, "answers that are text"),
        (good, replace(good, outputs={}), "rows without an output"),
    ):
        try:
            found = estimate(reference, current, OUTPUT)
        except Exception as wrong:
            raise AssertionError(f"{estimate!r} must give n=0 on {what}, and raises {wrong!r}") from wrong
        assert not found.n, f"{estimate!r} must give n=0 on {what}, gave {found}"
        assert math.isnan(found.value), f"{estimate!r} must give NaN on {what}, gave {found}"


def check_is_pure(estimate: Estimator) -> None:
    """The same windows give the same estimate, whatever the global random state, and neither is changed."""
    rng = np.random.default_rng(1)
    reference, current = world(rng, 800), world(rng, 800)
    before = [_values(window) for window in (reference, current)]
    kept, kept_np = random.getstate(), np.random.get_state()
    try:
        found = [_seeded(estimate, reference, current, seed) for seed in range(4)]
    finally:
        random.setstate(kept)
        np.random.set_state(kept_np)
    assert all(m == found[0] for m in found), f"{estimate!r} estimates another thing each time: {found}"
    after = [_values(window) for window in (reference, current)]
    assert before == after, f"{estimate!r} changed the windows that it was given"
    check_no_global_chance(estimate, lambda: estimate(reference, current, OUTPUT))


def check_is_blind_to_labels(estimate: Estimator) -> None:
    """What is known of the current labels changes nothing: the early ones are not like the others."""
    rng = np.random.default_rng(2)
    reference, current = world(rng, 800), world(rng, 800)
    turned = replace(current, labels=1 - current.labels)
    hidden, strange = (replace(current, labels=np.full(current.n, label)) for label in (np.nan, 7.5))
    found = [estimate(reference, window, OUTPUT) for window in (current, turned, hidden, strange)]
    assert all(m == found[0] for m in found), f"{estimate!r} reads the labels of the rows it estimates: {found}"


def check_order_does_not_matter(estimate: Estimator) -> None:
    """Rows in another order give the same estimate, up to rounding."""
    rng = np.random.default_rng(3)
    reference, current = world(rng, 800), world(rng, 800)
    one = estimate(reference, current, OUTPUT)
    other = estimate(reference.take(rng.permutation(reference.n)), current.take(rng.permutation(current.n)), OUTPUT)
    same = np.allclose((one.value, one.low, one.high), (other.value, other.low, other.high), atol=1e-9)
    assert same, f"{estimate!r} estimates {one}, and {other} of the same rows in another order"


def check_is_right_on_one_law(estimate: Estimator, draws: int = 100) -> None:
    """Where nothing changed, its interval holds what the rows turn out to be, at each of several sizes."""
    for rows in SIZES:
        rng = np.random.default_rng(rows)
        missed = 0
        for _ in range(draws):
            reference, current = world(rng, 1000), world(rng, rows)
            found = estimate(reference, current, OUTPUT)
            _check_form(estimate, found, rows)
            missed += not found.low <= _accuracy(current) <= found.high
        told = f"{estimate!r} missed the accuracy of {rows} rows of the same law {missed} times in {draws}, at 95 %"
        assert binomial_survival(missed, draws, 0.05) > SURPRISE, told


def world(rng: np.random.Generator, n: int) -> Window:
    """Rows of a made-up application: a skewed, somewhat too sure probability, and what became of each row."""
    risk = rng.normal(-0.8, 1.3, n)
    chance = 1 / (1 + np.exp(-risk))
    stated = np.round(1 / (1 + np.exp(-1.4 * risk)), 3)
    labels = (rng.random(n) < chance).astype(np.float64)
    return Window({"risk": risk}, {OUTPUT: stated}, labels, np.arange(n, dtype=np.float64))


def _check_form(estimate: Estimator, found: Measurement, rows: int) -> None:
    assert found.name == "accuracy", f"{estimate!r} is to estimate `accuracy`, gave {found}"
    assert found.n == rows, f"{estimate!r} must count the rows it estimates, {rows}, gave {found}"
    inside = 0 <= found.low <= found.value <= found.high <= 1
    assert inside, f"{estimate!r} must give 0 <= low <= value <= high <= 1, gave {found}"


def _accuracy(window: Window) -> float:
    return float(((window.outputs[OUTPUT] >= 0.5) == window.labels).mean())


def _seeded(estimate: Estimator, reference: Window, current: Window, seed: int) -> Measurement:
    random.seed(seed)
    np.random.seed(seed)
    return estimate(reference, current, OUTPUT)


def _values(window: Window) -> list[Any]:
    columns = {**window.inputs, **window.outputs, " labels": window.labels, " at": window.at}
    return [(name, str(values.dtype), values.tolist()) for name, values in columns.items()]
