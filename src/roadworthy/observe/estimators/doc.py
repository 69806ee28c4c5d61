"""DoC estimates accuracy by the difference of confidences: as far as confidence fell, accuracy is taken to fall."""

from __future__ import annotations

from dataclasses import dataclass

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing
from roadworthy.core.window import Window
from roadworthy.observe.base import estimator
from roadworthy.observe.quality.label_free import both, carried


@estimator("doc")
@dataclass(frozen=True)
class Doc:
    """The reference's accuracy, moved by as much as the mean confidence moved since.

    Difference of confidences (Guillory et al. 2021, "Predicting with confidence on unseen distributions"). A model
    that is always too sure is no harm, one that became so is. A prediction of label 1 begins at `cut`.
    """

    cut: float = 0.5
    least_rows: int = 100
    confidence: float = 0.95

    def __call__(self, reference: Window, current: Window, output: str) -> Measurement:
        rows = both(reference, current, output, self.cut, self.least_rows)
        if rows is None:
            return nothing("accuracy")
        return carried("doc", rows, rows.reference.sure, rows.current.sure, self.confidence)
