"""How often the detectors of several columns alarm on one law, at several sizes, and what the classifier costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import proportion
from roadworthy.core.window import Window
from roadworthy.observe.detectors.classifier import Classifier
from roadworthy.observe.detectors.outputs import Outputs
from roadworthy.observe.detectors.projections import Projections

ALPHA = 0.05
SIZES = (50, 100, 300, 1000, 5000)
# No effect is too small here: that would hide how often the tests themselves err.
DETECTORS: dict[str, Callable[[Window, Window], Verdict]] = {
    "classifier": Classifier(alpha=ALPHA, least=0.5),
    "outputs": Outputs(alpha=ALPHA, least=0.0),
    "projections": Projections(alpha=ALPHA, least=0.0),
}
AT_MOST_CPU_S = 10.0


def world(n: int, rng: np.random.Generator) -> Window:
    """Numbers, a skewed one with nulls, categories, a vector, and the probabilities of four classes."""
    amount = rng.lognormal(size=n)
    amount[rng.random(n) < 0.05] = np.nan
    softmax = np.exp(rng.normal(size=(n, 4)) + 2 * np.eye(4)[rng.integers(0, 4, n)])
    inputs: dict[str, Any] = {
        "x": rng.normal(size=n),
        "y": rng.normal(size=n),
        "amount": amount,
        "hour": rng.integers(0, 24, n).astype(float),
        "place": rng.choice(np.array(["north", "south", "east", None], object), n, p=[0.5, 0.3, 0.15, 0.05]),
        "vector": rng.normal(size=(n, 16)),
    }
    at = np.zeros(n)
    return Window(inputs, {"p": softmax / softmax.sum(axis=1, keepdims=True)}, at * np.nan, at)


def levels(draws: int) -> tuple[list[Measurement], bool]:
    """Shares of false alarms over `alpha`; kept where none is shown to be above."""
    found, kept = [], True
    print(f"\n{f'false alarms at alpha {ALPHA:g}':30}" + "".join(f"{f'n={n}':>18}" for n in SIZES))
    for name, detector in DETECTORS.items():
        shares = []
        for n in SIZES:
            rng = np.random.default_rng(n)
            hits = sum(detector(world(2000, rng), world(n, rng)).decision == "fail" for _ in range(draws))
            shares.append(proportion("false_alarm_over_alpha", hits, draws, where=f"{name}, n={n}", confidence=0.999))
        print(f"{name:30}" + "".join(f"{f'{m.value:.3f} [{m.low:.3f}, {m.high:.3f}]':>18}" for m in shares))
        kept &= all(m.low <= ALPHA for m in shares)
        worst = max(shares, key=lambda m: m.value)
        bounds = worst.value / ALPHA, draws, worst.low / ALPHA, worst.high / ALPHA
        found.append(
            Measurement("worst_false_alarm_over_alpha", *bounds, where=worst.where, conditions=worst.conditions)
        )
    return found, kept


def cost() -> tuple[Measurement, bool]:
    """CPU seconds of the classifier on 100,000 rows against as many, of ten numbers and five categories."""
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefgh"), object)
    sides = []
    for _ in range(2):
        columns: dict[str, Any] = {f"x{k}": rng.normal(size=100_000) for k in range(10)}
        columns |= {f"c{k}": rng.choice(letters, 100_000) for k in range(5)}
        sides.append(Window(columns, {}, np.zeros(100_000), np.zeros(100_000)))
    began = time.process_time()
    verdict = Classifier()(*sides)
    spent = time.process_time() - began
    print(f"\nclassifier, 100,000 x 15 against 100,000 x 15: {spent:.2f} CPU s ({verdict.because})")
    return Measurement("classifier_cpu_s_100k_x_15", spent, 1, unit="s"), spent <= AT_MOST_CPU_S
