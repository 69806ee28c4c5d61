"""Every repair in the catalog obeys the laws, and the laws catch repairs that do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import repair
from roadworthy.evaluate.repairs.nfkc import Nfkc
from roadworthy.testing.repairs import check_repair, damaged_sample, plain_sample


@pytest.mark.parametrize("name", list(repair))
def test_every_repair_obeys_the_laws(name: str) -> None:
    check_repair(repair.get(name))


def mend(sample: Sample, heat: np.ndarray) -> Sample:
    return replace(sample, columns={**sample.columns, "heat": heat}) if "heat" in sample.columns else sample


def heat_of(sample: Sample) -> np.ndarray:
    return sample.columns.get("heat", np.empty(0))


@dataclass(frozen=True)
class Fills:
    """Lawful, by the middle of the lab."""

    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        if not len(heat_of(lab)):
            return sample
        return mend(sample, np.where(np.isnan(heat_of(sample)), np.median(heat_of(lab)), heat_of(sample)))


@dataclass(frozen=True)
class FillsByNeighbours:
    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        heat = heat_of(sample)
        return mend(sample, np.where(np.isnan(heat), np.nanmean(heat) if len(heat) else 0, heat))


@dataclass(frozen=True)
class InPlace:
    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        heat_of(sample)[np.isnan(heat_of(sample))] = 60.0
        return sample


@dataclass(frozen=True)
class Relabels:
    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        return sample if sample.labels is None else replace(sample, labels=1 - sample.labels)


@dataclass(frozen=True)
class DropsTheBroken:
    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        return sample.take(~np.isnan(heat_of(sample))) if "heat" in sample.columns else sample


@dataclass(frozen=True)
class Idle:
    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        return sample


@dataclass(frozen=True)
class Meddles:
    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        return mend(sample, np.rint(heat_of(sample)))


@dataclass(frozen=True)
class NeverDone:
    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        heat, hottest = heat_of(sample), max(heat_of(lab), default=0.0)
        return mend(sample, np.where(np.isnan(heat), hottest + 1, np.where(heat > hottest, heat + 1, heat)))


@dataclass(frozen=True)
class Brittle:
    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        return mend(sample, np.where(np.isnan(sample.columns["heat"]), 60.0, sample.columns["heat"]))


@dataclass(frozen=True)
class Needy:
    column: str

    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        return sample


@dataclass(frozen=True)
class PlansNonsense(Nfkc):
    def plan(self, lab: Sample) -> Mapping[str, Any] | None:
        return {"no such wrapper": {}}


@dataclass(frozen=True)
class PlansOtherwise(Nfkc):
    def plan(self, lab: Sample) -> Mapping[str, Any] | None:
        return {"tidy": {"columns": ["said"], "steps": ["lower"]}}


FAULTY = [
    (FillsByNeighbours, "by what stands in the other rows"),
    (InPlace, "writes into the sample"),
    (Relabels, "changes labels"),
    (DropsTheBroken, "makes 96 rows of 120"),
    (Idle, "mends nothing"),
    (Meddles, "of the lab itself"),
    (NeverDone, "again when it is run a second time"),
    (Brittle, "fails on a sample with columns"),
    (Needy, "cannot be made by its defaults"),
    (PlansNonsense, "no wrapper can be made of"),
    (PlansOtherwise, "in another way than its plan"),
]


@pytest.mark.parametrize(("leaf", "law"), FAULTY, ids=[leaf.__name__ for leaf, _ in FAULTY])
def test_a_faulty_repair_is_caught(leaf: type, law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_repair(leaf)


def test_a_lawful_repair_passes() -> None:
    check_repair(Fills)


def test_an_example_replaces_the_defaults() -> None:
    @dataclass(frozen=True)
    class OfOne:
        column: str

        @classmethod
        def example(cls) -> tuple[OfOne, Sample, Sample]:
            return cls("heat"), damaged_sample(30), plain_sample(30)

        def __call__(self, sample: Sample, lab: Sample) -> Sample:
            heat = sample.columns.get(self.column)
            return sample if heat is None else mend(sample, np.where(np.isnan(heat), 60.0, heat))

    check_repair(OfOne)
