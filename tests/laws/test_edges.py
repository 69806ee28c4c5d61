"""Every edge in the catalog obeys the laws, and the laws catch edges that do not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import Case, edge
from roadworthy.testing.edges import check_edge

Rng = np.random.Generator


@pytest.mark.parametrize("name", list(edge))
def test_every_edge_obeys_the_laws(name: str) -> None:
    check_edge(edge.get(name))


def hot(sample: Sample, heat: float = 1e9) -> Sample:
    row = sample.take(slice(0, 1))
    return replace(row, columns={**row.columns, "heat": np.array([heat])}) if "heat" in row.columns else row


@dataclass(frozen=True)
class Sound:
    def __call__(self, sample: Sample, rng: Rng) -> Iterator[Case]:
        if sample.n:
            yield Case("hot", hot(sample, rng.uniform()))


@dataclass(frozen=True)
class Idle:
    def __call__(self, sample: Sample, rng: Rng) -> Iterator[Case]:
        return iter(())


@dataclass(frozen=True)
class Twins(Sound):
    def __call__(self, sample: Sample, rng: Rng) -> Iterator[Case]:
        yield from super().__call__(sample, rng)
        yield from super().__call__(sample, rng)


@dataclass(frozen=True)
class Unprintable:
    def __call__(self, sample: Sample, rng: Rng) -> Iterator[Case]:
        yield Case("\x1b[31m", hot(sample))


@dataclass(frozen=True)
class Unsure:
    def __call__(self, sample: Sample, rng: Rng) -> Iterator[Case]:
        yield Case("hot", hot(sample), "perhaps")  # type: ignore[arg-type]


@dataclass(frozen=True)
class Inventor:
    def __call__(self, sample: Sample, rng: Rng) -> Iterator[Case]:
        yield Case("new", replace(hot(sample), columns={"invented": np.zeros(1)}))


@dataclass(frozen=True)
class Ragged:
    def __call__(self, sample: Sample, rng: Rng) -> Iterator[Case]:
        yield Case("ragged", replace(sample, columns={**sample.columns, "heat": np.zeros(1)}))


@dataclass(frozen=True)
class Fieldless:
    def __call__(self, sample: Sample, rng: Rng) -> Iterator[Case]:
        yield Case("hot", replace(hot(sample), fields={}))


@dataclass(frozen=True)
class InPlace:
    def __call__(self, sample: Sample, rng: Rng) -> Iterator[Case]:
        sample.columns["heat"][0] = 1e9
        yield Case("hot", sample.take(slice(0, 1)))


@dataclass(frozen=True)
class Forgetful:
    def __call__(self, sample: Sample, rng: Rng) -> Iterator[Case]:
        yield Case("hot", hot(sample, np.random.default_rng().random()))


@dataclass(frozen=True)
class GlobalChance:
    def __call__(self, sample: Sample, rng: Rng) -> Iterator[Case]:
        random.seed(3)
        yield Case("hot", hot(sample, random.random()))


@dataclass(frozen=True)
class NumpyChance:
    def __call__(self, sample: Sample, rng: Rng) -> Iterator[Case]:
        np.random.seed(3)
        yield Case("hot", hot(sample, np.random.random()))


@dataclass(frozen=True)
class Brittle:
    def __call__(self, sample: Sample, rng: Rng) -> Iterator[Case]:
        yield Case("hot", hot(sample, float(sample.columns["heat"][0])))


@dataclass(frozen=True)
class OutOfNothing:
    def __call__(self, sample: Sample, rng: Rng) -> Iterator[Case]:
        yield Case("hot", hot(sample))


@dataclass(frozen=True)
class Needy:
    column: str

    def __call__(self, sample: Sample, rng: Rng) -> Iterator[Case]:
        return iter(())


FAULTY = [
    (Idle, "makes no case"),
    (Twins, "several cases named 'hot'"),
    (Unprintable, "a plain name in the report"),
    (Unsure, "'perhaps' is right"),
    (Inventor, "invents the column 'invented'"),
    (Ragged, r"columns of \[1, 120\] rows"),
    (Fieldless, "loses or changes what the columns are"),
    (InPlace, "writes into the sample"),
    (Forgetful, "two versions of 'hot'"),
    (GlobalChance, "draws from `random`"),
    (NumpyChance, "draws from `numpy.random`"),
    (Brittle, "fails on a sample"),
    (OutOfNothing, "1 cases of a sample without rows"),
    (Needy, "cannot be made by its defaults"),
]


@pytest.mark.parametrize(("leaf", "law"), FAULTY, ids=[leaf.__name__ for leaf, _ in FAULTY])
def test_a_faulty_edge_is_caught(leaf: type, law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_edge(leaf)


def test_a_sound_edge_passes_by_its_defaults_and_by_its_example() -> None:
    @dataclass(frozen=True)
    class Named(Sound):
        column: str

        @classmethod
        def example(cls) -> tuple[Named, Sample]:
            return cls("heat"), Sample({"heat": np.arange(3.0)})

    check_edge(Sound)
    check_edge(Named)
