"""Every arrivals leaf obeys the laws, and the laws catch those that do not."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest

from roadworthy.evaluate.base import arrivals
from roadworthy.testing.arrivals import check_arrivals

Floats = np.ndarray
Rng = np.random.Generator


@pytest.mark.parametrize("name", list(arrivals))
def test_every_arrivals_leaf_obeys_the_laws(name: str) -> None:
    check_arrivals(arrivals.get(name))


def uniform(rate: float, seconds: float, rng: Rng) -> Floats:
    return np.sort(rng.uniform(0, seconds, rng.poisson(rate * seconds)))


@dataclass(frozen=True)
class Unsorted:
    def __call__(self, rate: float, seconds: float, rng: Rng) -> Floats:
        return rng.uniform(0, seconds, rng.poisson(rate * seconds))


@dataclass(frozen=True)
class Beyond:
    def __call__(self, rate: float, seconds: float, rng: Rng) -> Floats:
        return uniform(rate, seconds, rng) + seconds / 2


@dataclass(frozen=True)
class WholeSeconds:
    def __call__(self, rate: float, seconds: float, rng: Rng) -> Floats:
        return uniform(rate, seconds, rng).astype(np.int64)


@dataclass(frozen=True)
class Forgetful:
    def __call__(self, rate: float, seconds: float, rng: Rng) -> Floats:
        return uniform(rate, seconds, np.random.default_rng())


@dataclass(frozen=True)
class GlobalChance:
    def __call__(self, rate: float, seconds: float, rng: Rng) -> Floats:
        random.seed(5)
        return uniform(rate, seconds, np.random.default_rng(random.randrange(9)))


@dataclass(frozen=True)
class NumpyChance:
    def __call__(self, rate: float, seconds: float, rng: Rng) -> Floats:
        np.random.seed(3)
        return np.sort(np.random.uniform(0, seconds, np.random.poisson(rate * seconds)))


@dataclass(frozen=True)
class NeverQuiet:
    def __call__(self, rate: float, seconds: float, rng: Rng) -> Floats:
        return np.concatenate([[0.0], uniform(rate, seconds, rng)])


@dataclass(frozen=True)
class Twice:
    def __call__(self, rate: float, seconds: float, rng: Rng) -> Floats:
        return uniform(2 * rate, seconds, rng)


@dataclass(frozen=True)
class Thinned:
    """Bursts of ten at one moment, of which a high rate keeps the burst and a low one single requests."""

    def __call__(self, rate: float, seconds: float, rng: Rng) -> Floats:
        size = max(1, round(rate / 20))
        return np.sort(np.repeat(uniform(rate / size, seconds, rng), size))


@dataclass(frozen=True)
class Needy:
    path: str

    def __call__(self, rate: float, seconds: float, rng: Rng) -> Floats:
        return uniform(rate, seconds, rng)


FAULTY = [
    (Unsorted, "not in order"),
    (Beyond, "outside of 0 to 100 s"),
    (WholeSeconds, "must be float64"),
    (Forgetful, "two schedules for one seed"),
    (GlobalChance, "draws from `random`"),
    (NumpyChance, "draws from `numpy.random`"),
    (NeverQuiet, "gives 1 arrivals at rate 0"),
    (Twice, "sends 2.01 times the rate of 20"),
    (Thinned, "a rate must not change the shape"),
    (Needy, "cannot be made by its defaults"),
]


@pytest.mark.parametrize(("leaf", "law"), FAULTY, ids=[leaf.__name__ for leaf, _ in FAULTY])
def test_a_faulty_arrivals_leaf_is_caught(leaf: type, law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_arrivals(leaf)
