"""The laws of detectors: calm on one law, loud on another, deaf to a slip, waiting on nothing, and pure.

Each check raises AssertionError with a sentence. `check_detector` runs them all, in a few seconds.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Verdict
from roadworthy.core.profile import Reference
from roadworthy.core.stats import binomial_survival
from roadworthy.core.window import Window
from roadworthy.observe.base import Detector

SIZES = (50, 300, 2000)
PLANTED = 1e6
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
    check_stands_a_planted_value(detector)
    check_tells_of_other_columns(detector)


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
            verdict = detector(Reference.of(reference), current)
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
        alarms = sum(
            detector(Reference.of(world(rng, 2000)), world(rng, rows)).decision == "fail" for _ in range(draws)
        )
        surprise = binomial_survival(alarms, draws, alpha)
        told = f"{detector!r} raised {alarms} false alarms in {draws} draws of {rows} rows, with alpha {alpha:g}"
        assert surprise > SURPRISE, told


def check_is_loud(detector: Detector) -> None:
    """Where inputs, answers and outcomes all moved, every detector has something to alarm about, and says what."""
    rng = np.random.default_rng(2)
    verdict = detector(Reference.of(world(rng, 5000)), world(rng, 5000, moved=True))
    assert verdict.decision == "fail", f"{detector!r} must alarm where everything moved, said {verdict!r}"
    assert verdict.evidence, f"{detector!r} alarms without evidence: a Measurement for what moved"


def check_stands_a_planted_value(detector: Detector) -> None:
    """One value of 1e6 changes no verdict, neither on the same law nor beside a shift of one standard deviation."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        reference, now = Reference.of(world(rng, 5000)), world(rng, 600)
        for what, shift in (("nothing moved", 0.0), ("a column moved by one standard deviation", 1.0)):
            values = now.inputs["temperature"] + shift
            planted = values.copy()
            planted[7] = PLANTED
            said, then = (detector(reference, with_input(now, "temperature", v)) for v in (values, planted))
            told = f"{detector!r}: where {what}, one planted value of {PLANTED:g} turns {said.decision!r} into"
            assert then.decision == said.decision, f"{told} {then.decision!r} ({then.because})"


def check_tells_of_other_columns(detector: Detector) -> None:
    """Who looks at single columns, and names them in the evidence, tells of one that vanished and of a new one."""
    rng = np.random.default_rng(3)
    reference, now = Reference.of(world(rng, 2000)), world(rng, 2000)
    evidence = detector(reference, world(rng, 2000, moved=True)).evidence
    looked_at = [name for name in now.inputs if name in {measured.where for measured in evidence}]
    for name in looked_at:
        verdict = detector(reference, with_input(now, name, None))
        told = f"{detector!r} must alarm or wait when `{name}` vanishes, and name it; said {verdict!r}"
        assert verdict.decision != "pass", told
        assert name in verdict.because, told
    if looked_at:
        verdict = detector(reference, with_input(now, "brand_new", np.arange(float(now.n))))
        assert "brand_new" in verdict.because, f"{detector!r} must name a new column, said {verdict.because!r}"


def with_input(window: Window, name: str, values: NDArray[Any] | None) -> Window:
    """The same window with other values of one input, or without it."""
    inputs = {**window.inputs, name: values} if values is not None else dict(window.inputs)
    if values is None:
        del inputs[name]
    return replace(window, inputs=inputs)


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
    return detector(Reference.of(reference), current)


def _values(window: Window) -> list[Any]:
    columns = {**window.inputs, **window.outputs, " labels": window.labels, " at": window.at}
    return [(name, values.dtype, values.copy()) for name, values in columns.items()]


def _equal(before: list[Any], after: list[Any]) -> bool:
    if [part[:2] for part in before] != [part[:2] for part in after]:
        return False
    return all(_same(old, new) for (_, _, old), (_, _, new) in zip(before, after, strict=True))


def _same(old: Any, new: Any) -> bool:
    return bool(old.tolist() == new.tolist() if old.dtype == object else np.array_equal(old, new, equal_nan=True))
