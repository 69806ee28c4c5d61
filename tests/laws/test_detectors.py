"""Every detector in the catalog obeys the laws, and the laws see through detectors that do not."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest

from roadworthy.core.catalog import write_plan
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.observe.base import detector
from roadworthy.testing.detectors import check_detector


@pytest.mark.parametrize("name", list(detector))
def test_obeys_the_laws(name):
    check_detector(detector.get(name))


@pytest.mark.parametrize("name", list(detector))
def test_can_be_written_as_a_plan_and_made_again(name):
    made = detector.make(name)
    assert write_plan(made) == name
    assert detector.make(write_plan(made)) == made


def gap_of_means(reference: Window, current: Window) -> float:
    return float(abs(reference.inputs["temperature"].mean() - current.inputs["temperature"].mean()))


def verdict_on(gap: float, bound: float, n: int) -> Verdict:
    measured = Measurement("gap", gap, n)
    return Verdict("fail" if gap > bound else "pass", f"temperature moved by {gap:.6f}", "toy", (measured,))


@dataclass(frozen=True)
class Honest:
    """Alarms where the means differ by more than chance allows."""

    alpha: float = 0.01

    def __call__(self, reference: Window, current: Window) -> Verdict:
        if not current.n or not reference.n:
            return Verdict("wait", "no rows")
        return verdict_on(gap_of_means(reference, current), 3.5 * (1 / reference.n + 1 / current.n) ** 0.5, current.n)


@dataclass(frozen=True)
class WithoutNoiseBand(Honest):
    """The same bound at 60 rows as at 60,000."""

    def __call__(self, reference: Window, current: Window) -> Verdict:
        if not current.n or not reference.n:
            return Verdict("wait", "no rows")
        return verdict_on(gap_of_means(reference, current), 0.1, current.n)


@dataclass(frozen=True)
class PassesOnNothing(Honest):
    """Says that all is well where there is nothing."""

    def __call__(self, reference: Window, current: Window) -> Verdict:
        if not current.n:
            return Verdict("pass", "nothing moved")
        return super().__call__(reference, current)


@dataclass(frozen=True)
class RaisesOnNothing(Honest):
    """Takes the mean of no rows."""

    def __call__(self, reference: Window, current: Window) -> Verdict:
        return verdict_on(gap_of_means(reference, current), 3.5, current.n)


@dataclass(frozen=True)
class RollsDice(Honest):
    """Looks at rows that the global generator picks."""

    def __call__(self, reference: Window, current: Window) -> Verdict:
        verdict = super().__call__(reference, current)
        if verdict.decision == "wait":
            return verdict
        return Verdict(
            verdict.decision, f"{verdict.because} on row {random.randrange(current.n)}", "toy", verdict.evidence
        )


@dataclass(frozen=True)
class SortsInPlace(Honest):
    """Leaves the window in another order than it got it."""

    def __call__(self, reference: Window, current: Window) -> Verdict:
        if current.n:
            current.inputs["temperature"].sort()
        return super().__call__(reference, current)


@dataclass(frozen=True)
class Deaf(Honest):
    """Never alarms."""

    def __call__(self, reference: Window, current: Window) -> Verdict:
        return Verdict("pass" if current.n and reference.n else "wait", "nothing moved")


@dataclass(frozen=True)
class WithoutAlpha:
    """Does not say how often it errs."""

    def __call__(self, reference: Window, current: Window) -> Verdict:
        return Honest()(reference, current)


def test_an_honest_toy_passes():
    check_detector(Honest)


@pytest.mark.parametrize(
    ("leaf", "told"),
    [
        (WithoutNoiseBand, "false alarms"),
        (PassesOnNothing, "must wait on no current rows"),
        (RaisesOnNothing, "must wait on no current rows"),
        (RollsDice, "another thing each time"),
        (SortsInPlace, "changed the windows"),
        (Deaf, "must alarm where everything moved"),
        (WithoutAlpha, "must state its rate of false alarms"),
    ],
)
def test_a_faulty_detector_is_seen_through(leaf, told):
    with pytest.raises(AssertionError, match=told):
        check_detector(leaf)


def test_the_global_random_state_is_left_as_it_was():
    random.seed(5)
    np.random.seed(5)
    expected = random.Random(5).random(), np.random.RandomState(5).random()
    check_detector(Honest, draws=2)
    assert (random.random(), np.random.random()) == expected
