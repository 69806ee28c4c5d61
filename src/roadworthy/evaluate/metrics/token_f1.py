"""Token F1 of written answers: how many of their words are those of the target."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Task
from roadworthy.evaluate.base import metric
from roadworthy.evaluate.scoring import mean_share, scored

IN_NUMBER = re.compile(r"(?<!\w)-(?=\.?\d)|(?<=\d)\.(?=\d)")


@metric("token_f1")
@dataclass(frozen=True)
class TokenF1:
    """The mean overlap of words between answer and target (Rajpurkar et al. 2016, SQuAD), with a normal interval."""

    tasks: ClassVar[tuple[Task, ...]] = ("generation",)
    best: ClassVar[float | None] = 1.0

    confidence: float = 0.95

    def __call__(self, labels: NDArray[Any], answers: NDArray[Any], where: str = "") -> Measurement:
        return mean_share("token_f1", self.rows(*scored(labels, answers)), where, self.confidence)

    def rows(self, labels: NDArray[Any], answers: NDArray[Any]) -> NDArray[np.float64]:
        """The overlap of each row, 0 to 1."""
        return np.fromiter(map(overlap, labels, answers), np.float64, len(labels))


def overlap(wanted: str, told: str) -> float:
    """F1 of the words of an answer against those of the target; of two empty texts it is 1.

    >>> round(overlap("the red car", "A red bus"), 3)
    0.5
    """
    expected, found = Counter(normalised(wanted).split()), Counter(normalised(told).split())
    if not expected or not found:
        return float(expected == found)
    return 2 * (expected & found).total() / (expected.total() + found.total())


def normalised(text: str) -> str:
    """The words of a text without case, punctuation, English articles and forms of width.

    It is SQuAD's rule after NFKC, but for a number's sign and point, which stay: 3.5 is not 35.

    >>> normalised(" The  Cafe\u0301, at 5.30 p.m. ")
    'café at 5.30 pm'
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    spots = {found.start() for found in IN_NUMBER.finditer(text)}
    text = "".join(c for at, c in enumerate(text) if at in spots or not _is_punctuation(c))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")
