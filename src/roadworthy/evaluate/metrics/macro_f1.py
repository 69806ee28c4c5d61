"""Macro F1: how well each class is found, the rare ones counting as much as the common ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Task
from roadworthy.evaluate.base import metric
from roadworthy.evaluate.scoring import by_influence, chosen, scored


@metric("macro_f1")
@dataclass(frozen=True)
class MacroF1:
    """F1 averaged over the classes that have a labelled row, by the delta method (Takahashi et al. 2022).

    Where scikit-learn also counts classes that were only answered, a slice with few classes would look bad by that.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("binary", "multiclass")
    best: ClassVar[float | None] = 1.0

    confidence: float = 0.95

    def __call__(self, labels: NDArray[np.float64], answers: NDArray[np.float64], where: str = "") -> Measurement:
        labels, answers = scored(labels, answers)
        if not len(labels):
            return stats.nothing("macro_f1", where=where)
        classes, coded = np.unique(np.concatenate([np.round(labels), chosen(answers)]), return_inverse=True)
        true, told = coded.reshape(2, -1)
        told_and_true = np.stack([np.bincount(c, minlength=len(classes)) for c in (told, true)]).sum(axis=0)
        hits = np.bincount(true[true == told], minlength=len(classes))
        labelled = np.bincount(true, minlength=len(classes)) > 0
        f1 = np.where(labelled, 2 * hits / told_and_true, 0.0)
        value = float(f1[labelled].mean())
        if value == 1.0:
            return self._perfect(np.bincount(true), where)
        # A row moves the F1 of its own class and, unless nothing is of that, of the class that it was taken for.
        pull = (2 * (true == told) - f1[true]) / told_and_true[true] - f1[told] / told_and_true[told]
        found = by_influence("macro_f1", value, pull * len(true) / labelled.sum(), where, confidence=self.confidence)
        return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))

    def _perfect(self, counts: NDArray[np.int64], where: str) -> Measurement:
        """Nothing is wrong, so nothing varies: Wilson's bound for the rows that so uneven classes are worth."""
        worth = int(len(counts) ** 2 / (1 / counts).sum())
        return replace(stats.proportion("macro_f1", worth, worth, where, self.confidence), n=int(counts.sum()))
