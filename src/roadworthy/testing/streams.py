"""The laws of streams: seldom an alarm on one law, loud on another, pure, and nothing said of nothing.

Each check raises AssertionError with a sentence. `check_stream` runs them all, in a few seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from roadworthy.core.stats import binomial_survival
from roadworthy.observe.base import Listener, Stream
from roadworthy.testing.leaves import check_no_global_chance, example_of

# A law that holds breaks a check this rarely.
SURPRISE = 1e-5
RATES = (0.02, 0.15, 0.5)
QUIET, CHANGED = 4000, 2000


def check_stream(leaf: type, alarms: float = 8.0) -> None:
    """All of the laws, on what the class method `example` of a stream makes, else on all settings at their default.

    `alarms` false alarms are allowed for on average: so many times the mean gap between two that the stream states.
    """
    made: Stream = example_of(leaf, leaf, "a stream that hears values between 0 and 1")
    check_no_global_chance(made, lambda: list(heard(made.begin(), errors(np.random.default_rng(0), 0.2, 200))))
    check_waits_on_nothing(made)
    check_is_pure(made)
    check_is_seldom_wrong(made, alarms)
    check_is_loud(made)


def check_waits_on_nothing(stream: Stream) -> None:
    """Neither the first value nor one that never changes is an alarm, and an unknown one is refused."""
    for value in (0.0, 0.3, 1.0):
        found = list(heard(stream.begin(), [value]))
        assert not found, f"{stream!r} alarms at the first value, {value!r}: there is nothing to compare it with"
    constant = list(heard(stream.begin(), [0.0] * QUIET))
    assert not constant, f"{stream!r} alarms on values that are all 0, at {constant}"
    try:
        stream.begin().add(float("nan"))
    except ValueError:
        return
    raise AssertionError(f"{stream!r} takes NaN for a value: it must raise ValueError")


def check_is_pure(stream: Stream) -> None:
    """Two listeners do not hear of each other, and the same values give the same alarms."""
    values = step(np.random.default_rng(1))
    alone = list(heard(stream.begin(), values))
    one, other, told = stream.begin(), stream.begin(), []
    for at, value in enumerate(values):
        told += [at] * one.add(value)
        other.add(1.0 - value)
    assert told == alone, f"{stream!r} says {told} beside another listener, and {alone} alone, of the same values"


def check_is_seldom_wrong(stream: Stream, alarms: float = 8.0) -> None:
    """On values of one law, false alarms are no more often than one in 1/`alpha` values; errors and losses alike."""
    alpha = getattr(stream, "alpha", None)
    assert isinstance(alpha, float), f"{stream!r} must state its false alarms a value in a field `alpha`"
    assert 0 < alpha <= 0.01, f"{stream!r}: `alpha` must be above 0 and at most 0.01, got {alpha!r}"
    rng = np.random.default_rng(2)
    n = int(alarms / alpha)
    for name, values in (
        *((f"errors at a rate of {rate:g}", errors(rng, rate, n)) for rate in RATES),
        ("losses", rng.beta(1, 4, n).tolist()),
    ):
        found = len(list(heard(stream.begin(), values)))
        told = f"{stream!r} raised {found} false alarms in {n} values ({name}); one in {1 / alpha:g} is stated"
        assert binomial_survival(found, n, alpha) > SURPRISE, told


def check_is_loud(stream: Stream) -> None:
    """Errors that become many times as many are an alarm, soon after and not before."""
    for seed in range(3):
        found = list(heard(stream.begin(), step(np.random.default_rng(seed))))
        told = f"errors rose from 10 % to 60 % after {QUIET} values and it alarmed at {found}"
        assert any(at >= QUIET for at in found), f"{stream!r} must alarm within {CHANGED} values: {told}"


def heard(listener: Listener, values: Iterable[float]) -> Iterable[int]:
    """Where the listener alarms."""
    return (at for at, value in enumerate(values) if listener.add(value))


def errors(rng: np.random.Generator, rate: float, n: int) -> Sequence[float]:
    """Zeros, and ones at the given rate."""
    return [float(hit) for hit in rng.random(n) < rate]


def step(rng: np.random.Generator) -> Sequence[float]:
    """Errors of a model that breaks: one in ten, and from some moment on six in ten."""
    return [*errors(rng, 0.1, QUIET), *errors(rng, 0.6, CHANGED)]
