"""Every detector in the catalog obeys the laws, and the laws see through detectors that do not."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest
from msgspec.structs import replace

from roadworthy.core.catalog import write_plan
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.profile import Reference
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


def gap_of_medians(reference: Window, current: Window, name: str = "temperature") -> float:
    return float(abs(np.median(reference.inputs[name]) - np.median(current.inputs[name])))


def verdict_on(gap: float, bound: float, n: int) -> Verdict:
    measured = Measurement("gap", gap, n)
    return Verdict("fail" if gap > bound else "pass", f"temperature moved by {gap:.6f}", "toy", (measured,))


@dataclass(frozen=True)
class Honest:
    """Alarms where the medians differ by more than chance allows."""

    alpha: float = 0.01

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        if not current.n or not reference.n:
            return Verdict("wait", "no rows")
        return verdict_on(gap_of_medians(reference, current), 3.5 * (1 / reference.n + 1 / current.n) ** 0.5, current.n)


@dataclass(frozen=True)
class WithoutNoiseBand(Honest):
    """The same bound at 60 rows as at 60,000."""

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        if not current.n or not reference.n:
            return Verdict("wait", "no rows")
        return verdict_on(gap_of_medians(reference, current), 0.1, current.n)


@dataclass(frozen=True)
class PassesOnNothing(Honest):
    """Says that all is well where there is nothing."""

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        if not current.n:
            return Verdict("pass", "nothing moved")
        return super().__call__(reference, current)


@dataclass(frozen=True)
class RaisesOnNothing(Honest):
    """Divides by no rows."""

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        return verdict_on(1 / current.n, 3.5, current.n)


@dataclass(frozen=True)
class TakesMeans(Honest):
    """Lets one wild row speak for all of them."""

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        if not current.n or not reference.n:
            return Verdict("wait", "no rows")
        gap = abs(float(current.inputs["temperature"].mean() - reference.inputs["temperature"].mean()))
        return verdict_on(gap, 3.5 * (1 / reference.n + 1 / current.n) ** 0.5, current.n)


@dataclass(frozen=True)
class OnlyWhatIsThere(Honest):
    """Compares the columns that both have, and says nothing of the others."""

    names: tuple[str, ...] = ("temperature", "rain")

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        shared = [name for name in self.names if name in current.inputs]
        if not current.n or not reference.n or not shared:
            return Verdict("wait", "no rows")
        gaps = {name: gap_of_medians(reference, current, name) for name in shared}
        verdict = verdict_on(max(gaps.values()), 4 * (1 / reference.n + 1 / current.n) ** 0.5, current.n)
        return replace(verdict, evidence=tuple(Measurement("gap", gap, current.n, where=n) for n, gap in gaps.items()))


@dataclass(frozen=True)
class BlindToNewOnes(OnlyWhatIsThere):
    """Misses what is gone, and overlooks what came."""

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        gone = [name for name in self.names if name not in current.inputs]
        return Verdict("wait", f"no {gone}") if gone and current.n else super().__call__(reference, current)


@dataclass(frozen=True)
class RollsDice(Honest):
    """Looks at rows that the global generator picks."""

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        verdict = super().__call__(reference, current)
        if verdict.decision == "wait":
            return verdict
        return Verdict(
            verdict.decision, f"{verdict.because} on row {random.randrange(current.n)}", "toy", verdict.evidence
        )


@dataclass(frozen=True)
class SortsInPlace(Honest):
    """Leaves the window in another order than it got it."""

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        if current.n:
            current.inputs["temperature"].sort()
        return super().__call__(reference, current)


@dataclass(frozen=True)
class Deaf(Honest):
    """Never alarms."""

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        return Verdict("pass" if current.n and reference.n else "wait", "nothing moved")


@dataclass(frozen=True)
class WithoutAlpha:
    """Does not say how often it errs."""

    def __call__(self, reference: Reference, current: Window) -> Verdict:
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
        (TakesMeans, "planted value of 1e.06 turns 'pass' into 'fail'"),
        (OnlyWhatIsThere, "must alarm or wait when `temperature` vanishes"),
        (BlindToNewOnes, "must name a new column"),
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
