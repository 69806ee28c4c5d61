"""Every metric in the catalog obeys the laws, and the laws catch metrics that do not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from msgspec.structs import replace

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean, nothing
from roadworthy.evaluate.base import metric
from roadworthy.evaluate.metrics.mae import Mae
from roadworthy.evaluate.tasks import Filtered
from roadworthy.testing.metrics import check_metric


@pytest.mark.parametrize("name", list(metric))
def test_every_metric_obeys_the_laws(name: str) -> None:
    check_metric(metric.get(name))


def test_a_metric_behind_an_answer_filter_obeys_them_too() -> None:
    check_metric(Filtered)


@dataclass(frozen=True)
class Honest:
    """MAE, which each faulty metric below breaks in one way."""

    tasks: ClassVar[Any] = ("regression",)
    best: ClassVar[float | None] = 0.0

    def __call__(self, labels: np.ndarray, answers: np.ndarray, where: str = "") -> Measurement:
        return Mae()(labels, answers, where)


@dataclass(frozen=True)
class Taskless(Honest):
    tasks: ClassVar[Any] = ()


@dataclass(frozen=True)
class Unheard(Honest):
    tasks: ClassVar[Any] = ("ranking",)


@dataclass(frozen=True)
class ZeroOfNothing(Honest):
    def __call__(self, labels: np.ndarray, answers: np.ndarray, where: str = "") -> Measurement:
        return super().__call__(labels, answers, where) if len(labels) else Measurement("mae", 0.0, 0, where=where)


@dataclass(frozen=True)
class Renamed(Honest):
    def __call__(self, labels: np.ndarray, answers: np.ndarray, where: str = "") -> Measurement:
        return super().__call__(labels, answers, where) if len(labels) else nothing("error", where=where)


@dataclass(frozen=True)
class Boundless(Honest):
    def __call__(self, labels: np.ndarray, answers: np.ndarray, where: str = "") -> Measurement:
        return replace(super().__call__(labels, answers, where), high=math.inf)


@dataclass(frozen=True)
class Outside(Honest):
    def __call__(self, labels: np.ndarray, answers: np.ndarray, where: str = "") -> Measurement:
        found = super().__call__(labels, answers, where)
        return replace(found, low=found.value + 0.01) if found.n else found


@dataclass(frozen=True)
class Optimist(Honest):
    best: ClassVar[float | None] = 1.0


@dataclass(frozen=True)
class FirstHalf(Honest):
    def __call__(self, labels: np.ndarray, answers: np.ndarray, where: str = "") -> Measurement:
        found = super().__call__(labels[: len(labels) // 2], answers[: len(labels) // 2], where)
        return replace(found, n=len(labels))


@dataclass(frozen=True)
class CountsUnknown(Honest):
    def __call__(self, labels: np.ndarray, answers: np.ndarray, where: str = "") -> Measurement:
        return mean("mae", np.nan_to_num(np.abs(labels - answers)), where)


@dataclass(frozen=True)
class OtherRows(Honest):
    def rows(self, labels: np.ndarray, answers: np.ndarray) -> np.ndarray:
        return (labels - answers) ** 2


@dataclass(frozen=True)
class InPlace(Honest):
    def __call__(self, labels: np.ndarray, answers: np.ndarray, where: str = "") -> Measurement:
        found = super().__call__(labels, answers, where)
        answers *= 1.0001
        return found


@dataclass(frozen=True)
class GlobalChance(Honest):
    def __call__(self, labels: np.ndarray, answers: np.ndarray, where: str = "") -> Measurement:
        np.random.rand()
        return super().__call__(labels, answers, where)


@dataclass(frozen=True)
class Stubborn(Honest):
    def __call__(self, labels: np.ndarray, answers: np.ndarray, where: str = "") -> Measurement:
        found = super().__call__(labels, answers, where)
        return replace(found, low=found.value - 1, high=found.value + 1) if found.n else found


@dataclass(frozen=True)
class Overconfident(Honest):
    confidence: float = 0.95

    def __call__(self, labels: np.ndarray, answers: np.ndarray, where: str = "") -> Measurement:
        return Mae(confidence=1 - self.confidence)(labels, answers, where)


FAULTY = [
    (Taskless, "is for no task"),
    (Unheard, "tasks are binary"),
    (ZeroOfNothing, "must be NaN"),
    (Renamed, "another name or unit"),
    (Boundless, "bounds nothing|low, high"),
    (Outside, "outside of its interval"),
    (Optimist, "gives perfect answers 0.0, and not 1.0"),
    (FirstHalf, "depends on the order"),
    (CountsUnknown, "counts 240 rows where 144"),
    (OtherRows, "the mean of `rows`"),
    (InPlace, "writes into|depends on the order|perfect"),
    (GlobalChance, "whole process shares"),
    (Stubborn, "no surer of four times the rows"),
    (Overconfident, "surer at a confidence of 0.99"),
]


@pytest.mark.parametrize(("leaf", "law"), FAULTY, ids=[leaf.__name__ for leaf, _ in FAULTY])
def test_a_faulty_metric_is_caught(leaf: type, law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_metric(leaf)


def test_an_honest_one_passes() -> None:
    check_metric(Honest)
