"""Flexible match of written answers: what a person would let count as the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Task
from roadworthy.evaluate.base import metric
from roadworthy.evaluate.metrics.token_f1 import normalised
from roadworthy.evaluate.scoring import scored

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")


@metric("flexible_match")
@dataclass(frozen=True)
class FlexibleMatch:
    """The share of answers that say the target, with Wilson's interval: form does not count, nor words around a number.

    Texts are compared without case, punctuation, articles and width (`normalised`). Where the target is a number, the
    last number of the answer is compared with it by value: "so it is 1,250.0 in all." is right for "$1250".
    """

    tasks: ClassVar[tuple[Task, ...]] = ("generation",)
    best: ClassVar[float | None] = 1.0

    confidence: float = 0.95

    def __call__(self, labels: NDArray[Any], answers: NDArray[Any], where: str = "") -> Measurement:
        right = self.rows(*scored(labels, answers))
        return stats.proportion("flexible_match", int(right.sum()), len(right), where, self.confidence)

    def rows(self, labels: NDArray[Any], answers: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each answer says its target."""
        return np.fromiter(map(says, labels, answers), bool, len(labels))


def says(wanted: str, told: str) -> bool:
    """Whether an answer says what was wanted.

    >>> says("$1250", "so it is 1,250.0 in all."), says("1250", "1250 or 1300"), says("Paris", "paris.")
    (True, False, True)
    """
    number = re.fullmatch(rf"[\s$€£]*({NUMBER.pattern})[\s.%]*", wanted)
    if number:
        found = NUMBER.findall(told)
        return bool(found) and Decimal(found[-1].replace(",", "")) == Decimal(number[1].replace(",", ""))
    words = normalised(wanted)
    return normalised(told) == words if words else told.strip() == wanted.strip()
