"""Exact match of written answers: the very text that was expected, or what is left of it after what one ignores."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Task
from roadworthy.evaluate.base import metric
from roadworthy.evaluate.scoring import scored

PUNCTUATION = str.maketrans("", "", string.punctuation)
DIGITS = str.maketrans("", "", string.digits)


@metric("exact_match")
@dataclass(frozen=True)
class ExactMatch:
    """The share of answers that are the target to the letter, with Wilson's interval; strict unless told otherwise.

    What is ignored is taken out of answer and target alike, in the order of lm-eval: `regexes_to_ignore`, case,
    punctuation, digits.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("generation",)
    best: ClassVar[float | None] = 1.0

    ignore_case: bool = False
    ignore_punctuation: bool = False
    ignore_numbers: bool = False
    regexes_to_ignore: tuple[str, ...] = ()
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for pattern in self.regexes_to_ignore:
            try:
                re.compile(pattern)
            except re.error as wrong:
                raise ValueError(f"`regexes_to_ignore`: {pattern!r} is no regular expression: {wrong}") from wrong

    def __call__(self, labels: NDArray[Any], answers: NDArray[Any], where: str = "") -> Measurement:
        right = self.rows(*scored(labels, answers))
        return stats.proportion("exact_match", int(right.sum()), len(right), where, self.confidence)

    def rows(self, labels: NDArray[Any], answers: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each answer is its target."""
        pairs = zip(labels, answers, strict=True)
        return np.fromiter((self.kept(told) == self.kept(wanted) for wanted, told in pairs), bool, len(labels))

    def kept(self, text: str) -> str:
        """What of a text is compared."""
        for pattern in self.regexes_to_ignore:
            text = re.sub(pattern, "", text)
        text = text.lower() if self.ignore_case else text
        text = text.translate(PUNCTUATION) if self.ignore_punctuation else text
        return text.translate(DIGITS) if self.ignore_numbers else text
