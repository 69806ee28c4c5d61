"""Every corruption in the catalog obeys the laws, and the laws catch corruptions that do not."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.testing.corruptions import check_corruption, mixed_sample


@pytest.mark.parametrize("name", list(corruption))
def test_every_corruption_obeys_the_laws(name: str) -> None:
    check_corruption(corruption.get(name))


def spoil(sample: Sample, heat: np.ndarray) -> Sample:
    return replace(sample, columns={**sample.columns, "heat": heat}) if "heat" in sample.columns else sample


@dataclass(frozen=True)
class AtZero:
    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        return spoil(sample, sample.columns.get("heat", np.empty(0)) + 1 + severity)


@dataclass(frozen=True)
class Forgetful:
    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        return spoil(sample, sample.columns.get("heat", np.empty(0)) + severity * np.random.default_rng().random())


@dataclass(frozen=True)
class GlobalChance:
    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        random.seed(3)
        return spoil(sample, sample.columns.get("heat", np.empty(0)) + severity * random.random())


@dataclass(frozen=True)
class NumpyChance:
    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        np.random.seed(3)
        return spoil(sample, sample.columns.get("heat", np.empty(0)) + severity * np.random.random())


@dataclass(frozen=True)
class InPlace:
    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        if severity and "heat" in sample.columns:
            sample.columns["heat"][:] = 0
        return sample


@dataclass(frozen=True)
class Relabels:
    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        return sample if severity == 0 or sample.labels is None else replace(sample, labels=1 - sample.labels)


@dataclass(frozen=True)
class LosesRows:
    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        return sample if severity == 0 else sample.take(slice(1, None))


@dataclass(frozen=True)
class DropsColumn:
    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        return sample if severity == 0 else replace(sample, columns={"town": sample.columns["town"]})


@dataclass(frozen=True)
class Idle:
    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        return sample


@dataclass(frozen=True)
class Brittle:
    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        return spoil(sample, sample.columns["heat"] + severity)


@dataclass(frozen=True)
class Needy:
    column: str

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        return sample


FAULTY = [
    (AtZero, "at severity 0 changes heat"),
    (Forgetful, "two results in heat"),
    (GlobalChance, "draws from `random`"),
    (NumpyChance, "draws from `numpy.random`"),
    (InPlace, "writes into the sample"),
    (Relabels, "changes labels"),
    (LosesRows, "makes 119 rows of 120"),
    (DropsColumn, "adds or drops columns"),
    (Idle, "spoils nothing"),
    (Brittle, "fails on a sample with columns"),
    (Needy, "cannot be made by its defaults"),
]


@pytest.mark.parametrize(("leaf", "law"), FAULTY, ids=[leaf.__name__ for leaf, _ in FAULTY])
def test_a_faulty_corruption_is_caught(leaf: type, law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_corruption(leaf)


def test_an_example_replaces_the_defaults() -> None:
    @dataclass(frozen=True)
    class Tall:
        column: str

        @classmethod
        def example(cls) -> tuple[Tall, Sample]:
            return cls("heat"), mixed_sample()

        def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
            if self.column not in sample.columns:
                return sample
            return spoil(sample, sample.columns[self.column] + severity)

    check_corruption(Tall)
