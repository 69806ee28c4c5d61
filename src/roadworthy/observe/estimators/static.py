"""Static assumes that nothing changed: the baseline that any other estimate has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing
from roadworthy.core.window import Window
from roadworthy.observe.base import estimator
from roadworthy.observe.quality.label_free import both, carried


@estimator("static")
@dataclass(frozen=True)
class Static:
    """The reference's accuracy, whatever arrives now: what to compare other estimates with.

    A prediction of label 1 begins at `cut`.
    """

    cut: float = 0.5
    least_rows: int = 100
    confidence: float = 0.95

    def __call__(self, reference: Window, current: Window, output: str) -> Measurement:
        rows = both(reference, current, output, self.cut, self.least_rows)
        if rows is None:
            return nothing("accuracy")
        hints = np.zeros(len(rows.reference.labels)), np.zeros(len(rows.current.labels))
        return carried("static", rows, *hints, self.confidence)
