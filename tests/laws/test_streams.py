"""Every stream in the catalog obeys the laws, and the laws see through streams that do not."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from roadworthy.core.catalog import write_plan
from roadworthy.observe.base import Listener, stream
from roadworthy.testing.streams import check_stream, errors, heard


def unless_absent(name):
    absent = [module for module, _ in stream.get(name).needs if importlib.util.find_spec(module) is None]
    if absent:
        pytest.skip(f"{name} needs {absent}")


@pytest.mark.parametrize("name", list(stream))
def test_obeys_the_laws(name):
    unless_absent(name)
    check_stream(stream.get(name))


@pytest.mark.parametrize("name", list(stream))
def test_can_be_written_as_a_plan_and_made_again(name):
    unless_absent(name)
    made = stream.make(name)
    assert write_plan(made) == name
    assert stream.make(write_plan(made)) == made


@dataclass
class Heard:
    """Alarms when the errors among the last 200 values are far more than among the first 1,000."""

    judge: Callable[[list[float]], bool]
    values: list[float] = field(default_factory=list)

    def add(self, value: float) -> bool:
        if value != value:
            raise ValueError("not a number")
        self.values.append(value)
        alarm = self.judge(self.values)
        if alarm:
            self.values.clear()
        return alarm


def far_above(values: list[float], by: float = 0.25) -> bool:
    return len(values) > 1500 and sum(values[-200:]) / 200 > sum(values[:1000]) / 1000 + by


@dataclass(frozen=True)
class Honest:
    """Alarms where errors became many more."""

    alpha: float = 0.001

    def begin(self) -> Listener:
        return Heard(far_above)


@dataclass(frozen=True)
class Nervous(Honest):
    """A bound that chance alone exceeds."""

    alpha: float = 1e-4

    def begin(self) -> Listener:
        return Heard(lambda values: far_above(values, by=0.04))


@dataclass(frozen=True)
class Hasty(Honest):
    """Takes the first error for a change."""

    def begin(self) -> Listener:
        return Heard(lambda values: values[-1] == 1.0)


@dataclass(frozen=True)
class Deaf(Honest):
    """Never alarms."""

    def begin(self) -> Listener:
        return Heard(lambda values: False)


@dataclass(frozen=True)
class Shared(Honest):
    """All listeners are one."""

    values: list[float] = field(default_factory=list, compare=False)

    def begin(self) -> Listener:
        return Heard(far_above, self.values)


@dataclass(frozen=True)
class RollsDice(Honest):
    """Leaves out values that the global generator picks."""

    def begin(self) -> Listener:
        return Heard(lambda values: random.random() < 2 and far_above(values))


@dataclass(frozen=True)
class WithoutAlpha:
    """Does not say how often it errs."""

    def begin(self) -> Listener:
        return Heard(far_above)


@dataclass(frozen=True)
class SwallowsNan(Honest):
    """Takes what is not known for a value."""

    def begin(self) -> Listener:
        listener = Heard(far_above)
        return type("Swallows", (), {"add": lambda self, value: value == value and listener.add(value)})()


def test_an_honest_toy_passes():
    check_stream(Honest)


@pytest.mark.parametrize(
    ("leaf", "told"),
    [
        (Nervous, "false alarms"),
        (Hasty, "alarms at the first value"),
        (Deaf, "must alarm within"),
        (Shared, "beside another listener"),
        (RollsDice, "draws from `random`"),
        (WithoutAlpha, "must state its false alarms"),
        (SwallowsNan, "takes NaN for a value"),
    ],
)
def test_a_faulty_stream_is_seen_through(leaf, told):
    with pytest.raises(AssertionError, match=told):
        check_stream(leaf, alarms=3.0)


def test_errors_come_at_the_rate_that_is_asked_for():
    values = errors(np.random.default_rng(0), 0.3, 20_000)
    assert set(values) == {0.0, 1.0}
    assert 0.28 < sum(values) / len(values) < 0.32
    assert list(heard(Heard(lambda values: len(values) == 3), [0.0] * 7)) == [2, 5]
