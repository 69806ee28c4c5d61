"""The laws of detectors: calm on one law, loud on another, waiting on nothing, and pure.

Each check raises AssertionError with a sentence. `check_detector` runs them all, in a few seconds.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from roadworthy.core.measure import Verdict
from roadworthy.core.stats import binomial_survival
from roadworthy.core.window import Window
from roadworthy.observe.base import Detector

SIZES = (60, 300, 2000)
# A law that holds breaks a check this rarely.
SURPRISE = 1e-5


def check_detector(leaf: type, draws: int = 100) -> None:
    """All of the laws, on what the class method `example` of a detector makes, else on all settings at their default.

    `draws` pairs of windows are drawn for each size.
    """
    make = getattr(leaf, "example", leaf)
    detector: Detector = make()
    check_waits_on_nothing(detector)
    check_is_pure(detector)
    check_is_calm(detector, draws)
    check_is_loud(detector)


def check_waits_on_nothing(detector: Detector) -> None:
    """Without rows there is nothing to say: neither `pass` nor `fail`, nor an error."""
    rng = np.random.default_rng(0)
    empty = world(rng, 0)
    for reference, current, what in (
        (world(rng, 500), empty, "no current rows"),
        (empty, empty, "no rows at all"),
        (world(rng, 500), Window({}, {}, np.empty(0), np.empty(0)), "no rows and no columns"),
    ):
        try:
            verdict = detector(reference, current)
        except Exception as wrong:
            raise AssertionError(f"{detector!r} must wait on {what}, and raises {wrong!r}") from wrong
        assert verdict.decision == "wait", f"{detector!r} must wait on {what}, said {verdict.decision!r}"


def check_is_pure(detector: Detector) -> None:
    """The same windows give the same verdict, whatever the global random state, and neither is changed."""
    rng = np.random.default_rng(1)
    reference, current = world(rng, 1000), world(rng, 1000, moved=True)
    before = [_values(window) for window in (reference, current)]
    kept, kept_np = random.getstate(), np.random.get_state()
    try:
        verdicts = [_seeded(detector, reference, current, seed) for seed in range(8)]
    finally:
        random.setstate(kept)
        np.random.set_state(kept_np)
    assert all(v == verdicts[0] for v in verdicts), f"{detector!r} says another thing each time: {verdicts}"
    after = [_values(window) for window in (reference, current)]
    assert all(map(_equal, before, after)), f"{detector!r} changed the windows that it was given"
    told = verdicts[0]
    assert told.because, f"{detector!r} gives no reason for {told.decision!r}"


def check_is_calm(detector: Detector, draws: int = 100) -> None:
    """On two windows of one law it alarms in at most its `alpha` of the draws, at each of several sizes."""
    alpha = getattr(detector, "alpha", None)
    assert isinstance(alpha, float), f"{detector!r} must state its rate of false alarms in a field `alpha`"
    assert 0 < alpha <= 0.1, f"{detector!r}: `alpha` must be above 0 and at most 0.1, got {alpha!r}"
    for rows in SIZES:
        rng = np.random.default_rng(rows)
        alarms = sum(detector(world(rng, 2000), world(rng, rows)).decision == "fail" for _ in range(draws))
        surprise = binomial_survival(alarms, draws, alpha)
        told = f"{detector!r} raised {alarms} false alarms in {draws} draws of {rows} rows, with alpha {alpha:g}"
        assert surprise > SURPRISE, told


def check_is_loud(detector: Detector) -> None:
    """Where inputs, answers and outcomes all moved, every detector has something to alarm about, and says what."""
    rng = np.random.default_rng(2)
    verdict = detector(world(rng, 5000), world(rng, 5000, moved=True))
    assert verdict.decision == "fail", f"{detector!r} must alarm where everything moved, said {verdict!r}"
    assert verdict.evidence, f"{detector!r} alarms without evidence: a Measurement for what moved"


def world(rng: np.random.Generator, n: int, moved: bool = False) -> Window:
    """Rows of a made-up application: skewed, discrete, rare, missing, categorical inputs and calibrated answers.

    `moved` shifts each of them, and turns the probabilities around.
    """
    shift = 1.0 if moved else 0.0
    hour = np.minimum(rng.geometric(0.15, n) + (6.0 if moved else 0.0), 23.0)
    delay = np.exp(2 * rng.normal(size=n) + shift)
    delay[rng.random(n) < (0.3 if moved else 0.01)] = np.nan
    carriers = np.array(["AA", "UA", "B6", "YV", None], dtype=object)
    chances = np.array([0.5, 0.3, 0.15, 0.03, 0.02])
    inputs = {
        "temperature": rng.normal(size=n) + shift,
        "delay": delay,
        "hour": hour,
        "rain": np.where(rng.random(n) < (0.5 if moved else 0.95), 0.0, rng.exponential(size=n)),
        "carrier": rng.choice(carriers, size=n, p=chances[::-1] if moved else chances),
        "tail": rng.choice(np.array([f"N{k}" for k in range(200)], dtype=object), size=n),
    }
    probability = rng.beta(6, 2, n) if moved else rng.beta(2, 6, n)
    labels = (rng.random(n) < (1 - probability if moved else probability)).astype(np.float64)
    return Window(inputs, {"probability": probability}, labels, np.arange(n, dtype=np.float64))


def _seeded(detector: Detector, reference: Window, current: Window, seed: int) -> Verdict:
    random.seed(seed)
    np.random.seed(seed)
    return detector(reference, current)


def _values(window: Window) -> list[Any]:
    columns = {**window.inputs, **window.outputs, " labels": window.labels, " at": window.at}
    return [(name, values.dtype, values.copy()) for name, values in columns.items()]


def _equal(before: list[Any], after: list[Any]) -> bool:
    if [part[:2] for part in before] != [part[:2] for part in after]:
        return False
    return all(_same(old, new) for (_, _, old), (_, _, new) in zip(before, after, strict=True))


def _same(old: Any, new: Any) -> bool:
    return bool(old.tolist() == new.tolist() if old.dtype == object else np.array_equal(old, new, equal_nan=True))
