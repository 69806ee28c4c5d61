"""Every estimator in the catalog obeys the laws, and the laws see through estimators that do not."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest
from msgspec.structs import replace

from roadworthy.core.catalog import write_plan
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing
from roadworthy.core.window import Window
from roadworthy.observe.base import estimator
from roadworthy.observe.estimators.static import Static
from roadworthy.testing.estimators import check_estimator


@pytest.mark.parametrize("name", list(estimator))
def test_obeys_the_laws(name):
    check_estimator(estimator.get(name))


@pytest.mark.parametrize("name", list(estimator))
def test_can_be_written_as_a_plan_and_made_again(name):
    made = estimator.make(name)
    assert write_plan(made) == name
    assert estimator.make(write_plan(made)) == made


@dataclass(frozen=True)
class GuessesOnNothing(Static):
    """Says that half is right where there is nothing."""

    def __call__(self, reference: Window, current: Window, output: str) -> Measurement:
        found = super().__call__(reference, current, output)
        return found if found.n else Measurement("accuracy", 0.5, 1, 0.0, 1.0)


@dataclass(frozen=True)
class RaisesOnNothing(Static):
    """Reads an output without asking whether it is there."""

    def __call__(self, reference: Window, current: Window, output: str) -> Measurement:
        current.outputs[output].sum()
        return super().__call__(reference, current, output)


@dataclass(frozen=True)
class RollsDice(Static):
    """Adds noise of the global generator."""

    def __call__(self, reference: Window, current: Window, output: str) -> Measurement:
        found = super().__call__(reference, current, output)
        return replace(found, value=found.value + 1e-9 * random.random()) if found.n else found


@dataclass(frozen=True)
class SortsInPlace(Static):
    """Leaves the window in another order than it got it."""

    def __call__(self, reference: Window, current: Window, output: str) -> Measurement:
        if current.n and output in current.outputs and current.outputs[output].dtype != object:
            current.outputs[output].sort()
        return super().__call__(reference, current, output)


@dataclass(frozen=True)
class Peeks(Static):
    """Reads the labels that it should do without."""

    def __call__(self, reference: Window, current: Window, output: str) -> Measurement:
        found = super().__call__(reference, current, output)
        known = current.labels[~np.isnan(current.labels)]
        return replace(found, value=float(known.mean())) if found.n and len(known) else found


@dataclass(frozen=True)
class ReadsTheFirstRow(Static):
    """Takes the first row's word for the rest."""

    def __call__(self, reference: Window, current: Window, output: str) -> Measurement:
        found = super().__call__(reference, current, output)
        return replace(found, value=float(current.outputs[output][0])) if found.n else found


@dataclass(frozen=True)
class TooSure(Static):
    """An interval of a tenth of the width."""

    def __call__(self, reference: Window, current: Window, output: str) -> Measurement:
        found = super().__call__(reference, current, output)
        half = (found.high - found.low) / 20
        return replace(found, low=found.value - half, high=found.value + half) if found.n else nothing("accuracy")


@dataclass(frozen=True)
class OutsideItself(Static):
    """A value that its own interval does not hold."""

    def __call__(self, reference: Window, current: Window, output: str) -> Measurement:
        found = super().__call__(reference, current, output)
        return replace(found, low=found.high, high=found.low) if found.n else found


@pytest.mark.parametrize(
    ("leaf", "told"),
    [
        (GuessesOnNothing, "must give n=0 on no current rows"),
        (RaisesOnNothing, "must give n=0 on rows without an output, and raises"),
        (RollsDice, "another thing each time"),
        (SortsInPlace, "changed the windows"),
        (Peeks, "reads the labels"),
        (ReadsTheFirstRow, "in another order"),
        (TooSure, "missed the accuracy"),
        (OutsideItself, "low <= value <= high"),
    ],
)
def test_a_faulty_estimator_is_seen_through(leaf, told):
    with pytest.raises(AssertionError, match=told):
        check_estimator(leaf)


def test_the_global_random_state_is_left_as_it_was():
    random.seed(5)
    np.random.seed(5)
    expected = random.Random(5).random(), np.random.RandomState(5).random()
    check_estimator(Static, draws=2)
    assert (random.random(), np.random.random()) == expected
