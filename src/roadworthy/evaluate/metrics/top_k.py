"""Top-k accuracy: whether the right class is among the few likeliest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Task
from roadworthy.evaluate.base import metric
from roadworthy.evaluate.scoring import scored


@metric("top_k")
@dataclass(frozen=True)
class TopK:
    """The share of rows whose class is among the `k` likeliest, with Wilson's interval; it is called top_5 for 5."""

    tasks: ClassVar[tuple[Task, ...]] = ("multiclass",)
    best: ClassVar[float | None] = 1.0

    k: int = 5
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"`k` must be at least 1, got {self.k!r}")

    def __call__(self, labels: NDArray[np.float64], answers: NDArray[np.float64], where: str = "") -> Measurement:
        labels, answers = scored(labels, answers)
        if not len(labels):
            return stats.nothing(f"top_{self.k}", where=where)
        return stats.proportion(
            f"top_{self.k}", int(self.rows(labels, answers).sum()), len(labels), where, self.confidence
        )

    def rows(self, labels: NDArray[np.float64], answers: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether fewer than k classes are likelier than the right one; of a tie the lower number is."""
        number, classes = labels.astype(np.int64), np.arange(answers.shape[1])
        listed = np.minimum(number, answers.shape[1] - 1)
        stated = answers[np.arange(len(labels)), listed][:, None]
        before = (answers > stated) | ((answers == stated) & (classes < listed[:, None]))
        return np.asarray((before.sum(axis=1) < self.k) & (number < answers.shape[1]))
