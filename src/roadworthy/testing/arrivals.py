"""The laws of arrivals: in order, within the time, as many as asked for, and of one shape at every rate."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roadworthy.evaluate.base import Arrivals
from roadworthy.evaluate.load_test.traces import cv, peak
from roadworthy.testing.leaves import check_no_global_chance, example_of

RATE, SECONDS, DRAWS = 20.0, 100.0, 20
# How far the mean of DRAWS runs may be from what was asked for: bursts of a deviation of 3 times the gap come to 2 %.
NEAR = 0.1


def check_arrivals(leaf: type) -> None:
    """Run every law on an arrivals class, made by `example()` or by its defaults.

    `@classmethod def example(cls) -> Arrivals` is for a leaf whose settings have no defaults; what it makes is asked
    for 20 a second in 100 s. Raises AssertionError with the law that is broken.
    """
    made: Arrivals = example_of(leaf, leaf, "arrivals")
    check_in_order(made)
    check_same_seed(made)
    check_no_global_chance(made, lambda: _draw(made))
    check_nothing(made)
    check_rate(made)
    check_shape(made)


def check_in_order(made: Arrivals) -> None:
    """Times are floats in order, from 0 up to the end and not beyond."""
    due = _draw(made)
    assert due.dtype == np.float64, f"{made!r} gives times of type {due.dtype}; they must be float64"
    assert due.ndim == 1, f"{made!r} gives times of shape {due.shape}; they must be (n,)"
    assert bool((np.diff(due) >= 0).all()), f"{made!r} gives times that are not in order"
    within = not len(due) or (due[0] >= 0 and due[-1] < SECONDS)
    assert within, f"{made!r} gives times from {due[:1]} to {due[-1:]} outside of 0 to {SECONDS:g} s"


def check_same_seed(made: Arrivals) -> None:
    """The same seed gives the same times."""
    first, again = _draw(made, seed=3), _draw(made, seed=3)
    assert np.array_equal(first, again), f"{made!r} gives two schedules for one seed"


def check_nothing(made: Arrivals) -> None:
    """No rate or no time gives no arrivals, and no error."""
    for rate, seconds in ((0.0, SECONDS), (RATE, 0.0)):
        try:
            due = _draw(made, rate, seconds)
        except Exception as wrong:
            raise AssertionError(f"{made!r} fails at rate {rate:g} for {seconds:g} s: {wrong!r}") from wrong
        assert not len(due), f"{made!r} gives {len(due)} arrivals at rate {rate:g} for {seconds:g} s"


def check_rate(made: Arrivals) -> None:
    """On average `rate` a second come."""
    for rate, seconds in ((RATE, SECONDS), (10 * RATE, SECONDS / 10)):
        found = float(np.mean([len(_draw(made, rate, seconds, seed)) for seed in range(DRAWS)])) / (rate * seconds)
        assert abs(found - 1) < NEAR, f"{made!r} sends {found:.2f} times the rate of {rate:g} a second"


def check_shape(made: Arrivals) -> None:
    """Ten times the rate in a tenth of the time is the same picture: gaps as uneven, peaks as high over the mean."""
    for what, measure in (("gaps", _cv), ("peaks", _peak)):
        slow = float(np.mean([measure(_draw(made, seed=seed), RATE) for seed in range(DRAWS)]))
        fast = [measure(_draw(made, 10 * RATE, SECONDS / 10, seed), 10 * RATE) for seed in range(DRAWS)]
        ratio = float(np.mean(fast)) / slow if slow > 1e-6 else 1.0
        told = f"{made!r} has {what} of {slow:.3g} at {RATE:g} a second and of {np.mean(fast):.3g} at ten times that"
        assert math.isclose(ratio, 1.0, rel_tol=NEAR), f"{told}; a rate must not change the shape"


def _cv(due: NDArray[np.float64], rate: float) -> float:
    return cv(due).value


def _peak(due: NDArray[np.float64], rate: float) -> float:
    return peak(due, 10 / rate).value


def _draw(made: Arrivals, rate: float = RATE, seconds: float = SECONDS, seed: int = 0) -> NDArray[np.float64]:
    return made(rate, seconds, np.random.default_rng(seed))
