"""ATC estimates accuracy: the share of answers above a confidence that fits the accuracy of the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing
from roadworthy.core.window import Window
from roadworthy.observe.base import estimator
from roadworthy.observe.quality.label_free import both, carried


@estimator("atc")
@dataclass(frozen=True)
class Atc:
    """The share of answers surer than a threshold, set so that the reference's share is its accuracy.

    Average thresholded confidence (Garg et al. 2022, "Leveraging unlabeled data to predict out-of-distribution
    performance"), with the confidence in the predicted class as the score. Where answers share one confidence no
    threshold fits exactly, and the difference is carried over. A prediction of label 1 begins at `cut`.
    """

    cut: float = 0.5
    least_rows: int = 100
    confidence: float = 0.95

    def __call__(self, reference: Window, current: Window, output: str) -> Measurement:
        rows = both(reference, current, output, self.cut, self.least_rows)
        if rows is None:
            return nothing("accuracy")
        threshold = float(np.quantile(rows.reference.sure, float(1 - rows.reference.correct.mean())))
        old, new = (part.sure >= threshold for part in rows)
        return carried("atc", rows, old.astype(np.float64), new.astype(np.float64), self.confidence)
